"""An index of documents in several languages: an index for each language, and a manifest that names them all.

    DIR/xqe.json         the manifest: the data folder, and of each language's index how many documents it has and the
                         sha256 of its own manifest
    DIR/data-N/LANG/     the index of a language, which is like any other
    DIR/LANG             a link to that, by which it is named

As with one index, a build makes a new data folder and then replaces the manifest in one step: whenever it is killed,
the manifest names whole indexes, the old ones or the new ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from xqe import __version__
from xqe.errors import InputError, XqeError, why
from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.files.sealed import read_sealed
from xqe.files.whole import damaged
from xqe.messages import Progress
from xqe.retrieval.documents import MANIFEST, SEVERAL, data_folder, is_several
from xqe.retrieval.lexical.bm25 import BY_LENGTH, ByLength, Parameters
from xqe.retrieval.lexical.builder import Ids, building, check_folder, no_documents, replace_data
from xqe.retrieval.lexical.dealing import Builders, build_shards
from xqe.retrieval.lexical.index import Index
from xqe.retrieval.lexical.joining import Finished, join
from xqe.retrieval.lexical.manifest import DATA, OURS, REBUILD, Contents, put_fields
from xqe.retrieval.lexical.opening import open_index
from xqe.text.languages import language

FORMAT = 1
_LINK = re.compile(r"[a-z]{2,3}(?:\.new)?")  # by the code of a language
_OURS = re.compile(rf"{OURS.pattern}|{_LINK.pattern}")
_AT_A_TIME = 1000  # documents


@dataclass(frozen=True, slots=True)
class Languages:
    """What xqe.json holds besides its seal. languages: code -> {"documents", "sha256" of the manifest of its index}."""

    kind: str
    format: int
    xqe: str
    data: str
    languages: dict[str, dict[str, Any]]


def check_languages(directory: Path, replace: bool) -> None:
    """Raise XqeError unless an index of several languages may be built there."""
    if data_folder(directory) is not None and not is_several(directory):
        raise XqeError(f"{directory}: holds an index of one language", "give another folder")
    check_folder(directory, replace, _OURS)
    for place in _links(directory):
        if not place.is_symlink():
            raise XqeError(f"{place}: is none of the links to indexes", "move it away, or give another folder")


def _links(directory: Path) -> list[Path]:
    """What lies in a folder under the names that links to the languages' indexes have."""
    return sorted(place for place in directory.glob("*") if _LINK.fullmatch(place.name))


def build_languages(
    directory: Path,
    documents: Iterable[Placed],
    replace: bool = False,
    parameters: Parameters | ByLength = BY_LENGTH,
    keep_texts: bool = True,
    shown: Progress | None = None,
    shards: int = 1,
    builders: Builders | None = None,
) -> dict[str, Contents]:
    """Build an index for each language that documents name, and return their manifests by language.

    The rest is as with `build_shards`. Documents are kept on disk until all are read. Raises InputError also for a
    document that names no language, or one that xqe does not know, and for an id that comes twice, in whichever
    languages.
    """
    check_languages(directory, replace)
    manifests: dict[str, Contents] = {}

    def fill(data: Path) -> None:
        for code, path in _sorted_out(documents, data).items():
            its = (False, parameters, keep_texts, shown, builders)
            manifests[code] = build_shards(data / code, code, _read(path), shards, *its)
            path.unlink()

    _replace(directory, replace, fill, manifests)
    return manifests


def join_languages(
    directory: Path,
    parts: Mapping[str, Sequence[Finished]],
    replace: bool = False,
    chosen: ByLength = BY_LENGTH,
    beside: Mapping[str, Callable[[Path], object]] | None = None,
) -> dict[str, Contents]:
    """Join the indexes of each language to one, as `join` does, and all of these to an index of several languages."""
    check_languages(directory, replace)
    manifests: dict[str, Contents] = {}

    def fill(data: Path) -> None:
        for code, its in sorted(parts.items()):
            manifests[code] = join(data / code, its, False, chosen, (beside or {}).get(code))

    _replace(directory, replace, fill, manifests)
    return manifests


def _replace(directory: Path, replace: bool, fill: Callable[[Path], None], manifests: Mapping[str, Contents]) -> None:
    """Put the indexes that `fill` makes in a new data folder, and tells the manifests of, in the place of others."""

    def make(data: Path) -> Languages:
        fill(data)
        described = {code: _described(data / code, manifest) for code, manifest in manifests.items()}
        return Languages(SEVERAL, FORMAT, __version__, data.name, described)

    with building(directory):
        check_languages(directory, replace)  # another build may have ended since
        replace_data(directory, _named_data, make, _put)


def _sorted_out(documents: Iterable[Placed], data: Path) -> dict[str, Path]:
    """A file of the documents of each language, in the order of their codes."""
    ids = Ids()
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}
        rest = iter(documents)
        while some := list(islice(rest, _AT_A_TIME)):
            ids.add(some)
            for where, document in some:
                if not document.lang:
                    raise InputError(f'{where}: no "lang"', "--lang record reads the language of each document from it")
                code = language(document.lang, where).code
                if code not in files:
                    files[code] = stack.enter_context((data / f"{code}.jsonl").open("w", encoding="ascii"))
                kept = where, document.id, document.text, document.title, document.questions
                files[code].write(f"{json.dumps(kept)}\n")
    if not files:
        raise no_documents()
    return {code: data / f"{code}.jsonl" for code in sorted(files)}


def _read(path: Path) -> Iterator[Placed]:
    with path.open(encoding="ascii") as file:
        for line in file:
            where, name, text, title, questions = json.loads(line)
            yield where, Document(name, text, title, questions=questions)


def _described(directory: Path, manifest: Contents) -> dict[str, Any]:
    return {"documents": manifest.documents, "sha256": sha256((directory / MANIFEST).read_bytes()).hexdigest()}


def _put(directory: Path, languages: Languages) -> None:
    """Put the manifest in its place, and then the links."""
    put_fields(directory, asdict(languages))
    for code in languages.languages:
        new = directory / f"{code}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(Path(languages.data) / code)
        new.replace(directory / code)
    for link in _links(directory):
        if link.name not in languages.languages:
            link.unlink()


def _named_data(directory: Path) -> str:
    try:
        return read_languages(directory).data
    except InputError:
        return ""


def read_languages(directory: Path) -> Languages:
    """Return the manifest of an index of several languages; raises InputError for a damaged one."""
    path = directory / MANIFEST
    fields = read_sealed(path, REBUILD)
    if fields.get("format") != FORMAT:
        raise InputError(f"{directory}: an index of format {fields.get('format')}, this xqe reads {FORMAT}", REBUILD)
    languages = Languages(**fields)
    if not DATA.fullmatch(languages.data) or not all(map(_LINK.fullmatch, languages.languages)):
        raise damaged(path, REBUILD)
    return languages


def open_languages(directory: Path, verify: bool = False, threads: int | None = None) -> dict[Path, Index]:
    """Open the index of each language, by its folder, as `open_index` does.

    Raises InputError also for one that was built by itself since it was built with the others.
    """
    languages = read_languages(directory)
    while True:
        try:
            return {folder: open_index(folder, verify, threads) for folder in _folders(directory, languages)}
        except InputError:
            newer = read_languages(directory)
            if newer == languages:
                raise
            languages = newer  # all were replaced between reading the manifest and the files


def _folders(directory: Path, languages: Languages) -> Iterator[Path]:
    for code, described in languages.languages.items():
        folder = directory / languages.data / code
        try:
            written = (folder / MANIFEST).read_bytes()
        except OSError as error:
            raise InputError(f"{folder / MANIFEST}: {why(error)}", REBUILD) from None
        if sha256(written).hexdigest() != described["sha256"]:
            raise InputError(f"{directory / code}: not the index that was built with the others", REBUILD)
        yield folder
