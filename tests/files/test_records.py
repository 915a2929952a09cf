"""What a record is, and how it goes through streams unharmed."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.forms import QUERIES
from xqe.files.queries import checked
from xqe.files.records import advanced, check_document, check_query, failed
from xqe.files.rows import Rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_json_survives_the_round_trip(value: dict[str, Any]) -> None:
    line = jsonl.dumps(value)
    assert "\n" not in line
    assert json.loads(line) == value  # the standard library's parser is the judge
    line.encode("utf-8")


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    assert json.loads(jsonl.dumps({"query": "\ud800é"})) == {"query": "\ud800é"}


@given(st.dictionaries(st.text(min_size=1), JSON, max_size=4))
def test_a_step_keeps_unknown_fields(extra: dict[str, Any]) -> None:
    owned = {"id", "query", "lang", "source", "steps", "passages", "error"}
    extra = {key: value for key, value in extra.items() if key not in owned}
    record = {"id": "1", "query": "mercure", "lang": "fr", **extra}
    after = advanced(record, {"step": "translate"}, query="mercury", lang="en")
    assert {key: after[key] for key in extra} == extra
    assert record["query"] == "mercure", "the record that came in is not changed"


def test_source_is_the_record_as_it_first_arrived_and_steps_keep_their_order() -> None:
    first = advanced({"id": "1", "query": "mercure", "lang": "fr"}, {"step": "expand"}, passages=["Le mercure"])
    second = advanced(first, {"step": "translate"}, query="mercury", lang="en", passages=["Mercury"])
    assert second["source"] == {"query": "mercure", "lang": "fr"}
    assert [step["step"] for step in second["steps"]] == ["expand", "translate"]


def test_a_failed_record_keeps_its_state() -> None:
    assert failed({"id": "1", "query": "q", "x": 1}, "translate", "two\nlines") == {
        "id": "1", "query": "q", "x": 1, "error": {"step": "translate", "message": "two lines"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "missing"),
    [
        ([], "not a JSON object"),
        ({}, 'missing "id"'),
        ({"id": "1"}, 'missing "query"'),
        ({"id": "1", "query": 3}, '"query" is not a string'),
        ({"id": "1", "query": "q", "lang": ["fr"]}, '"lang" is not a string'),
        ({"id": "1", "query": "q", "passages": "p"}, '"passages" is not a list of strings'),
        ({"id": "1", "query": "q", "steps": {}}, '"steps" is not a list'),
        ({"id": "a b", "query": "q"}, "white space"),
        ({"id": True, "query": "q"}, '"id" must be'),
        ({"id": "", "query": "q"}, '"id" must be'),
    ],
)
def test_a_record_that_is_not_one_is_refused_with_its_place(raw: Any, missing: str) -> None:
    with pytest.raises(InputError) as caught:
        check_query(raw, "queries.jsonl:12")
    assert str(caught.value).startswith("queries.jsonl:12: ")
    assert missing in str(caught.value)


def test_other_spellings_of_queries_and_documents_are_read() -> None:
    assert check_query({"_id": 7, "text": "q", "x": 1}, "")["id"] == "7"
    assert check_query({"_id": 7, "text": "q", "x": 1}, "")["query"] == "q"
    for raw in ({"docid": "d", "text": "t", "title": "T"}, {"id": "d", "contents": "t"}, {"_id": "d", "text": "t"}):
        assert (check_document(raw, "").id, check_document(raw, "").text) == ("d", "t")


@pytest.mark.parametrize(
    "pack", [lambda data: data, gzip.compress, lambda d: gzip.compress(d[:5]) + gzip.compress(d[5:])]
)
def test_lines_of_plain_and_gz_files_and_their_places(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "q.jsonl"  # recognised by its content, not its name
    path.write_bytes(pack('\ufeff{"a": 1}\r\n\n{"a": "é"}'.encode()))
    assert list(jsonl.objects(str(path))) == [(f"{path}:1", {"a": 1}), (f"{path}:3", {"a": "é"})]


def test_a_cut_gz_file_and_a_line_that_is_not_utf8_are_named(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    with pytest.raises(InputError, match="damaged gz stream"):
        list(jsonl.objects(str(cut)))
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    with pytest.raises(InputError, match=r"latin.jsonl:2: not UTF-8"):
        list(jsonl.objects(str(latin)))


def test_a_bad_line_in_a_file_is_found_before_anything_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "1", "query": "q"}\n' * 11 + "{broken\n")
    with pytest.raises(InputError, match=r"q.jsonl:12: broken JSON"):
        checked(Rows(QUERIES), [str(path)], check_query)


def test_write_flushes_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    jsonl.write("{}")
    assert stream.flushed == "{}\n"
