"""The collections and queries of `retrieval.py`: real text out of Debian packages, and text made up like it.

    python benchmarks/corpora.py real|synthetic [--documents N] [--queries N] [--folder DIR]
    python benchmarks/corpora.py growth          # how well the synthetic words are distributed like the real ones

Each is a folder with documents/*.jsonl ({"id", "contents"}, as xqe and Anserini both read them) and queries.jsonl
({"id", "query", "passage"}), made once and the same every time. A query has the words of a title, and its passage has
some 100 words on the same topic, as one that a model writes.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
import html
import itertools
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DOCUMENTS, QUERIES = "documents", "queries.jsonl"
PART = 50_000  # documents a file: Anserini has one thread for a file
PASSAGE_WORDS = 100
SEED = 20240

_LEAST, _ENOUGH, _MOST = 20, 60, 100  # words of a passage: no fewer, cut from here on, no more


class Document(NamedTuple):
    id: str
    contents: str


class Query(NamedTuple):
    """passage: text on the topic of the query, which is in no document as it stands."""

    id: str
    query: str
    passage: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection on disk."""

    name: str
    folder: Path

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / DOCUMENTS).glob("*.jsonl"))

    def documents(self) -> Iterator[Document]:
        for path in self.files:
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    yield Document(**json.loads(line))

    def queries(self) -> list[Query]:
        with (self.folder / QUERIES).open(encoding="utf-8") as lines:
            return [Query(**json.loads(line)) for line in lines]


def cache() -> Path:
    """The folder that collections are kept in unless another is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xqe-benchmarks"


def collection(name: str, documents: int | None, queries: int, folder: Path) -> Collection:
    """The collection, made now if it is not there. documents: how many at most, None for the usual number."""
    maker = MAKERS[name]
    count = documents or maker.documents
    made = Collection(name, folder / f"{name}-{count or 'all'}-{queries}")
    if not made.folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{made.folder.name}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        maker.make(unfinished, count, queries)
        unfinished.rename(made.folder)
    return made


def write(path: Path, records: Iterable[NamedTuple]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record._asdict(), ensure_ascii=False) + "\n" for record in records)


def write_documents(folder: Path, documents: Iterable[Document]) -> None:
    """Files of 50,000 documents in `folder`, which is made."""
    folder.mkdir()
    rest = iter(documents)
    for number in itertools.count():
        part = list(itertools.islice(rest, PART))
        if not part:
            break
        write(folder / f"{number:03}.jsonl", part)


# ---------------------------------------------------------------- real text

Files = Iterator[tuple[str, bytes]]
Texts = Iterator[list[str]]  # a document's paragraphs

_BLOCK = re.compile(r"<(?:p|dd|li)\b[^>]*>(.*?)(?=</?(?:p|dd|li|ul|ol|dl|div|h\d|pre|table|section|body)\b)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_SOURCE = re.compile(r"\[[^\]]*(?:Webster|PJC|WordNet)[^\]]*\]")  # after each entry of dict-gcide
_DIGITS = {
    character: value
    for value, character in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}


def _pages(files: Files) -> Texts:
    """The paragraphs and list items of HTML pages."""
    for _, raw in files:
        yield [html.unescape(_TAG.sub("", block)) for block in _BLOCK.findall(raw.decode("utf-8", "replace"))]


def _plain(files: Files) -> Texts:
    """The paragraphs of plain text, reStructuredText, POD and Vim's help."""
    for path, raw in files:
        text = gzip.decompress(raw) if path.endswith(".gz") else raw
        yield re.split(r"\n\s*\n", text.decode("utf-8", "replace"))


def _fortunes(files: Files) -> Texts:
    for _, raw in files:
        yield from ([saying] for saying in raw.decode("utf-8", "replace").split("\n%\n"))


def _entries(files: Files) -> Texts:
    """The entries of dictionaries as dictd reads them: a compressed text, and an index of places in it, which are
    written in base 64."""
    contents = {Path(path).name.split(".")[0] + Path(path).suffix: raw for path, raw in files}
    for name, index in contents.items():
        if not name.endswith(".index"):
            continue
        text = gzip.decompress(contents[name.removesuffix(".index") + ".dz"])
        rows = (line.split("\t") for line in index.decode("utf-8", "replace").splitlines())
        for start, size in sorted({(_number(row[1]), _number(row[2])) for row in rows if not row[0].startswith("00")}):
            yield [_SOURCE.sub("", text[start : start + size].decode("utf-8", "replace"))]


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + _DIGITS[digit]
    return value


class Package(NamedTuple):
    """files: a pattern of the paths to read."""

    name: str
    files: str
    read: Callable[[Files], Texts]


PACKAGES = (
    Package("dict-gcide", r"\.(dict\.dz|index)$", _entries),
    Package("dict-wn", r"\.(dict\.dz|index)$", _entries),
    Package("dict-foldoc", r"\.(dict\.dz|index)$", _entries),
    Package("dict-jargon", r"\.(dict\.dz|index)$", _entries),
    Package("fortunes", r"games/fortunes/[a-z-]+$", _fortunes),
    Package("linux-doc-6.1", r"^(?!.*/translations/).*(\.rst\.gz|Documentation/.*\.txt\.gz)$", _plain),
    Package("python3.11-doc", r"_sources/.*\.txt$", _plain),
    Package("perl-doc", r"\.pod$", _plain),
    Package("vim-runtime", r"/doc/.*\.txt$", _plain),
    Package("git-doc", r"\.txt$", _plain),
    Package("postgresql-doc-15", r"\.html$", _pages),
    Package("libreoffice-help-en-us", r"\.html$", _pages),
    Package("openjdk-17-doc", r"/api/.*\.html$", _pages),
    Package("rust-doc", r"/html/(std|core|alloc|book|reference|nomicon|cargo)/.*\.html$", _pages),
    Package("erlang-doc", r"\.html$", _pages),
    Package("python-django-doc", r"\.html$", _pages),
    Package("apache2-doc", r"/en/.*\.html$|\.html\.en$", _pages),
    Package("sqlite3-doc", r"\.html$", _pages),
)
"""Packages of Debian 12 with much English prose."""


def make_real(folder: Path, documents: int, queries: int) -> None:
    """Passages of these packages' texts and of all package descriptions, in one shuffled order; 0 documents: all.

    The queries are one-line descriptions of packages, which are not in the documents.
    """
    with tempfile.TemporaryDirectory(prefix="xqe-apt-") as scratch:
        apt = _Apt(Path(scratch))
        described = dict(apt.descriptions())
        passages = _distinct(itertools.chain(_described(described), *map(apt.passages, PACKAGES)))
        chosen = list(passages)
    shuffled = random.Random(SEED)
    shuffled.shuffle(chosen)
    if documents > len(chosen):
        raise SystemExit(f"{documents} documents: the packages have {len(chosen)} passages")
    chosen = chosen[: documents or None]
    write_documents(folder / DOCUMENTS, chosen)
    titles = _titles(described, {document.id for document in chosen})
    write(folder / QUERIES, _with_passages(shuffled.sample(titles, min(queries, len(titles))), chosen))


class _Apt:
    """Debian's packages, by way of apt and with lists of its own: it changes nothing, and needs no root."""

    def __init__(self, folder: Path) -> None:
        if missing := [name for name in ("apt-get", "dpkg-deb") if not shutil.which(name)]:
            raise SystemExit(f"{missing[0]}: not found; the real collection is made on Debian, the synthetic anywhere")
        self._folder = folder
        self._lists = folder / "lists"
        (self._lists / "partial").mkdir(parents=True)
        self._run("update")

    def _run(self, *arguments: str) -> None:
        settings = {
            "Dir::State::Lists": str(self._lists),
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Acquire::Languages": "en",
            "Acquire::GzipIndexes": "false",
            "APT::Sandbox::User": "",
        }
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        done = subprocess.run(["apt-get", *options, *arguments], cwd=self._folder, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"apt-get {' '.join(arguments)}\n{done.stderr}")

    def descriptions(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """(package, (its title, its description)), each package once."""
        seen: set[str] = set()
        for path in sorted(self._lists.glob("*_main_i18n_Translation-en")):
            for block in path.read_text("utf-8", "replace").split("\n\n"):
                found = re.search(r"^Package: (\S+)$.*?^Description-en: (.*?)\n(.*)", block, re.DOTALL | re.MULTILINE)
                if found and found[1] not in seen:
                    seen.add(found[1])
                    lines = (line.strip() for line in found[3].split("\n"))
                    yield found[1], (found[2], "\n".join("" if line == "." else line for line in lines))

    def passages(self, package: Package) -> Iterator[Document]:
        _say(f"{package.name} ...")
        self._run("download", package.name)
        (archive,) = self._folder.glob(f"{package.name}_*.deb")
        count = itertools.count(1)
        for paragraphs in package.read(self._files(archive, re.compile(package.files))):
            for passage in _passages(paragraphs):
                yield Document(f"{package.name}-{next(count)}", passage)
        archive.unlink()

    def _files(self, archive: Path, pattern: re.Pattern[str]) -> Files:
        unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
        with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
            for entry in files:
                if entry.isfile() and pattern.search(entry.name) and (file := files.extractfile(entry)):
                    yield entry.name, file.read()


def _described(packages: dict[str, tuple[str, str]]) -> Iterator[Document]:
    for name, (_, text) in packages.items():
        for number, passage in enumerate(_passages(re.split(r"\n\n", text))):
            yield Document(f"{name}.{number}" if number else name, passage)


def _passages(paragraphs: Iterable[str]) -> Iterator[str]:
    """Join the paragraphs that are prose to passages of 60 to 100 words; what is left at the end may have 20."""
    words: list[str] = []
    for paragraph in paragraphs:
        if not _is_prose(paragraph):
            continue
        words += paragraph.split()
        while len(words) >= _ENOUGH:
            yield " ".join(words[:_MOST])
            words = words[_MOST:]
    if len(words) >= _LEAST:
        yield " ".join(words)


def _is_prose(paragraph: str) -> bool:
    """Mostly letters and spaces, unlike program text and tables."""
    ordinary = sum(map(str.isalpha, paragraph)) + sum(map(str.isspace, paragraph))
    return ordinary > 0.85 * len(paragraph)


def _distinct(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents with a text that no earlier one has."""
    seen: set[int] = set()
    for document in documents:
        key = hash(document.contents.lower())
        if key not in seen:
            seen.add(key)
            yield document


def _titles(described: dict[str, tuple[str, str]], ids: set[str]) -> list[tuple[str, str]]:
    """(package, title) of the packages whose description is among the documents, one for each title."""
    titles = {title: name for name, (title, _) in sorted(described.items()) if name in ids and len(title.split()) > 2}
    return [(name, title) for title, name in sorted(titles.items())]


_WORD = re.compile(r"[a-z0-9]+")
_SOURCES = 3  # documents that a passage is made of


def _with_passages(titles: list[tuple[str, str]], documents: list[Document]) -> Iterator[Query]:
    """Each title with a passage: the first third of each of the three documents that share its rarest words, the one
    that the title belongs to not among them. So the passage is real text on the topic, and not a document's."""
    words = [set(_WORD.findall(document.contents.lower())) for document in documents]
    frequency = Counter(word for found in words for word in found)
    wanted: dict[str, list[int]] = {}
    for number, (_, title) in enumerate(titles):
        for word in set(_WORD.findall(title.lower())):
            if frequency[word] < len(documents) / 50:
                wanted.setdefault(word, []).append(number)
    weight = {word: math.log(len(documents) / (1 + frequency[word])) for word in wanted}
    best: list[list[tuple[float, int]]] = [[] for _ in titles]
    for place, (document, found) in enumerate(zip(documents, words, strict=True)):
        shared: dict[int, float] = {}
        for word in sorted(found & wanted.keys()):  # in one order, so that the sums repeat
            for number in wanted[word]:
                shared[number] = shared.get(number, 0.0) + weight[word]
        for number, score in shared.items():
            if titles[number][0] not in (document.id, document.id.rpartition(".")[0]):
                heapq.heappush(best[number], (score, -place))
                if len(best[number]) > _SOURCES:
                    heapq.heappop(best[number])
    for (name, title), sources in zip(titles, best, strict=True):
        texts = [documents[-place].contents.split() for _, place in sorted(sources, reverse=True)]
        share = -(-PASSAGE_WORDS // _SOURCES)
        yield Query(name, title, " ".join(word for text in texts for word in text[:share]))


# ---------------------------------------------------------------- made-up text

_BATCH = 10_000  # passages made at a time
_SHORTEST, _USUAL, _LONGEST = 20, 50, 120  # words of a passage: a triangular distribution
_TOPICS = 1024
_ON_TOPIC = 0.6  # part of the words past rank _TOPICS that are the topic's
_QUERY_WORDS = (3, 8)
_CONSONANTS, _VOWELS, _ENDS = "bcdfghjklmnprtvz", "aeiou", "bgkmnprt"

_STOP_PART = 0.297  # of all words of the real collection
_STOP_WORDS = {
    "the": 195, "a": 96, "of": 84, "to": 82, "and": 60, "is": 56, "in": 52, "or": 37, "for": 37, "this": 27, "that": 25,
    "be": 24, "as": 23, "with": 21, "an": 21, "it": 20, "by": 19, "if": 19, "are": 17, "on": 16, "not": 15, "will": 9,
    "at": 7, "but": 5, "was": 5, "no": 5, "into": 4, "then": 4, "there": 4, "they": 4, "such": 3, "these": 3,
    "their": 2,
}  # fmt: skip
"""Lucene's English stop words, each with how many it is of a thousand of them in the real collection."""


@dataclass(frozen=True, slots=True)
class Words:
    """How often words occur that are no stop words: p(rank) ~ (rank + shift) ** -exponent for ranks from 0 to `size`,
    after Zipf and Mandelbrot."""

    exponent: float
    shift: float
    size: float

    def ranks(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """The ranks at these points, 0 to 1, of the distribution: the inverse of the integral of p."""
        power = 1 - self.exponent
        first, last = self.shift**power, (self.shift + self.size) ** power
        ranks: NDArray[np.int64] = ((first + uniform * (last - first)) ** (1 / power) - self.shift).astype(np.int64)
        return ranks

    def share(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        """The part of all words that those before each of the ranks are."""
        power = 1 - self.exponent
        first, last = self.shift**power, (self.shift + self.size) ** power
        share: NDArray[np.float64] = ((ranks + self.shift) ** power - first) / (last - first)
        return share

    def growth(self, tokens: int) -> int:
        """The different words among so many, as expected."""
        edges = np.unique(np.geomspace(1, self.size, 4000).astype(np.int64)) - 1
        words = np.diff(edges)
        return int(np.sum(words * -np.expm1(-tokens * np.diff(self.share(edges)) / words)))


ENGLISH = Words(exponent=1.58, shift=200, size=1e6)
"""Fitted to the real collection: how its vocabulary grows from 10,000 words to 18 million, and the parts of all words
that the most frequent are. `growth` shows both."""


class _Vocabulary(dict[int, str]):
    """The word of each rank: syllables, more of them the rarer the word. No two are alike, and none has an ending
    that a stemmer takes off. Stop words have the numbers below 0."""

    def __init__(self) -> None:
        super().__init__((-number, word) for number, word in enumerate(_STOP_WORDS, 1))

    def __missing__(self, rank: int) -> str:
        rest, end = divmod(rank, len(_ENDS))
        letters = [_ENDS[end]]
        while rest or len(letters) < 2:
            rest, consonant = divmod(rest, len(_CONSONANTS))
            rest, vowel = divmod(rest, len(_VOWELS))
            letters += [_VOWELS[vowel], _CONSONANTS[consonant]]
        word = self[rank] = "".join(reversed(letters))
        return word


class _Writer:
    """Makes passages, the same ones for a seed."""

    def __init__(self, words: Words, seed: int) -> None:
        self._words = words
        self._random = np.random.default_rng(seed)
        self._vocabulary = _Vocabulary()
        weights = np.array(list(_STOP_WORDS.values()), dtype=np.float64)
        self._stop_shares = np.cumsum(weights / weights.sum())

    def documents(self, count: int) -> Iterator[Document]:
        for first in range(0, count, _BATCH):
            size = min(_BATCH, count - first)
            topics = self._random.integers(_TOPICS, size=size)
            lengths = self._random.triangular(_SHORTEST, _USUAL, _LONGEST, size).astype(np.int64)
            for number, text in enumerate(self._passages(topics, lengths), first):
                yield Document(f"d{number}", text)

    def queries(self, count: int) -> Iterator[Query]:
        """A query has a topic: half its words are of the topic, the others any but stop words, and its passage is one
        that the topic's documents could be."""
        topics = self._random.integers(_TOPICS, size=count)
        passages = self._passages(topics, np.full(count, PASSAGE_WORDS))
        for number, (topic, passage) in enumerate(zip(topics.tolist(), passages, strict=True)):
            length = int(self._random.integers(*_QUERY_WORDS))
            ranks = self._words.ranks(self._random.random(100 * length))
            of_topic = self._moved(ranks[ranks >= _TOPICS], topic)[: -(-length // 2)]
            words = [*of_topic.tolist(), *ranks[: length // 2].tolist()]
            yield Query(f"q{number}", " ".join(self._vocabulary[word] for word in words), passage)

    def _passages(self, topics: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[str]:
        """One passage for each topic and length."""
        count = int(lengths.sum())
        ranks = self._words.ranks(self._random.random(count))
        is_moved = (ranks >= _TOPICS) & (self._random.random(count) < _ON_TOPIC)
        ranks = np.where(is_moved, self._moved(ranks, np.repeat(topics, lengths)), ranks)
        is_stop = self._random.random(count) < _STOP_PART
        stops = -1 - np.searchsorted(self._stop_shares, self._random.random(count)).clip(max=len(_STOP_WORDS) - 1)
        vocabulary = self._vocabulary
        words = [vocabulary[number] for number in np.where(is_stop, stops, ranks).tolist()]
        for end, length in zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
            yield _sentences(words[end - length : end])

    @staticmethod
    def _moved(ranks: NDArray[np.int64], topic: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """The ranks, moved a little to the next that belongs to the topic: every _TOPICS-th does. Over all topics that
        hardly changes how often a word occurs, and it makes words that go together."""
        return ranks - ranks % _TOPICS + topic


def _sentences(words: list[str]) -> str:
    """Capitals and full stops, for the tokenizers' sake."""
    return ". ".join(" ".join(words[first : first + 15]).capitalize() for first in range(0, len(words), 15)) + "."


def make_synthetic(folder: Path, documents: int, queries: int) -> None:
    """Passages of made-up words that occur as often, and together, like those of real text."""
    write_documents(folder / DOCUMENTS, _Writer(ENGLISH, SEED).documents(documents))
    write(folder / QUERIES, _Writer(ENGLISH, SEED + 1).queries(queries))


def growth(real: Collection) -> Iterator[tuple[str, float, float]]:
    """(what, in the real collection, as ENGLISH has it): words seen so far, and parts of all words."""
    counts: Counter[str] = Counter()
    seen, mark = 0, 10_000
    for document in real.documents():
        words = [word for word in _WORD.findall(document.contents.lower()) if word not in _STOP_WORDS]
        counts.update(words)
        seen += len(words)
        if seen >= mark:
            yield f"words among {seen:,}", len(counts), ENGLISH.growth(seen)
            mark *= 4
    parts = np.cumsum(sorted(counts.values(), reverse=True)) / seen
    for rank in (10, 100, 1_000, 10_000, 100_000):
        if rank < len(parts):
            yield f"part of the first {rank:,}", float(parts[rank - 1]), float(ENGLISH.share(np.array([rank]))[0])


class Maker(NamedTuple):
    """documents: how many unless another number is asked for; 0 is all there are."""

    make: Callable[[Path, int, int], None]
    documents: int
    about: str


MAKERS = {
    "real": Maker(make_real, 0, "passages of documentation, dictionaries and package descriptions of Debian 12"),
    "synthetic": Maker(make_synthetic, 1_000_000, "passages of made-up words, distributed like the real ones"),
}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=[*MAKERS, "growth"])
    parser.add_argument("--documents", type=int, help="how many; all of the real ones, or a million made-up ones")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=cache())
    options = parser.parse_args()
    name = "real" if options.what == "growth" else options.what
    made = collection(name, options.documents, options.queries, options.folder)
    if options.what == "growth":
        for what, real, synthetic in growth(made):
            print(f"{what:>32} {real:>12,.4g} {synthetic:>12,.4g}")
    else:
        print(made.folder)


if __name__ == "__main__":
    main()
