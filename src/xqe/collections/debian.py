"""Package descriptions of Debian and Ubuntu, as people translated them: a collection that such a machine can have.

Translators of the Debian Description Translation Project write a synopsis, a line that says what a package is, and
a long description. The archive has them in one list a language, which apt-get fetches:

    Package: 3dchess
    Description-md5: 12d01b96d7645ee302ebc29cde999e92
    Description-fr: échecs en 3D sur 3 échiquiers
     There are three boards, ...

A query is a synopsis and a document a long description; the one of the same package is relevant, in every language.
A translation is taken if it is one of the English text that is there, by its md5.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.collections import draws
from xqe.collections.draws import share
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.target import check_target
from xqe.errors import XqeError, why
from xqe.files.hashes import sha256
from xqe.files.records import Document
from xqe.messages import say
from xqe.text.languages import language

LANGUAGES = (
    "ar", "ca", "cs", "da", "de", "el", "en", "eo", "es", "eu", "fi", "fr", "gl", "hi", "hr", "hu", "id", "it",
    "ja", "km", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sr", "sv", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""Languages that the archive has lists of."""
_NAMES = {"no": "nb", "pt": "pt_BR", "zh": "zh_CN"}
"""Language -> what the archive calls its list, where that is not its code. Of two kinds of Portuguese and Chinese, the
one with more texts."""

LEAST_DOCUMENTS = 100  # fewer make no collection
SPLITS = {"train": 0.5, "dev": 0.1, "test": 0.4}
EXAMPLES = 50
ENGLISH_LENGTH = 150  # characters; a shorter description says little more than its synopsis
LICENCE = "each description under the licence of its package; all of them free by Debian's guidelines (main, universe)"
ABOUT = "Descriptions of Debian packages, translated by people: a synopsis finds the long description"

_COMPONENTS = ("main", "universe")  # free software by Debian's guidelines
_TIMEOUT = 600.0  # seconds
_SYNOPSIS = re.compile(r"Description-(?!md5)[A-Za-z_]+: +(.*)")
_WIDE = r"[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
_WIDE_JOINT = re.compile(rf"(?<={_WIDE}) (?={_WIDE})")

_APT_CONFIGURATION = """
#clear Acquire::Languages;
#clear Acquire::IndexTargets;
#clear APT::Update;
Acquire::Languages {{ {languages} }};
Acquire::IndexTargets::deb::Translations {{
  MetaKey "$(COMPONENT)/i18n/Translation-$(LANGUAGE)";
  flatMetaKey "$(LANGUAGE)";
  ShortDescription "Translation-$(LANGUAGE)";
  Description "$(RELEASE)/$(COMPONENT) Translation-$(LANGUAGE)";
}};
Acquire::GzipIndexes "false";
Acquire::Retries "2";
Dir::State "{folder}/state";
Dir::State::Lists "{folder}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
{sandbox}
"""
"""Folders of its own, and of all indexes only the translations, so that nothing of the machine's apt changes."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a list says of a package in one language. md5: of the English text."""

    package: str
    md5: str
    synopsis: str
    text: str


Packages = dict[str, Description]


def build(directory: Path, languages: Sequence[str], force: bool = False) -> Collection:
    """Fetch the lists and write the collection. Raises XqeError without apt-get, network or translations."""
    check_target(directory, force)
    packages, source = fetched(languages)
    with CollectionWriter(directory, "debian", force) as writer:
        return _written(writer, packages, source)


def fetched(languages: Sequence[str]) -> tuple[dict[str, Packages], dict[str, Any]]:
    """Language -> descriptions, and what the manifest says of where they are from. Raises XqeError for too few."""
    with translation_lists(languages) as lists:
        packages = {lang: found for lang, found in descriptions(lists).items() if lang in languages}
        if not packages:
            said = f"in {' '.join(languages)} there are not {LEAST_DOCUMENTS} package descriptions"
            raise XqeError(said, "choose other languages: xqe data info debian")
        return packages, origin(lists)


def origin(lists: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """What the manifest says of the lists: their names without the server's, sizes and hashes."""
    files = sorted((path for paths in lists.values() for path in paths), key=lambda path: path.name)
    return {
        "name": "debian",
        "files": [
            {"file": path.name.partition("_dists_")[2], "bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in files
        ],
    }


def _written(writer: CollectionWriter, packages: Mapping[str, Packages], source: dict[str, Any]) -> Collection:
    queries = {lang: unique_queries(packages[lang]) for lang in packages}
    for lang, found in packages.items():
        writer.documents(lang, (Document(one.package, one.text) for one in found.values()))
    for split in SPLITS:
        asked: set[str] = set()
        for lang, texts in queries.items():
            chosen = [(name, text) for name, text in texts.items() if split_of(name) == split]
            asked.update(name for name, _ in chosen)
            writer.queries(split, lang, chosen)
        for lang, found in packages.items():
            writer.qrels(split, ANY, lang, ((name, name, 1) for name in found if name in asked))
    for lang, found in packages.items():
        writer.examples("train", lang, examples(found, queries[lang], lang))
    for lang, found in packages.items():
        if same := len(found) - len(queries[lang]):
            writer.note(f"{lang}: {same} synopses that another package has too are no queries")
    return writer.finish(ABOUT, source, LICENCE, parallel=True)


# ---------------------------------------------------------------- from the archive


@contextmanager
def translation_lists(languages: Iterable[str]) -> Iterator[dict[str, list[Path]]]:
    """Fetch the lists of some languages, and English, with apt-get; language -> its files, the largest first.

    A release comes before its updates, which hold few packages. The files are there until the end of the context.
    """
    program = shutil.which("apt-get")
    if program is None:
        raise XqeError("no apt-get here", "the collection debian is made on Debian, Ubuntu and what derives from them")
    with tempfile.TemporaryDirectory(prefix="xqe-debian-") as name:
        folder = Path(name)
        wanted = sorted({"en", *languages})
        configuration = folder / "apt.conf"
        configuration.write_text(
            _APT_CONFIGURATION.format(
                languages=" ".join(f'"{_name(lang)}";' for lang in wanted),
                folder=folder,
                # root's temporary folders are closed to the user that apt would download as
                sandbox='APT::Sandbox::User "root";' if os.geteuid() == 0 else "",
            )
        )
        for part in ("lists/partial", "state", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        complaint = _updated(program, configuration)
        lists = {lang: _lists_of(folder / "lists", _name(lang)) for lang in wanted}
        if not lists["en"]:
            why = complaint or "the sources of this machine offer none"
            raise XqeError(f"apt-get got no package descriptions: {why}", "check the network and /etc/apt/sources.list")
        yield lists


def _name(lang: str) -> str:
    return _NAMES.get(lang, lang)


def _updated(program: str, configuration: Path) -> str:
    """Run apt-get update; return its first complaint."""
    say("fetching lists of package descriptions with apt-get (50 MB for all languages)")
    command = [program, "-c", str(configuration), "-q", "update"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_TIMEOUT:.0f} seconds"
    except OSError as error:
        return why(error)
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    return next((line[2:].strip() for mark in ("E:", "W:") for line in lines if line.startswith(mark)), "")


def _lists_of(folder: Path, name: str) -> list[Path]:
    ending = f"_i18n_Translation-{name.replace('_', '%5f')}"
    lists = folder.glob(f"*{ending}")
    free = [path for path in lists if path.name.removesuffix(ending).rpartition("_")[2] in _COMPONENTS]
    return sorted(free, key=lambda path: (-path.stat().st_size, path.name))


def read_list(path: Path) -> Iterator[Description]:
    """Yield the descriptions in a list; a stanza that lacks one of its fields is passed over."""
    fields: dict[str, str] = {}
    lines: list[str] = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for raw in [*file, "\n"]:
            line = raw.rstrip("\n")
            if not line:
                if len(fields) == 3:
                    yield Description(fields["package"], fields["md5"], fields["synopsis"], unfolded(lines))
                fields, lines = {}, []
            elif line.startswith(" "):
                lines.append(line)
            elif line.startswith("Package: "):
                fields["package"] = line.partition(": ")[2].strip()
            elif line.startswith("Description-md5: "):
                fields["md5"] = line.partition(": ")[2].strip()
            elif found := _SYNOPSIS.match(line):
                fields["synopsis"] = " ".join(found[1].split())


def unfolded(lines: Sequence[str]) -> str:
    """The paragraphs of a long description, a line each.

    In the archive one leading space marks a line that belongs to a paragraph, more of them a line of its own, and " ."
    an empty one. Chinese and Japanese lines are joined without a space: they are broken within words.
    """
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip() in ("", "."):
            paragraphs.append([])
        elif line.startswith("  "):
            paragraphs += [[line], []]
        else:
            paragraphs[-1].append(line)
    joined = (" ".join(" ".join(part).split()) for part in paragraphs)
    return "\n".join(_WIDE_JOINT.sub("", text) for text in joined if text)


# ---------------------------------------------------------------- what of it is used


def descriptions(lists: Mapping[str, Sequence[Path]]) -> dict[str, Packages]:
    """Language -> package -> its description, for languages that have enough of them; packages by name.

    Of the English ones, those that are long enough and whose synopsis and first paragraph no other package has: many
    packages of one program begin alike. Of the translations, those of these texts that are translated throughout, and
    unlike all others.
    """
    english = _first_of_each(lists["en"])
    kept = _distinct(english)
    found: dict[str, Packages] = {}
    for lang, paths in lists.items():
        if lang == "en":
            packages = kept
        else:
            translated = _translations(paths, english)
            packages = _different({name: translated[name] for name in kept if name in translated}, kept, lang)
        if len(packages) >= LEAST_DOCUMENTS:
            found[lang] = packages
        else:
            say(f"{lang}: left out, {len(packages)} texts of the {LEAST_DOCUMENTS} that are needed")
    return {lang: found[lang] for lang in sorted(found)}


def _first_of_each(paths: Iterable[Path]) -> Packages:
    packages: Packages = {}
    for path in paths:
        for one in read_list(path):
            packages.setdefault(one.package, one)
    return packages


def _distinct(english: Packages) -> Packages:
    kept: Packages = {}
    seen: set[str] = set()
    for name, one in sorted(english.items()):
        marks = {one.synopsis.casefold(), one.text.partition("\n")[0].casefold()}
        if len(one.text) >= ENGLISH_LENGTH and not marks & seen:
            seen |= marks
            kept[name] = one
    return kept


def _translations(paths: Iterable[Path], english: Packages) -> Packages:
    packages: Packages = {}
    for path in paths:
        for one in read_list(path):
            if one.package in english and one.md5 == english[one.package].md5:
                packages.setdefault(one.package, one)
    return packages


def _different(translated: Packages, english: Packages, lang: str) -> Packages:
    least = ENGLISH_LENGTH // (2.5 if language(lang).has_spaces else 5)
    kept: Packages = {}
    texts: set[str] = set()
    for name, one in translated.items():
        is_english = one.text == english[name].text or one.synopsis == english[name].synopsis
        if len(one.text) >= least and not is_english and one.text not in texts:
            texts.add(one.text)
            kept[name] = one
    return kept


def unique_queries(packages: Packages) -> dict[str, str]:
    """Package -> synopsis, of packages whose synopsis is theirs alone: else the same query had two answers."""
    return alone({name: one.synopsis for name, one in packages.items()})


def alone(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts that occur once, in whatever case."""
    counts: dict[str, int] = {}
    for text in texts.values():
        counts[text.casefold()] = counts.get(text.casefold(), 0) + 1
    return {name: text for name, text in texts.items() if counts[text.casefold()] == 1}


def split_of(name: str) -> str:
    """The split of a query."""
    return draws.split_of("debian split", name, SPLITS)


def examples(packages: Packages, queries: Mapping[str, str], lang: str) -> list[tuple[str, str]]:
    """Synopses and descriptions of `train` that show what a passage looks like: one paragraph, neither short nor
    long."""
    least, most = (150, 600) if language(lang).has_spaces else (60, 300)
    fitting = [
        name
        for name in queries
        if split_of(name) == "train" and "\n" not in packages[name].text and least <= len(packages[name].text) <= most
    ]
    chosen = sorted(fitting, key=lambda name: share("debian example", name))[:EXAMPLES]
    return [(queries[name], packages[name].text) for name in chosen]
