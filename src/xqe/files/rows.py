"""What stands in files, whichever form it has: an object a query or a document, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.files import columns, elements, folders, forms, irdatasets, jsonl, packing, parquet, sgml, topics
from xqe.files.fields import USUAL, Fields
from xqe.files.forms import Form, Kind
from xqe.files.jsonl import Line
from xqe.messages import say

Row = tuple[str, Any]
"""Where it stands ("file:12"), and what JSON has there, or the columns by their names."""

_OPTION = "--input-format"


@dataclass
class Rows:
    """The rows of files, which may be read anew; what is said of them is said once.

    kind: what they are. form: that of all files, unless it is auto. fields: what their fields are called. Raises
    XqeError for a form that this kind cannot have.
    """

    kind: Kind
    form: Form = Form.AUTO
    fields: Fields = USUAL
    are_many: bool = field(default=False, init=False)  # of a folder, which may have other files than documents
    _said: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        if self.form is not Form.AUTO and self.form not in self.kind.forms:
            takes = ", ".join(form for form in Form if form in self.kind.forms)
            raise XqeError(f"{_OPTION} {self.form} means nothing to {self.kind.several}", f"they are {takes}")

    @property
    def given(self) -> str:
        """An option that says how files are written, or "" where none does."""
        if self.form is not Form.AUTO:
            return f"{_OPTION} {self.form}"
        return "--id-field" if self.fields.id else "--text-field" if self.fields.text else ""

    def read(self, paths: Sequence[str]) -> Iterator[Row]:
        """Yield the rows of files, of "-", standard input, of folders of documents, and of ids of ir_datasets.

        A row without an id is given one where it may lack it: q1 and so on, by its number among all, d1 for a document.
        Raises InputError for a file that cannot be read, or is not what it is said to be.
        """
        number = 0
        for path in paths:
            is_made: bool | None = None
            for form, (where, raw) in self._of(path):
                number += 1
                if form in self.kind.numbered and isinstance(raw, dict):
                    has_id = any(name in raw for name in (*self.kind.ids, "topic_id"))
                    if is_made is None:
                        is_made = not has_id
                        if is_made:
                            self._say_made(path, form)
                    if is_made and has_id:
                        raise InputError(f"{where}: an id, where those before have none", "give one to all, or to none")
                    if is_made:
                        raw = {"id": f"{self.kind.one[0]}{number}", **raw}
                yield where, raw

    def _of(self, path: str) -> Iterator[tuple[Form, Row]]:
        """The rows of one path, each with the form that it has."""
        if irdatasets.is_named(path) and (read := _NAMED.get(self.kind.one)) is not None:
            for row in read(path):
                yield Form.JSONL, row
        elif self.kind is forms.DOCUMENTS and path != jsonl.STDIN and Path(path).is_dir():
            files, form, left_out = folders.documents_of(Path(path), self.form)
            if left_out:
                self._say(left_out)
            self.are_many = len(files) > 1
            for file in files:
                if form is Form.TEXT:
                    text = _joined(jsonl.as_they_are(str(file)))
                    yield form, (f"{file}:1", {"id": folders.text_id(file, Path(path)), **text})
                else:
                    yield from self._of_file(str(file), form)
        else:
            yield from self._of_file(path, self.form)

    def _of_file(self, path: str, form: Form) -> Iterator[tuple[Form, Row]]:
        """The rows of a file, of which the first line is read to tell its form, and no line twice."""
        if form is Form.AUTO and Form.PARQUET in self.kind.forms and parquet.is_parquet(Path(path)):
            form = Form.PARQUET
        if form is Form.PARQUET:
            lines: Iterator[Line] = iter(())
        else:
            lines = jsonl.as_they_are(path)
            before: list[Line] = []
            first = next((line for line in jsonl.filled(_kept(lines, before))), None)
            if first is None:
                if form is Form.TEXT and path != jsonl.STDIN:
                    yield form, (f"{path}:1", {"id": _file_id(path), "text": ""})
                return
            lines = chain(before, lines)
            if form is Form.AUTO:
                form = self._recognised(path, first)
        for where, raw in _READERS[form](path, lines, self):
            yield form, (where, self.fields.of(raw, where, self.kind is forms.DOCUMENTS))

    def _recognised(self, path: str, first: Line) -> Form:
        where, text = first
        form = forms.recognised(path, text, self.kind)
        if form is None:
            raise InputError(
                f"{where}: neither JSON nor columns",
                f"{_OPTION} says what it is: {Form.TEXT}, a file is one document; {Form.LINES}, a line is; {Form.CSV}",
            )
        if form not in self.kind.forms:
            what = "columns" if form in (Form.TSV, Form.CSV) else "a bare text"
            raise InputError(f"{where}: {what}, not JSON", "each line needs the record of another command")
        if form not in (Form.JSONL, Form.LINES, forms.by_name(path)) and not (
            form is Form.TEXT or (form is Form.JSON and forms.by_name(path))
        ):
            self._say(f"{_shown(path)}: taken for {forms.SAID[form]}; {_OPTION} says otherwise")
        return form

    def _say_made(self, path: str, form: Form) -> None:
        one = self.kind.one
        numbered = f"{self.kind.several} are {one[0]}1, {one[0]}2 and so on"
        if form is Form.LINES and self.form is Form.AUTO:
            self._say(f"{_shown(path)}: taken for a {one} a line, {numbered}; {_OPTION} says otherwise")
        else:
            has_columns = form not in (Form.LINES, Form.TEXT)
            self._say(f"{_shown(path)}: no ids, so {numbered}{'; --id-field names theirs' * has_columns}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            say(text)


def _shown(path: str) -> str:
    return "<stdin>" if path == jsonl.STDIN else path


def _kept(lines: Iterator[Line], kept: list[Line]) -> Iterator[Line]:
    for line in lines:
        kept.append(line)
        yield line


def _joined(lines: Iterator[Line]) -> dict[str, str]:
    """Lines that are one text."""
    text = "\n".join(line.removesuffix("\r") for _, line in lines)
    return {"text": text.lstrip("\ufeff").strip("\n")}


def _file_id(path: str) -> str:
    return folders.text_id(Path(path), Path(path).parent)


# ---------------------------------------------------------------- forms

Reader = Callable[[str, Iterator[Line], Rows], Iterator[Row]]


def _jsonl(path: str, lines: Iterator[Line], rows: Rows) -> Iterator[Row]:
    return ((where, jsonl.value(text, where)) for where, text in jsonl.filled(lines))


def _json(path: str, lines: Iterator[Line], rows: Rows) -> Iterator[Row]:
    for where, value in elements.elements(jsonl.filled(lines)):
        yield where, {rows.kind.field: value} if isinstance(value, str) and rows.kind.field else value


def _lines(path: str, lines: Iterator[Line], rows: Rows) -> Iterator[Row]:
    for where, text in jsonl.filled(lines):
        if rows.kind is forms.TEXTS and rows.form is Form.AUTO and text.lstrip().startswith("{"):
            yield where, jsonl.value(text, where)
            continue
        if rows.form is Form.AUTO and text.lstrip().startswith('{"'):
            raise InputError(f"{where}: JSON among bare texts", f"if it is a text, {_OPTION} {Form.LINES} says so")
        yield where, {rows.kind.field: text.strip()}


def _whole(path: str, lines: Iterator[Line], rows: Rows) -> Iterator[Row]:
    text = _joined(lines)
    yield f"{_shown(path)}:1", text if path == jsonl.STDIN else {"id": _file_id(path), **text}


def _trec(path: str, lines: Iterator[Line], rows: Rows) -> Iterator[Row]:
    if rows.kind is not forms.DOCUMENTS:
        yield from topics.queries(jsonl.filled(lines), _shown(path))
        return
    is_empty = True
    for row in sgml.documents(jsonl.filled(lines)):
        is_empty = False
        yield row
    if is_empty and rows.are_many:
        say(f"{path}: no <DOC> in it")
    elif is_empty:
        raise InputError(f"{_shown(path)}: SGML, XML or HTML without <DOC>", "each of TREC's documents is in <DOC>")


_READERS: dict[Form, Reader] = {
    Form.JSONL: _jsonl,
    Form.JSON: _json,
    Form.CSV: lambda path, lines, rows: columns.csv_rows(lines, rows.kind, rows.fields),
    Form.TSV: lambda path, lines, rows: columns.tsv_rows(lines, rows.kind, rows.fields),
    Form.LINES: _lines,
    Form.TEXT: _whole,
    Form.TREC: _trec,
    Form.PARQUET: lambda path, lines, rows: parquet.rows(path, rows.kind, rows.fields),
}


def _named_documents(path: str) -> Iterator[Row]:
    return irdatasets.documents(irdatasets.load(path, ["docs"]), path)


def _named_queries(path: str) -> Iterator[Row]:
    return irdatasets.queries(irdatasets.load(path, ["queries"]), path)


_NAMED = {forms.QUERIES.one: _named_queries, forms.DOCUMENTS.one: _named_documents}


# ---------------------------------------------------------------- reading twice


def can_be_read_twice(path: str) -> bool:
    """Whether what a path names is no pipe. Raises InputError for one that cannot be opened."""
    return irdatasets.is_named(path) or jsonl.can_be_read_twice(path)


def line_count(paths: Sequence[str], form: Form = Form.AUTO) -> int | None:
    """How many rows the files hold, None where that takes more than counting lines: a pipe, or a packed file."""
    total = 0
    for path in paths:
        named = (forms.by_name(path) or Form.JSONL) if form is Form.AUTO else form
        is_by_line = named in (Form.JSONL, Form.TSV, Form.LINES) and forms.suffix(path) not in forms.TEXT_SUFFIXES
        if not is_by_line or path.endswith(packing.SUFFIXES) or not Path(path).is_file():
            return None
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                total += block.count(b"\n")
    return total
