"""The index: BM25 scores, the order of hits, and documents of all kinds. `test_index_safety` has what can go wrong."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from bm25_reference import bm25
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.errors import InputError
from xqe.files.documents import documents
from xqe.files.forms import DOCUMENTS, Form
from xqe.files.names import Numbering
from xqe.files.records import Document
from xqe.files.rows import Rows
from xqe.retrieval.lexical import Index, build, open_index
from xqe.text import counting
from xqe.text.analysis import analyzer
from xqe.text.workers import Batch, analysed

K1, B = 0.82, 0.68  # the defaults


def built(directory: Path, texts: Sequence[str], code: str = "zh", ids: Sequence[str] = ()) -> Index:
    names = ids or [f"d{number}" for number in range(len(texts))]
    build(directory, code, placed(names, texts), replace=True)
    return open_index(directory)


def placed(ids: Sequence[str], texts: Sequence[str]) -> list[tuple[str, Document]]:
    return [(f"t:{n}", Document(i, text)) for n, (i, text) in enumerate(zip(ids, texts, strict=True), 1)]


def line(identifier: str, text: str, **fields: str) -> str:
    return json.dumps({"id": identifier, "text": text, **fields}) + "\n"


# ---------------------------------------------------------------- BM25


def test_a_weight_counts_as_repetitions(tmp_path: Path) -> None:
    """Index.search takes weights, so the ten-line reference is asked with the term three times."""
    texts = [["ba", "bu"], ["ba", "ba", "bi"], ["bu", "bu", "bu"]]
    once = bm25({f"d{number}": terms for number, terms in enumerate(texts)}, {"ba": 1.0})
    thrice = built(tmp_path / "ix", [" ".join(text) for text in texts]).search({"ba": 3.0}, 3)
    assert {hit.id: hit.score for hit in thrice} == pytest.approx({name: sum([s] * 3) for name, s in once.items()})


def test_ties_are_ordered_and_cut_by_id_from_high_to_low(tmp_path: Path) -> None:
    ids = [f"d{number:02}" for number in (3, 30, 7, 12, 25, 1, 18)]
    index = built(tmp_path / "ix", ["ba bu"] * 6 + ["ba ba"], ids=ids)
    order = ["d18", *sorted(ids[:6], reverse=True)]
    for k in range(1, 9):
        assert [hit.id for hit in index.search({"ba": 1.0}, k)] == order[:k]


def test_a_large_group_of_ties_is_cut_in_the_same_order(tmp_path: Path) -> None:
    ids = [f"d{(number * 7919) % 3000:04}" for number in range(3000)]
    index = built(tmp_path / "ix", ["ba"] * 3000, ids=ids)
    assert [hit.id for hit in index.search({"ba": 1.0}, 10)] == sorted(ids, reverse=True)[:10]


def test_terms_that_weigh_nothing_find_nothing(tmp_path: Path) -> None:
    index = built(tmp_path / "ix", ["ba", "bu"])
    for weights in ({}, {"ba": 0.0}, {"ba": -1.0}, {"absent": 1.0}):
        assert index.search(weights, 10) == []
    assert [hit.id for hit in index.search({"ba": -1.0, "bu": 1.0}, 10)] == ["d1"]
    assert len(index.search({"ba": 1.0, "bu": 1.0}, 10**12)) == 2


# ---------------------------------------------------------------- documents in


SPELLINGS = {
    "xqe": '{"id": "a", "title": "Ships", "text": "at sea"}\n{"id": 2, "text": "a harbour"}\n',
    "pyserini": '{"id": "a", "contents": "Ships at sea"}\n{"id": "2", "contents": "a harbour"}\n',
    "beir": '{"_id": "a", "title": "Ships", "text": "at sea", "metadata": {}}\n'
    '{"_id": "2", "title": "", "text": "a harbour"}\n',
    "miracl": '{"docid": "a", "title": "Ships", "text": "at sea"}\n'
    '{"docid": "2", "title": null, "text": "a harbour"}\n',
    "tsv": "a\tShips at sea\n2\ta harbour\n",
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_documents(xqe: Run, tmp_path: Path, spelling: str, zipped: bool) -> None:
    path = tmp_path / ("documents" + (".gz" if zipped else ""))
    text = SPELLINGS[spelling].encode()
    path.write_bytes(gzip.compress(text) if zipped else text)
    done = xqe("index", tmp_path / "ix", "--lang", "en", "--input", path)
    taken = f"xqe: {path}: taken for columns parted by tabs; --input-format says otherwise\n"
    assert (done.returncode, done.stderr) == (0, taken if spelling == "tsv" else "")
    summary = json.loads(done.stdout)  # three words, each with its form, and two with a beginning of four letters
    assert (summary["documents"], summary["empty"], summary["terms"], summary["lang"]) == (
        2,
        0,
        8,
        "en",
    )  # a stem, a form, a beginning
    assert [hit.id for hit in open_index(tmp_path / "ix").search({"ship": 1.0}, 5)] == ["a"]
    assert [hit.id for hit in open_index(tmp_path / "ix").search({"harbour": 1.0}, 5)] == ["2"]


def test_format_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text('{"id":\tnot JSON\n')
    with pytest.raises(InputError, match="broken JSON"):
        list(documents([str(path)]))
    assert [document.id for _, document in documents([str(path)], Rows(DOCUMENTS, Form.TSV))] == ['{"id":']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no tab here\n", r"d\.tsv:1: no tab"),
        ("a\tx\n\n b c\ty\n", r'd\.tsv:3: "id" .* white space'),
        ("\ttext\n", r'd\.tsv:1: "id"'),
    ],
)
def test_bad_tsv_is_named_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(documents([str(path)]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain words\n", "<stdin>:1: neither JSON nor columns; --input-format says"),
        ('{"id": "a", "text": "x"}\n{"id": "b"}\n', '<stdin>:2: missing "text"'),
        ('{"id": "a", "text": "x"}\n{"id": "b", \n', "<stdin>:2: broken JSON"),
        ("", "no documents to index"),
    ],
)
def test_bad_documents_leave_no_index(xqe: Run, tmp_path: Path, text: str, message: str) -> None:
    done = xqe("index", tmp_path / "ix", "--lang", "en", stdin=text)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert xqe("search", tmp_path / "ix", "x").returncode == 2
    assert xqe("index", tmp_path / "ix", "--lang", "en", stdin=line("a", "x")).returncode == 0


def test_repeated_ids_are_refused_with_both_lines(xqe: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    first.write_text(line("a", "x") + line("b", "y"))
    second.write_text("\n" + line("c", "x") + line("b", "z"))
    done = xqe("index", tmp_path / "ix", "--lang", "en", "-i", first, "-i", second)
    assert done.returncode == 2
    assert f"{second}:3" in done.stderr
    assert f"{first}:2" in done.stderr


def test_empty_documents_are_kept_and_counted(xqe: Run, tmp_path: Path) -> None:
    done = xqe("index", tmp_path / "ix", "--lang", "en", stdin=line("a", "") + line("b", "the of") + line("c", "ship"))
    summary = json.loads(done.stdout)
    assert (summary["documents"], summary["empty"], summary["terms"]) == (3, 2, 3)
    hit = open_index(tmp_path / "ix").search({"ship": 1.0}, 3)[0]
    assert hit.score == pytest.approx(bm25({"a": [], "b": [], "c": ["ship", "=ship", "ship*"]}, {"ship": 1.0})["c"])


def test_an_empty_text_in_tsv_is_an_empty_document(xqe: Run, tmp_path: Path) -> None:
    done = xqe("index", tmp_path / "ix", "--lang", "en", "--input-format", "tsv", stdin="a\t\nb\tship\n")
    assert json.loads(done.stdout)["empty"] == 1


def test_title_and_text_are_two_words_where_no_space_parts_them(tmp_path: Path) -> None:
    document = Document("a", "学生在这里", title="大")
    build(tmp_path / "ix", "zh", [("t:1", document)])
    assert open_index(tmp_path / "ix").search({"大学生": 1.0, "大学": 1.0}, 1) == []


def test_ids_come_back_as_they_were(tmp_path: Path) -> None:
    ids = ["é", "文書-1", "a/b#c", "\ud800", "İ"]
    index = built(tmp_path / "ix", ["ba"] * len(ids), ids=ids)
    assert {hit.id for hit in index.search({"ba": 1.0}, 10)} == set(ids)


# ---------------------------------------------------------------- many cores


def many() -> list[tuple[str, Document]]:
    """Enough text for worker processes."""
    return [(f"t:{i}", Document(f"d{i}", f"ship{i % 50} " * 2500, title=f"w{i}")) for i in range(300)]


def test_analysis_on_many_cores_keeps_order_and_terms() -> None:
    rows = [(d.id, sorted(body.split())) for batch in analysed(many(), "zh") for (_, d), body in pairs(batch)]
    assert rows == [(f"d{i}", [f"ship{i % 50}"] * 2500 + [f"w{i}"]) for i in range(300)]


def pairs(batch: Batch) -> Any:
    return zip(batch.documents, batch.bodies, strict=True)


def test_an_error_in_the_input_of_many_cores_is_that_error() -> None:
    def broken() -> Any:
        yield from many()
        raise InputError("documents.jsonl:301: broken JSON")

    with pytest.raises(InputError, match="301"):
        list(analysed(broken(), "en"))


def test_a_closed_standard_output_is_one_line() -> None:
    command = ["bash", "-c", f'"{sys.executable}" -m xqe models list >&-']
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "standard output is closed" in done.stderr


# ---------------------------------------------------------------- odd documents

IDS = [
    "a\u0000b",
    "c\u0001",
    "\ud800",
    "\udfff\ud800",
    "x" * 10_000,
    "ab",
    "\u200fab",
    "a\u202eb",
    "\ufeffz",
    "\u200b",
    "-",
]
SEPARATORS = ["\0", "\x01", "\x0b", "\x1f", "\x85", "\r\n", "\u200b", "\u2028", "\u2029", "\ud800", " \x01 \ufeff"]


def test_odd_ids_and_odd_texts_come_back(tmp_path: Path) -> None:
    """Each of the separators parts two words, of which the ids are found."""
    path = tmp_path / "d.jsonl"
    path.write_text("".join(line(i, f"ship{s}harbour") for i, s in zip(IDS, SEPARATORS, strict=True)))
    build(tmp_path / "ix", "en", documents([str(path)]))
    index = open_index(tmp_path / "ix")
    for term in ("ship", "harbour"):
        assert {hit.id for hit in index.search({term: 1.0}, 100)} == set(IDS)
    assert index.manifest.distinct == 6  # both with a form and a beginning
    texts = [index.documents.text(int(number)) for number in index.documents.numbers(IDS)]
    assert texts == [f"ship{separator}harbour" for separator in SEPARATORS]


def test_a_run_cannot_hold_a_lone_surrogate(xqe: Run, tmp_path: Path) -> None:
    built(tmp_path / "ix", ["harbour"], code="en", ids=["a\ud800"])
    done = xqe("search", tmp_path / "ix", "harbour", "--format", "trec")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "lone surrogate" in done.stderr
    assert json.loads(xqe("search", tmp_path / "ix", "harbour").stdout)["hits"][0]["id"] == "a\ud800"


def test_a_message_about_what_has_no_utf8_form_is_one_line(xqe: Run, tmp_path: Path) -> None:
    twice = xqe("index", tmp_path / "ix", "--lang", "en", stdin=line("a\ud800", "x") * 2)
    nowhere = xqe("index", tmp_path / "ix", "--lang", "en", "--input", os.fsdecode(b"\xff.jsonl"))
    for done, message in ((twice, "a\\ud800"), (nowhere, "\\udcff.jsonl: no such file")):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr


def test_standard_input_that_is_closed_is_one_line(tmp_path: Path) -> None:
    run = f'"{sys.executable}" -m xqe index "{tmp_path / "ix"}" --lang en <&-'
    done = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "standard input is closed" in done.stderr


def test_a_byte_order_mark_and_other_line_separators_are_no_part_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_bytes("\ufeffa\tship\u2028harbour\x85\r\nb\tquay\n".encode())
    assert [(d.id, d.text) for _, d in documents([str(path)])] == [("a", "ship\u2028harbour\x85"), ("b", "quay")]


@pytest.mark.parametrize("name", ["a:3:b.jsonl", "new\nline.jsonl", "12", ":", "é.jsonl"])
def test_lines_are_named_whatever_the_file_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text(line("a", "x") + line("b", "y"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        build(tmp_path / "ix", "en", documents([name, name]))
    assert error.value.message == f'{name}:1: id "a" again, first at {name}:1'


def test_what_holds_no_documents_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.jsonl.gz").write_bytes(b"")
    (tmp_path / "nothing.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(line("a", "x" * 1000).encode())[:-9])
    messages = {
        "folder": "folder: an empty folder",
        "empty.jsonl.gz": "no documents to index",
        "nothing.jsonl.gz": "no documents to index",
        "cut.jsonl.gz": "cut.jsonl.gz: damaged gz stream",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            build(tmp_path / "ix", "en", documents([str(tmp_path / name)]), replace=True)


TERMS_OF_LONG = st.lists(
    st.sampled_from(["ships", "at", "sea", "The", "l'été", "\n", "\u2028", "\t", "  "]), min_size=1
)


@given(words=TERMS_OF_LONG, separator=st.sampled_from([" ", "\n", "\u3000"]), piece=st.integers(12, 40))
@settings(max_examples=60)
def test_a_long_text_has_the_terms_of_its_pieces(words: list[str], separator: str, piece: int) -> None:
    text = separator.join(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_PIECE", piece)
        (batch,) = analysed([("t:1", Document("a", text))], "en")
    assert [sorted(body.split()) for body in batch.bodies] == [sorted(analyzer("en").terms(text))]


def test_a_long_word_without_a_break_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_PIECE", 1000)
    index = built(tmp_path / "ix", ["x" * 10_000 + " harbour", "y"], code="en")
    assert [hit.id for hit in index.search({"harbour": 1.0}, 5)] == ["d0"]
    assert [hit.id for hit in index.search({"x" * 255: 1.0}, 5)] == ["d0"]


def test_a_query_of_many_distinct_terms_is_answered_in_full(tmp_path: Path) -> None:
    """All in one document but for one, which is in both."""
    words = [f"b{number}" for number in range(20_000)]
    index = built(tmp_path / "ix", [" ".join(words), words[7], "other"])
    hits = index.search(dict.fromkeys(words, 1.0), 10)
    expected = bm25({"d0": words, "d1": [words[7]], "d2": ["other"]}, {words[7]: 1.0}, 1.5, 0.8)  # of long documents
    assert [hit.id for hit in hits] == ["d0", "d1"]
    assert hits[1].score == pytest.approx(expected["d1"], rel=1e-5)


KEYS = st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), max_size=12)


@given(batches=KEYS)
def test_numbering_finds_what_a_dict_finds(batches: list[list[int]]) -> None:
    numbering, reference = Numbering(), dict[int, int]()
    for batch in batches:
        new = numpy.array(sorted({key for key in batch if key not in reference}), numpy.uint64)
        numbers = numpy.arange(len(reference), len(reference) + len(new))
        numbering.add(new, numbers)
        reference.update(zip(new.tolist(), numbers.tolist(), strict=True))
    asked = numpy.array([*reference, 1, 2**63], numpy.uint64)
    assert numbering.find(asked).tolist() == [reference.get(key, -1) for key in asked.tolist()]
    keys, its = numbering.sorted()
    assert list(zip(keys.tolist(), its.tolist(), strict=True)) == sorted(reference.items())


# ---------------------------------------------------------------- the manifest


def test_the_manifest_says_what_the_index_is(tmp_path: Path) -> None:
    built(tmp_path / "ix", ["ba bu", "ba", ""])
    manifest = json.loads((tmp_path / "ix" / "xqe.json").read_text())
    assert manifest["analyzer"]["language"] == manifest["language"] == "zh"
    assert (manifest["k1"], manifest["b"]) == (K1, B)
    assert (manifest["documents"], manifest["empty"], manifest["terms"], manifest["average_length"]) == (3, 1, 3, 1.0)
