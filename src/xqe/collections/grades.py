"""Graded judgements from BM25, in the manner of CLIRMatrix, and package descriptions judged so.

Sun and Duh (2020, EMNLP, "CLIRMatrix") judge documents of Wikipedia for titles of its articles: the article itself has
grade 6, other documents that BM25 finds have grades 1 to 5, by Jenks's natural breaks in their scores. Here a title is
cut from the synopsis of a package, and the documents of each language are searched with the title in that language.

So that title finds the grades by construction, up to the parameters of a search: what such a collection measures is
how near a system comes to a search with the title that people wrote.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from xqe.collections import debian
from xqe.collections.debian import Packages
from xqe.collections.draws import share
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.target import check_target
from xqe.files.records import Document
from xqe.messages import say
from xqe.text.analysis import stop_words
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index

GREATEST = 6  # the grade of the document that a title belongs to
CLASSES = GREATEST - 1
JUDGED = 100  # documents a query, its own among them
SIZES = {"train": 1000, "dev": 200, "test": 500}  # titles that each language brings into a split, at most
ABOUT = "Descriptions of Debian packages, translated by people: short titles find descriptions that BM25 graded"

_TITLE_WORDS = 4
_ENOUGH_WORDS = 2
_TITLE_CHARACTERS = 24  # of Chinese and Japanese
_CUT = re.compile(r"[,;:.!?()\[\]{}\"«»„“”–—、。，：；（）「」『』・]| --? ")


def build(directory: Path, languages: Sequence[str], force: bool = False) -> Collection:
    """Fetch the lists of `debian` and write the graded collection."""
    check_target(directory, force)
    packages, source = debian.fetched(languages)
    with CollectionWriter(directory, "debian-graded", force) as writer:
        return _written(writer, packages, source)


def _written(writer: CollectionWriter, packages: Mapping[str, Packages], source: dict[str, Any]) -> Collection:
    titles = {lang: titles_of(found, lang) for lang, found in packages.items()}
    chosen = chosen_titles(titles)
    for lang, found in packages.items():
        writer.documents(lang, (Document(one.package, one.text) for one in found.values()))
        say(f"{lang}: grading {sum(name in titles[lang] for names in chosen.values() for name in names)} titles")
        with _indexed(found, lang) as index:
            for split, names in chosen.items():
                writer.qrels(
                    split, ANY, lang, judgements(index, {n: titles[lang][n] for n in names if n in titles[lang]})
                )
    for split, names in chosen.items():
        for lang, texts in titles.items():
            writer.queries(split, lang, ((name, texts[name]) for name in names if name in texts))
    for lang, found in packages.items():
        writer.examples("train", lang, debian.examples(found, titles[lang], lang))
    writer.note(
        f"grades 1 to {CLASSES} are Jenks's natural breaks in the BM25 scores of at most {JUDGED - 1} documents, found "
        f"with the title in the documents' language; {GREATEST} is the title's own document"
    )
    return writer.finish(ABOUT, source, debian.LICENCE, parallel=True)


@contextmanager
def _indexed(packages: Packages, lang: str) -> Iterator[Index]:
    """An index of descriptions, which is gone afterwards."""
    from xqe.retrieval.lexical import build as build_index
    from xqe.retrieval.lexical import open_index

    with tempfile.TemporaryDirectory(prefix="xqe-grades-") as name:
        folder = Path(name) / lang
        documents = enumerate(packages.values(), 1)
        placed = ((f"descriptions:{line}", Document(one.package, one.text)) for line, one in documents)
        build_index(folder, lang, placed, keep_texts=False)
        yield open_index(folder)


# ---------------------------------------------------------------- titles


def titles_of(packages: Packages, lang: str) -> dict[str, str]:
    """Package -> title, of packages whose title is theirs alone, as the titles of Wikipedia are."""
    stop = frozenset(word.casefold() for word in stop_words(lang))
    unspaced = not language(lang).has_spaces
    titles = {name: title_of(one.synopsis, stop, unspaced) for name, one in packages.items()}
    return debian.alone({name: title for name, title in titles.items() if title})


def title_of(synopsis: str, stop: frozenset[str], unspaced: bool = False) -> str:
    """The words with which a synopsis begins, as far as they name the thing: "" if there are none.

    Up to the first punctuation; up to the first stop word, if two other words came before it; four words at most, and
    none of the stop words at the ends. Of text without spaces, what stands before the first punctuation.
    """
    head = next((part.strip() for part in _CUT.split(synopsis) if part.strip()), "")
    if unspaced:
        return head if len(head) <= _TITLE_CHARACTERS else ""
    words: list[str] = []
    for word in head.split():
        is_stop = word.casefold() in stop
        if is_stop and (not words or sum(one.casefold() not in stop for one in words) >= _ENOUGH_WORDS):
            if words:
                break
            continue
        words.append(word)
        if len(words) == _TITLE_WORDS:
            break
    while words and words[-1].casefold() in stop:
        words.pop()
    return " ".join(words)


def chosen_titles(titles: Mapping[str, Mapping[str, str]], sizes: Mapping[str, int] = SIZES) -> dict[str, list[str]]:
    """Split -> the packages whose titles are its queries: of each language the first ones, by the number of languages
    that have the title and then by hash. What one language brings is judged in all, so that pairs share queries."""
    languages = Counter(name for texts in titles.values() for name in texts)
    order = sorted(languages, key=lambda name: (-languages[name], share("debian title", name)))
    chosen: dict[str, list[str]] = {}
    for split, size in sizes.items():
        of_split = [name for name in order if debian.split_of(name) == split]
        wanted = {name for texts in titles.values() for name in [n for n in of_split if n in texts][:size]}
        chosen[split] = sorted(wanted)
    return chosen


# ---------------------------------------------------------------- grades


def judgements(index: Index, titles: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    """Yield (query, document, grade) for titles, the document of the same id first and the others best first."""
    for name, title in titles.items():
        yield name, name, GREATEST
        hits = [hit for hit in index.search(index.analyzer.weights(title), JUDGED) if hit.id != name]
        hits = hits[: JUDGED - 1]
        grades = natural_grades([hit.score for hit in hits])
        yield from ((name, hit.id, grade) for hit, grade in zip(hits, grades, strict=True))


def natural_grades(scores: Sequence[float], classes: int = CLASSES) -> list[int]:
    """A grade for each score, the best class having grade `classes`: the partition of the scores into that many
    classes with the least sum of squared distances to the classes' means (Jenks 1967; Fisher 1958, exactly).

    Where there are fewer distinct scores than classes, each is a class, and the lowest grades are not used.
    """
    values, where = numpy.unique(numpy.asarray(scores, numpy.float64), return_inverse=True)
    if not len(values):
        return []
    counts = numpy.bincount(where)
    classes_there = min(classes, len(values))
    starts = _breaks(values, counts.astype(numpy.float64), classes_there)
    of_value = numpy.searchsorted(starts, numpy.arange(len(values)), side="right") + classes - classes_there
    grades: list[int] = of_value[where].tolist()
    return grades


def _breaks(values: NDArray[numpy.float64], counts: NDArray[numpy.float64], classes: int) -> NDArray[numpy.int64]:
    """Where each class begins among distinct rising values that occur so often, by dynamic programming."""
    n = len(values)
    centred = values - values.mean()
    ends = [numpy.concatenate([[0.0], numpy.cumsum(part)]) for part in (counts, counts * centred, counts * centred**2)]
    weight, total, square = (end[None, :] - end[:, None] for end in ends)  # of values i to j - 1, at [i, j]
    with numpy.errstate(divide="ignore", invalid="ignore"):
        cost = numpy.where(weight > 0, square - total**2 / weight, numpy.inf)
    best = cost[0]
    chosen = []
    for _ in range(classes - 1):
        sums = best[:, None] + cost
        chosen.append(sums.argmin(axis=0))
        best = sums.min(axis=0)
    starts = [n]
    for at in reversed(chosen):
        starts.append(int(at[starts[-1]]))
    return numpy.array([0, *reversed(starts[1:])])
