"""The forms that queries and documents come in: what each holds was written down by hand."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.errors import InputError, MissingExtraError, XqeError
from xqe.files.columns import csv_rows
from xqe.files.documents import documents
from xqe.files.elements import elements
from xqe.files.fields import Fields
from xqe.files.forms import DOCUMENTS, QUERIES, RECORDS, Form
from xqe.files.queries import Twice, checked
from xqe.files.records import check_query
from xqe.files.rows import Rows

BOM = b"\xef\xbb\xbf"
TWO = [("q1", "zinc", None), ("q2", "tin, lead", "de")]


def written(tmp_path: Path, data: bytes, name: str = "f") -> str:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def queries(path: str, form: Form = Form.AUTO, **fields: Any) -> list[tuple[str, str, str | None]]:
    found, total = checked(Rows(QUERIES, form, Fields(**fields)), [path], check_query)
    records = [record for _, record in found]
    assert total == len(records)
    return [(record["id"], record["query"], record.get("lang")) for record in records]


def texts(path: str, form: Form = Form.AUTO, **fields: Any) -> list[tuple[str, str, str]]:
    read = documents([path], Rows(DOCUMENTS, form, Fields(**fields)))
    return [(one.id, one.title, one.text) for _, one in read]


# ---------------------------------------------------------------- queries


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("f", b"zinc\n\n  tin, lead\r\n", [("q1", "zinc", None), ("q2", "tin, lead", None)]),
        ("f", BOM + b"q7\tzinc\nq8\ttin\tlead\n", [("q7", "zinc", None), ("q8", "tin\tlead", None)]),
        ("f", b'{"query": "zinc"}\n{"query": "tin, lead", "lang": "de"}\n', TWO),
        ("f", b'[{"query": "zinc"}, {"query": "tin, lead",\n\n "lang": "de"}]', TWO),
        ("f", b'["zinc",\n"tin, lead"]', [("q1", "zinc", None), ("q2", "tin, lead", None)]),
        ("f.json", b'[\n  {\n "_id": 7, "text": "[a, {b"\n}\n]\n', [("7", "[a, {b", None)]),
        ("f", b'id,query,lang\nq1,zinc,\nq2,"tin, lead",de\n', TWO),
        ("f.csv", BOM + b'Query ID;Text;Language\r\nq1;zinc;\r\nq2;"tin, lead";de\r\n', TWO),
        ("f.csv", b'query\nzinc\n"tin, lead"\n', [("q1", "zinc", None), ("q2", "tin, lead", None)]),
        ("f.tsv", b'qid\tquery\tlang\nq1\tzinc\t\nq2\ttin, lead\tde\n', TWO),
        ("f.csv", b"q1,zinc\nq2,tin\n", [("q1", "zinc", None), ("q2", "tin", None)]),
        ("f.tsv", b'q1\t"zinc" is\n', [("q1", '"zinc" is', None)]),  # no quotes in TSV
        ("f.txt", b"< 5 mg zinc\n", [("q1", "< 5 mg zinc", None)]),
    ],
)  # fmt: skip
def test_queries(tmp_path: Path, name: str, data: bytes, expected: list[tuple[str, str, str | None]]) -> None:
    assert queries(written(tmp_path, data, name)) == expected
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        assert queries(written(tmp_path, pack(data), name + suffix)) == expected


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("f", b'{"id": "1", "query": "zinc"}\ntin\n', "f:2: broken JSON"),
        ("f.jsonl", b"zinc\n", "f.jsonl:1: broken JSON"),
        ("f", b"null\n", "f:1: not a JSON object"),
        ("f", b'zinc\n{"id": "1", "query": "tin"}\n', "f:2: JSON among bare texts"),
        ("f", b'{"query": "zinc"}\n{"id": "7", "query": "tin"}\n', "f:2: an id, where those before have none"),
        ("f", b'{"id": "7", "query": "zinc"}\n{"query": "tin"}\n', 'f:2: missing "id"'),
        ("f.tsv", b"q1\tquery\tx\n", 'f.tsv:1: 3 columns without names; with a header, --id-field "q1"'),
        ("f.csv", b"nr,frage\n1,zinc\n", "f.csv:1: names of columns, or a query?"),
        ("f.csv", b"id,frage\n1,zinc\n", "f.csv:1: no column of the query"),
        ("f", b"<top>\n<num>1\n", "f:1: <top> without </top>; the file is not whole"),
        ("f.csv", b'id,query\n1,"zinc\n2,tin\n', "f.csv:2: broken CSV (unexpected end of data)"),
        ("f.csv", b"id,query\n1,zinc, tin\n", "f.csv:2: 3 columns, where the first line has 2 columns"),
        ("f", b'[{"query": "zinc"}', "f:1: an array without its end"),
        ("f", b'[{"query": "zinc"}]\n7', "f:2: text behind the array"),
        ("f", b'[{"query": "zinc"},]', "f:1: an array with nothing before ]"),
        ("f", b'[{"query": "zinc"},\n{"query": 1e400}]', "f:2: broken JSON"),
    ],
)  # fmt: skip
def test_what_are_no_queries(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        queries(written(tmp_path, data, name))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "fields", "expected"),
    [
        ("f", b'{"nr": 7, "frage": "zinc", "query": "x"}\n', {"id": "nr", "text": ("frage",)}, ("7", "zinc")),
        ("f", b'{"meta": {"nr": "a"}, "q": {"de": "Zink"}}\n', {"id": "meta.nr", "text": ("q.de",)}, ("a", "Zink")),
        ("f", b'{"meta.nr": "a", "query": "zinc"}\n', {"id": "meta.nr"}, ("a", "zinc")),
        ("f", b'{"id": "a", "query": "zinc", "language": "de"}\n', {}, ("a", "zinc")),
        ("f", b'{"title": "zinc", "desc": "of it"}\n', {"text": ("title", "desc")}, ("q1", "zinc of it")),
        ("f.csv", b"nr,frage\n1,zinc\n", {"id": "nr", "text": ("frage",)}, ("1", "zinc")),
        ("f.tsv", b"1\tx\tzinc\n", {"id": "1", "text": ("3",)}, ("1", "zinc")),
    ],
)  # fmt: skip
def test_queries_by_fields_of_their_own(
    tmp_path: Path, name: str, data: bytes, fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert [one[:2] for one in queries(written(tmp_path, data, name), **fields)] == [expected]


TREC_TOPICS = b"""<top>
<num> Number: 301
<title> zinc
<desc> Description:
What is zinc &amp; tin?
</top>
<top><num>302<title>lead
</top>
"""
XML_TOPICS = (
    b"""<topics lang="en"><topic number="1" lang="de"><title>Zink</title><narrative>x</narrative></topic></topics>"""
)


@pytest.mark.parametrize(
    ("data", "fields", "expected"),
    [
        (TREC_TOPICS, {}, [("301", "zinc", None), ("302", "lead", None)]),
        (TREC_TOPICS[:80] + b"</top>", {"text": ("title", "desc")}, [("301", "zinc What is zinc & tin?", None)]),
        (XML_TOPICS, {}, [("1", "Zink", "de")]),
        (b"<top><num>7</num><EN-title>zinc</EN-title></top>", {}, [("7", "zinc", "en")]),
    ],
)
def test_topics_are_queries(
    tmp_path: Path, data: bytes, fields: dict[str, Any], expected: list[tuple[str, str, str | None]]
) -> None:
    assert queries(written(tmp_path, data), **fields) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"<top><num>7<DE-title>Zink</DE-title><EN-title>zinc</EN-title></top>",
            "f:1: topics in several languages; xqe",
        ),
        (b"<html><p>zinc</p></html>", "f: no topic was read; xqe reads <top>"),
        (b"<top><num>7<desc>of zinc</top>", 'f:1: missing "query"; it has id, desc; --id-field and --text-field'),
    ],
)
def test_topics_that_make_no_queries(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        queries(written(tmp_path, data))
    assert message in str(caught.value)


def test_a_form_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"a": 1}\nx\ty\n', "f.jsonl")
    assert queries(path, Form.LINES) == [("q1", '{"a": 1}', None), ("q2", "x\ty", None)]
    with pytest.raises(XqeError, match="--input-format text means nothing to queries; they are jsonl, json, csv"):
        Rows(QUERIES, Form.TEXT)
    for data, what in ((b"a b\n", "a bare text"), (b"a\tb\n", "columns")):
        with pytest.raises(InputError, match=f"g:1: {what}, not JSON"):
            list(Rows(RECORDS).read([written(tmp_path, data, "g")]))


def test_what_was_taken_for_what_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = checked(Rows(QUERIES), [written(tmp_path, b"zinc\n"), written(tmp_path, b"tin\n", "g")], check_query)
    assert [record["id"] for _, record in found] == ["q1", "q2"]  # of all files
    said = "taken for a query a line, queries are q1, q2 and so on; --input-format says otherwise"
    assert capsys.readouterr().err == f"xqe: {tmp_path}/f: {said}\nxqe: {tmp_path}/g: {said}\n"
    queries(written(tmp_path, b'{"id": "1", "query": "zinc"}\n'))
    queries(written(tmp_path, b"q1,zinc\n", "f.csv"))
    assert capsys.readouterr().err == ""
    queries(written(tmp_path, b"q1\tzinc\n"))
    assert "taken for columns parted by tabs" in capsys.readouterr().err


def test_an_id_that_comes_again_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    twice = Twice()
    for line, (name, lang) in enumerate([("q1", "de"), ("q1", "fr"), ("q1", "de"), ("q1", "de")], 1):
        twice.look({"id": name, "lang": lang}, f"f:{line}")
    assert (
        capsys.readouterr().err == 'xqe: f:3: query "q1" again, first at f:1; xqe eval and xqe fuse take a query once\n'
    )


@pytest.mark.parametrize("lines", ["a\nb\n", "q1\ta\nq2\tb\n", "id,query\nq1,a\nq2,b\n", '[{"query": "a"},\n"b"]\n'])
def test_a_pipe_is_read_as_it_comes(lines: str) -> None:
    """What is behind the first record need not be there when that is read, whatever the form."""
    reading, writing = os.pipe()
    script = "from xqe.files.rows import Rows; from xqe.files.forms import QUERIES\n"
    script += "for where, raw in Rows(QUERIES).read(['-']): print(raw['query'], flush=True)"
    with subprocess.Popen([sys.executable, "-c", script], stdin=reading, stdout=subprocess.PIPE) as process:
        os.close(reading)
        assert process.stdout is not None
        *first, last = lines.splitlines(keepends=True)
        os.write(writing, "".join(first).encode())
        assert process.stdout.readline() == b"a\n"
        os.write(writing, last.encode())
        os.close(writing)
        assert process.stdout.readline() == b"b\n"


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize(
    ("name", "data", "fields", "expected"),
    [
        ("f", b"id\ttitle\ttext\n1\tZ\tzinc\n", {}, [("1", "Z", "zinc")]),
        ("f.tsv", b"docno\turl\ttext\n1\thttp://x\tzinc\ttin\n", {}, [("1", "", "zinc\ttin")]),
        ("f.csv", b'docno,headline,body\n1,"Z, T","zinc\n\n  ""tin"" \n"\n', {}, [("1", "Z, T", 'zinc\n\n  "tin" \n')]),
        ("f.csv", b"title,content\nZ,zinc\nT,tin\n", {}, [("d1", "Z", "zinc"), ("d2", "T", "tin")]),
        ("f.csv", b"\n\ntext;id\n;7\n", {}, [("7", "", "")]),
        ("f.csv", b"id,text\n\n,,\n1,zinc,\n", {}, [("1", "", "zinc")]),
        ("f.csv", b"id|text\n1|zinc, tin\n", {}, [("1", "", "zinc, tin")]),
        ("f.csv", b"Nr,Kopf,Inhalt\n1,Z,zinc\n", {"id": "Nr", "text": ("Kopf", "Inhalt")}, [("1", "", "Z\n\nzinc")]),
        ("f.csv", b"Nr,text,Inhalt\n1,Z,zinc\n", {"id": "Nr", "text": ("Inhalt",), "title": "text"},
         [("1", "Z", "zinc")]),
        ("f.csv", b"u,1,Z,zinc\n", {"id": "2", "text": ("4",), "title": "3"}, [("1", "Z", "zinc")]),
        ("f.csv", b"id,text\n1,zinc\n", {"id": "1", "text": ("2",)}, [("1", "", "zinc")]),  # no header is a document
        ("f.tsv", b"1\tzinc\ttin\n", {"id": "1", "text": ("2-",)}, [("1", "", "zinc\ttin")]),
        ("f", b'{"url": "u", "headline": "Z", "content": "zinc"}\n',
         {"id": "url", "text": ("content",), "title": "headline"}, [("u", "Z", "zinc")]),
        ("f", b'{"id": "a", "x": "zinc", "y": null, "z": "tin"}\n', {"text": ("x", "y", "z")},
         [("a", "", "zinc\n\ntin")]),
        ("f", b'[{"id": 1, "contents": "zinc"},\n {"id": 2, "body": "tin", "title": "T"}]\n', {},
         [("1", "", "zinc"), ("2", "T", "tin")]),
        ("f", b"<DOC>\n<DOCNO> A1 </DOCNO>\n<HEADLINE>Z</HEADLINE><TEXT>\nzinc\n</TEXT>\n</DOC>\n", {},
         [("A1", "Z", "zinc")]),
        ("a note.txt", b"zinc\r\n\r\ntin\r\n", {}, [("a%20note.txt", "", "zinc\n\ntin")]),
        ("a.md", b"", {}, []),
    ],
)  # fmt: skip
def test_documents(
    tmp_path: Path, name: str, data: bytes, fields: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert texts(written(tmp_path, data, name), **fields) == expected
    if expected:
        assert texts(written(tmp_path, bz2.compress(data), f"{name}.bz2"), **fields) == expected


@pytest.mark.parametrize(
    ("name", "data", "fields", "message"),
    [
        ("f.csv", b"nr,inhalt\n1,zinc\n", {},
         'f.csv:1: names of columns, or a document?; with a header, --id-field "nr"'),
        ("f.tsv", b"1\thttp://x\tzinc\n", {}, "3 columns without names"),
        ("f.csv", b"Inhalt\nzinc\n", {}, 'if it is a header, --text-field "Inhalt" says so; if not, --text-field 1'),
        ("f.tsv", b"id\ttitle\n1\tzinc\n", {}, "no column of the text"),
        ("f.tsv", b"1\n", {}, "f.tsv:1: no tab; a line is id<TAB>text; of a text alone, --input-format lines"),
        ("f.csv", b"id,text\n1,a\n", {"id": "nr"}, 'f.csv:1: no column "nr"; its columns are id, text'),
        ("f.csv", b"1,a\n", {"id": "1", "text": ("3",)}, "f.csv:1: no column 3; it has 2 columns"),
        ("f", b'{"url": "u", "content": "a"}\n', {}, 'missing "id"; it has url, content; --id-field, --text-field'),
        ("f.csv", b"nr,inhalt,url\n1,zinc and tin,x\n", {}, '--id-field "nr" --text-field "inhalt" or the like'),
        ("f", b'{"meta": {"nr": 1, "by": "a"}, "text": "b"}\n', {}, 'missing "id"; it has meta.nr, meta.by, text'),
        ("f", b'{"id": "u", "text": ["a"]}\n', {"text": ("text",)}, 'f:1: "text" is not a string'),
        ("f", b'{"id": "u", "x": null}\n', {"text": ("x",)}, 'f:1: "x" is null'),
        ("f", b'{"url": "u"}\n', {"id": "url", "text": ("body",)}, 'f:1: missing "body"; it has url'),
        ("f", b'{"id": "u", "x": ["a"], "y": "b"}\n', {"text": ("x", "y")}, '"x" is not a string'),
        ("f", b"zinc\n", {}, "f:1: neither JSON nor columns; --input-format says what it is: text, a file"),
        ("f", b"<html>zinc</html>", {}, "f: SGML, XML or HTML without <DOC>"),
    ],
)  # fmt: skip
def test_what_are_no_documents(tmp_path: Path, name: str, data: bytes, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        texts(written(tmp_path, data, name), **fields)
    assert message in str(caught.value)


def test_documents_a_line_have_numbers(tmp_path: Path) -> None:
    assert texts(written(tmp_path, b"zinc\ntin\n"), Form.LINES) == [("d1", "", "zinc"), ("d2", "", "tin")]


def test_a_folder_of_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in {
        "b.txt": b"zinc\n",
        "a/c d.md": b"# tin\n",
        "a/e.txt.gz": gzip.compress(b"lead"),
        "a/.hidden.txt": b"x",
        "p.pdf": b"%PDF-1.7",
        "q.jpg": b"\xff\xd8",
    }.items():
        written(tmp_path, data, f"docs/{name}")
    found = texts(str(tmp_path / "docs"))
    assert found == [("a/c%20d.md", "", "# tin"), ("a/e.txt", "", "lead"), ("b.txt", "", "zinc")]
    assert capsys.readouterr().err == f"xqe: {tmp_path}/docs: 2 of 5 files are not read: 1 .pdf, 1 .jpg\n"
    written(tmp_path, b'{"id": "1", "text": "one"}\n', "docs/z.jsonl")  # then texts are what is written about them
    assert texts(str(tmp_path / "docs")) == [("1", "", "one")]
    assert texts(str(tmp_path / "docs" / "a"), Form.LINES) == [("d1", "", "# tin"), ("d2", "", "lead")]


def test_a_folder_of_trec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, b"of this disk\n", "disk/0readme")
    written(tmp_path, b"<DOC>\n<DOCNO>A1</DOCNO>\nzinc</DOC>\n", "disk/fb1")
    assert texts(str(tmp_path / "disk")) == [("A1", "", "zinc")]
    assert "0readme: no <DOC> in it" in capsys.readouterr().err


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="of the extra parquet")
    from pyarrow import parquet

    path = str(tmp_path / "f")  # told by its first bytes
    parquet.write_table(pyarrow.table({"Doc ID": [1, 2], "Body": ["zinc", None], "headline": ["Z", "T"]}), path)
    assert texts(path) == [("1", "Z", "zinc"), ("2", "T", "")]
    assert texts(path, id="headline", text=("Body",))[0] == ("Z", "", "zinc")
    parquet.write_table(pyarrow.table({"question": ["zinc", "tin"]}), path)
    assert [one[:2] for one in queries(path)] == [("q1", "zinc"), ("q2", "tin")]


def test_parquet_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError, match=r'reading Parquet needs pyarrow; install it with: pip install "xqe\[parquet'
    ):
        texts(written(tmp_path, b"PAR1\x15\x04", "f.parquet"))


# ---------------------------------------------------------------- against what others read


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=12)


@settings(max_examples=50)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.sampled_from(",;\t"))
def test_csv_is_what_the_standard_library_writes(rows: list[tuple[str, str]], delimiter: str) -> None:
    out = io.StringIO()
    table = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    table.writerows([["id", "title", "text"], *([str(n), *row] for n, row in enumerate(rows))])
    lines = iter([(f"f:{n}", line) for n, line in enumerate(out.getvalue().split("\n")[:-1], 1)])
    found = [(row.get("title", ""), row["text"]) for _, row in csv_rows(lines, DOCUMENTS, Fields())]
    assert found == [(title if title.strip() else "", text) for title, text in rows]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.dictionaries(st.text(), inner | st.lists(inner, max_size=3), max_size=3),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.lists(JSON, max_size=4), st.sampled_from([None, 0, 2]))
def test_arrays_are_what_the_standard_library_writes(values: list[Any], indent: int | None) -> None:
    lines = json.dumps(values, indent=indent).split("\n")
    assert [value for _, value in elements((f"f:{n}", line) for n, line in enumerate(lines, 1))] == values
