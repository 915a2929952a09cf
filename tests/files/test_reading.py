"""Files and pipes as people have them: joined, packed, of another encoding, no JSONL, no text. What is right was stated
beforehand for each, or is what the standard library says."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sqlite3
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from xqe.cli import run
from xqe.errors import InputError
from xqe.files import jsonl, trec
from xqe.files.documents import documents
from xqe.files.forms import QUERIES
from xqe.files.queries import checked
from xqe.files.records import Document, check_document, check_query
from xqe.files.rows import Rows
from xqe.text.languages import language

BOM = b"\xef\xbb\xbf"


def written(tmp_path: Path, data: bytes, name: str = "f") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def texts(path: str) -> list[str]:
    return [text for _, text in jsonl.lines(path)]


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        read()
    return str(caught.value)


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (BOM + b"a\n" + BOM + b"b\n", ["a", "b"]),
        (BOM + BOM + b" a\n" + BOM + b"\n" + BOM, ["a"]),
        (b"a\r\nb\r\r\n\r\nc", ["a", "b", "c"]),
        (b"a\rb\r\rc\r", ["a", "b", "c"]),
        (b"a\r", ["a"]),
        (b"1\tx\ry\n2\tz\n", ["1\tx\ry", "2\tz"]),  # where lines end in LF, a CR within one is white space of its text
        (b"", []),
        (b"\n\r\n \t \n", []),
        (b"  a  \nb\t", ["a", "b\t"]),
        (b"ORCA\nPAR1\tx\nGGUF\nBZh\nPK\n", ["ORCA", "PAR1\tx", "GGUF", "BZh", "PK"]),
        (b"PAR1\tx\n", ["PAR1\tx"]),
        (b"x" * 257 + b"ustar\n", ["x" * 257 + "ustar"]),
        ("a\u2028b\x0bc\x85\n".encode(), ["a\u2028b\x0bc\x85"]),
    ],
)
def test_lines_and_their_ends(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    assert texts(written(tmp_path, data)) == expected


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_lines_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("xqe.files.packing._BLOCK", size)
    data = BOM + "水星\n\n".encode() + BOM + "é mercure\r\n".encode() + b"x" * 20 + b"\nlast"
    path = written(tmp_path, data)
    expected = [(f"{path}:1", "水星"), (f"{path}:3", "é mercure"), (f"{path}:4", "x" * 20), (f"{path}:5", "last")]
    assert list(jsonl.lines(path)) == expected
    assert list(jsonl.lines(written(tmp_path, gzip.compress(data), "f"))) == expected


PACKED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_packed_files_are_told_by_their_first_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    joined = pack(BOM + b'{"a": 1}\n') + pack(BOM + b'{"a": 2}\n') + pack(b"")
    path = written(tmp_path, joined, "f.jsonl")
    assert list(jsonl.objects(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:2", {"a": 2})]
    assert texts(written(tmp_path, pack(b""))) == []
    assert "damaged" in refusal(lambda: texts(written(tmp_path, pack(os.urandom(3000).hex().encode())[:-9])))
    assert "packed twice" in refusal(lambda: texts(written(tmp_path, pack(gzip.compress(b"x")))))


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_packed_standard_input_in_drops(monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    reading, writing = os.pipe()
    before = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)

    def drip() -> None:
        for byte in pack(b"one\ntwo\n"):
            os.write(writing, bytes([byte]))
        os.close(writing)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert list(jsonl.lines("-")) == [("<stdin>:1", "one"), ("<stdin>:2", "two")]
    finally:
        thread.join()
        os.dup2(before, 0)
        os.close(before)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jsonl", "{}")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jsonl"))
    return file.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (x)")
        return bytes(connection.serialize())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_that_says_its_encoding_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr("xqe.files.packing._BLOCK", 31)  # within characters
    texts = ["Größe", "naïve 🦒 giraffe", "数字", "a" * 100]
    path = written(tmp_path, pack("\r\n".join(texts).encode(encoding)))
    assert [text for _, text in jsonl.lines(str(path))] == texts


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\x28\xb5\x2f\xfd\x04\x00\xff",
            'a .zst file, which this Python cannot read; pip install "xqe[zst]", or',
        ),
        (zipped(), "a zip archive; unpack it: unzip -p FILE"),
        (b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", "a document of MS Office; save it as CSV"),
        (tarred(), "a tar archive; unpack it: tar -xOf FILE"),
        (gzip.compress(tarred()), "a tar archive; unpack it: tar -xOf FILE"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive"),
        (b"\x04\x22\x4d\x18\x64\x40", "a file packed by lz4"),
        (b"\x1f\x9d\x90\x61", "a file packed by compress; unpack it: gzip -dc FILE"),
        (b"PAR1\x15\x04\x15", "a parquet file; xqe index and others read it"),
        (database(), "a database of SQLite; sqlite3 -json"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (__import__("pickle").dumps([{"id": "1"}]), "a pickle of Python"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS and not the file; git"),
        ("{}\n{}".encode("utf-16")[:-1], "damaged UTF-16 text (truncated data); save it again as UTF-8"),
        (b"\xfe\xff\xd8\x00\x00}", "damaged UTF-16 text (illegal UTF-16 surrogate)"),
        (bytes(range(1, 256)), "not UTF-8 (byte 118 is 0x80); is it text?"),
        ("{}\n{}\n".encode("utf-16-le"), ":1: a NUL byte; it is no text, or UTF-16"),
        (b'{"a": 1}\n{"a": "\0"}\n', ":2: a NUL byte"),
        (b'{"a": 1}\n\n{"a": "Fl\xe4che"}\n', ":3: not UTF-8 (byte 10 is 0xE4); convert it: iconv -f ISO-8859-1"),
        (b"\xe4\n\0", ":1: not UTF-8"),
        (b"\0\n\xe4", ":1: a NUL byte"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "data",
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    if "this Python" in message and (sys.version_info >= (3, 14) or find_spec("backports")):
        pytest.skip("it can")
    path = written(tmp_path, data)
    assert message in refusal(lambda: texts(path)).removeprefix(path)


def test_lines_before_a_bad_one_are_read(tmp_path: Path) -> None:
    reading = jsonl.lines(written(tmp_path, b"a\nb\n\xff\n"))
    assert [next(reading)[1], next(reading)[1]] == ["a", "b"]
    with pytest.raises(InputError, match=r"f:3: not UTF-8"):
        next(reading)


def test_a_line_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(lambda: texts("/dev/zero")).startswith("/dev/zero:1: a line of more than 128 MiB; ")
    monkeypatch.setattr(jsonl, "LONGEST_LINE", 1 << 20)
    endless = gzip.compress(b"a\n" + b"x" * (2 << 20))
    assert "f:2: a line of more than 1 MiB" in refusal(lambda: texts(written(tmp_path, endless)))
    assert len(texts(written(tmp_path, b"x" * (1 << 20)))[0]) == 1 << 20


def test_a_folder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    said = f"{tmp_path}: is a directory; give the files of the folder"
    assert refusal(lambda: texts(str(tmp_path))) == said
    assert refusal(lambda: checked(Rows(QUERIES), [str(tmp_path)], check_query)) == said


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{\n  "id": "d1",\n  "contents": "a"\n}\n', "each line must be one JSON object; jq -c . FILE makes it so"),
        ('{"id":"d1","contents":"a"}{"id":"d2","contents":"a"}\n', "f:1: broken JSON (trailing data)"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "f:1: broken JSON (nested too deep)"),
    ],
)
def test_json_that_is_no_jsonl(tmp_path: Path, data: str, message: str) -> None:
    path = written(tmp_path, data.encode())
    for read in (lambda: list(jsonl.objects(path)), lambda: list(documents([path])), lambda: list(trec.read_run(path))):
        assert message in refusal(read)


@pytest.mark.parametrize("data", ['[{"id":"d1"}]\n', '[\n{"id":"d1"}\n]\n', "[" * 5000])
def test_runs_are_no_arrays(tmp_path: Path, data: str) -> None:
    path = written(tmp_path, data.encode())
    for read in (lambda: list(jsonl.objects(path)), lambda: list(trec.read_run(path))):
        assert "f:1: a JSON array; jq -c '.[]' FILE makes lines of it" in refusal(read)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1.8e308", f"1{'0' * 400}.0"])
@pytest.mark.parametrize("shape", ["{}", '{{"x": {}}}', '{{"x": [1, "y", {}]}}', '{{"x": [{{"y": {}}}], "z": "é"}}'])
def test_numbers_that_json_does_not_have(tmp_path: Path, number: str, shape: str) -> None:
    path = written(tmp_path, f'{{"x": [1.5, -0.0, 1e308]}}\n{shape.format(number)}\n'.encode())
    assert "f:2: broken JSON (a number that is NaN, Infinity" in refusal(lambda: list(jsonl.objects(path)))
    with pytest.raises(OverflowError):
        jsonl.dumps(json.loads(shape.format(number)))


def test_words_that_are_no_numbers() -> None:
    for value in ({"query": "NaN Infinity 1e400"}, {"hits": [], "n": [{}, {"a": None, "b": True}], "i": 10**400}):
        assert jsonl.value(json.dumps(value), "f:1") == value


def test_no_command_takes_a_number_that_json_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = '{"id": "q1", "query": "zinc", "lang": "en", "x": 1e400, "hits": [{"id": "d1", "score": 1}]}\n'
    qrels = written(tmp_path, b"q1 0 d1 1\n", "qrels")
    found = written(tmp_path, line.encode(), "run.jsonl")
    for arguments in (
        ["fuse", found, found],
        ["eval", "--qrels", qrels, found],
        ["translate", "--to", "de", "-i", found],
    ):
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and "run.jsonl:1: broken JSON" in err


# ---------------------------------------------------------------- records, documents


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"pid": "p_0", "passage": "a", "docid": "d_0"}, "p_0"),
        ({"docid": "d_0", "title": "t", "headings": "h", "body": "a", "url": "u"}, "d_0"),
        ({"docid": "d_0#1", "segment": "a", "title": "t"}, "d_0#1"),
        ({"docid": "1#0", "title": "t", "text": "a"}, "1#0"),
        ({"doc_id": 5, "text": "a"}, "5"),
        ({"docno": "FT911-1", "text": "a"}, "FT911-1"),
        ({"id": "x", "pid": "y", "docid": "z", "contents": "a"}, "x"),
    ],
)
def test_the_id_of_a_document(raw: dict[str, Any], expected: str) -> None:
    document = check_document(raw, "f:1")
    assert (document.id, document.text, document.title) == (expected, "a", raw.get("title", ""))


def test_the_id_of_a_query_is_never_that_of_a_document() -> None:
    raw = {"docid": "d7", "qid": "q1", "query": "zink"}
    assert check_query(dict(raw), "f:1") == {"id": "q1", "docid": "d7", "query": "zink"}
    assert 'missing "id"' in refusal(lambda: check_query({"docid": "d7", "query": "zink"}, "f:1"))
    assert "HC4 or NeuCLIR; xqe data convert trec" in refusal(
        lambda: check_query({"topic_id": "1", "topics": []}, "f:1")
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"id\ttext\n1\tzinc\n", [Document("1", "zinc")]),
        (BOM + b"id\ttext\ttitle\r\n1\tzinc\tZ\r\n", [Document("1", "zinc", "Z")]),
        (b"PID\tPassage\n1\tzinc\tand tin\n", [Document("1", "zinc\tand tin")]),
        (BOM + b"1\tzinc\n" + BOM + b"2\tcobalt", [Document("1", "zinc"), Document("2", "cobalt")]),
        (b"1\tid\n", [Document("1", "id")]),
    ],
)
def test_documents_of_tsv(tmp_path: Path, data: bytes, expected: list[Document]) -> None:
    for name, pack in (("d.tsv", bytes), ("d.tsv.bz2", bz2.compress)):
        assert [one for _, one in documents([written(tmp_path, pack(data), name)])] == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<DOC>\n", "f:1: <DOC> without </DOC>"),
        (b"<p>zinc</p>\n", "f: SGML, XML or HTML without <DOC>"),
        (b"zinc, tin\n", "f:1: neither JSON nor columns; --input-format says what it is"),
        (b"id\tnames\n", "f:1: no column of the text"),
        (b"id\ttext\n1\n", "f:2: no tab, where the first line has 2 columns"),
    ],
)
def test_what_is_no_document(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refusal(lambda: list(documents([written(tmp_path, data)])))


# ---------------------------------------------------------------- qrels and runs


@pytest.mark.parametrize(
    "data",
    [
        "q1 0 d1 1\nq2 0 d1 0\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td1\t0\n",
        "qid\tdocid\trelevance\nq1\td1\t1\nq2\td1\t0\n",
        "query_id iteration doc_id relevance\nq1 0 d1 1\nq2 0 d1 0\n",
        "TOPIC ITERATION DOCUMENT# RELEVANCY\nq1 0 d1 1\nq2 0 d1 0",
        "q1 0 d1 1\rq2 0 d1 0\r",
        "\ufeffq1 0 d1 1\n\ufeffq2 0 d1 0\n",
    ],
)
def test_qrels(tmp_path: Path, data: str) -> None:
    for pack in (bytes, gzip.compress, lzma.compress):
        assert trec.read_qrels(written(tmp_path, pack(data.encode()))) == {"q1": {"d1": 1}, "q2": {"d1": 0}}


@pytest.mark.parametrize(
    "data",
    [
        "q1 Q0 d1 1 2 t\n\ufeffq2 Q0 d1 1 2.0 t\n",
        "query_id Q0 doc_id rank score run\nq1 Q0 d1 1 2 t\nq2 Q0 d1 1 2.0 t",
        "qid iter docno rank sim run_id\nq1 Q0 d1 1 2 t\nq2 Q0 d1 1 2.0 t",
        '{"id": "q1", "hits": [{"id": "d1", "score": 2}]}\n\ufeff{"id": "q2", "hits": [{"id": "d1", "score": 2}]}',
    ],
)
def test_runs(tmp_path: Path, data: str) -> None:
    found = list(trec.read_run(written(tmp_path, data.encode())))
    assert [(one.id, dict(one.hits)) for one in found] == [("q1", {"d1": 2}), ("q2", {"d1": 2})]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("query_id Q0 doc_id rank score run\n", "a run with a header and no hits"),
        ("qid docid rank\n", "a run with a header and no hits"),
        ("qid docid rel\nq1 d1 1\n", "f:1: the header of BEIR qrels, so not a run"),
        ("qid\tname\trank\nq1\td1\t1\n", 'f:1: rank "rank" is not an integer'),
    ],
)
def test_headers_that_do_not_fit(tmp_path: Path, data: str, message: str) -> None:
    assert message in refusal(lambda: list(trec.read_run(written(tmp_path, data.encode()))))


# ---------------------------------------------------------------- languages


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *(
            ("eng", "en"),
            ("English", "en"),
            ("français", "fr"),
            ("日本語", "ja"),
            ("RUS", "ru"),
            ("zho", "zh"),
            ("chi", "zh"),
            ("zho_Hans", "zh"),
            ("ger", "de"),
            ("deu", "de"),
        ),
        *(("fre", "fr"), ("fra", "fr"), ("dut", "nl"), ("nld", "nl"), ("ara", "ar"), ("jpn", "ja"), ("ind", "id")),
    ],
)
def test_codes_of_three_letters(code: str, expected: str) -> None:
    assert language(code).code == expected


def test_a_file_that_is_written_to_is_not_read(xqe: Run, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "1", "query": "zinc", "lang": "en"}\n')
    for sign in (">>", ">"):
        shell = f'"{sys.executable}" -m xqe translate --to en --model fake -i "{path}" {sign} "{path}"'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(f"xqe: {path}: is read, and is where standard output goes; write to another file")
    done = xqe("translate", "--to", "en", "--model", "fake", "-i", str(path))
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (0, "", f"xqe: {path}: no queries in it")
