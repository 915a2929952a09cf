"""Hits in columns: what is written of them is what a plain writer writes of the list that they stand for."""

from __future__ import annotations

import json
from typing import Any

import pytest
import ujson
from hypothesis import given
from hypothesis import strategies as st

from xqe.errors import InputError
from xqe.files.hits import HitList, plain
from xqe.files.jsonl import dumps
from xqe.files.trec import hits_of

IDS = st.text(st.characters(codec=None, categories=None), min_size=1, max_size=6)  # surrogates, controls, quotes
SCORES = st.floats(allow_nan=False, allow_infinity=False) | st.floats(0.0625, 900, width=32)
JSON = st.none() | st.integers(-9, 9) | IDS | st.dictionaries(IDS, SCORES | IDS, max_size=2)
HITS = st.lists(st.tuples(IDS, SCORES, JSON, IDS), max_size=8)


def columns(rows: list[tuple[str, float, Any, str]], has_more: bool) -> tuple[HitList, list[dict[str, Any]]]:
    """Hits, and the list that they stand for."""
    ids, scores, said, texts = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    more = {"from": said, 'a "b"': texts} if has_more else {}
    return HitList(ids, scores, more), [
        {"id": name, "score": score, **({"from": its, 'a "b"': text} if has_more else {})}
        for name, score, its, text in rows
    ]


def reference(value: Any) -> str:
    """A line as it was written before hits were columns: the whole of it by ujson, in ASCII if it has to be."""
    text: str = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = ujson.dumps(value, ensure_ascii=True, escape_forward_slashes=False)
    return text


@given(rows=HITS, has_more=st.booleans(), query=IDS)
def test_columns_are_written_as_the_list_they_stand_for(
    rows: list[tuple[str, float, Any, str]], has_more: bool, query: str
) -> None:
    hits, listed = columns(rows, has_more)
    record = {"id": query, "hits": hits, "x": [1.5, "é/"]}
    assert dumps(record) == reference({**record, "hits": listed})


@given(rows=HITS, has_more=st.booleans())
def test_columns_read_as_the_list_they_stand_for(rows: list[tuple[str, float, Any, str]], has_more: bool) -> None:
    hits, listed = columns(rows, has_more)
    assert (len(hits), list(hits), hits[1:3], hits[-2:]) == (len(listed), listed, listed[1:3], listed[-2:])
    assert hits == listed
    assert (hits == listed[:-1]) is (not listed)
    assert [hits[at] for at in range(-len(rows), len(rows))] == listed * 2
    made = plain({"hits": hits})["hits"]
    assert type(made) is list
    assert made == listed
    with pytest.raises(IndexError):
        hits[len(rows)]


def test_no_number_that_json_has_not_is_written() -> None:
    with pytest.raises(OverflowError):
        dumps({"hits": HitList(["d1", "d2"], [1.0, float("inf")])})


HIT = {"id": "d1", "score": 1.5}


@pytest.mark.parametrize(
    ("hit", "said"),
    [
        ({"id": "d2"}, 'the score of hit 2 ("d2") is not a number'),
        ({"id": "d2", "score": "3"}, 'the score of hit 2 ("d2") is not a number'),
        ({"id": "d2", "score": True}, 'the score of hit 2 ("d2") is not a number'),
        ({"id": "d2", "score": float("nan")}, 'the score of hit 2 ("d2") is not a number'),
        ({"id": "d2", "score": 10**400}, 'the score of hit 2 ("d2") is beyond the numbers of 64 bits'),
        ({"id": "", "score": 1}, 'hit 2 has no "id"'),
        ({"id": None, "score": 1}, 'hit 2 has no "id"'),
        ({"score": 1}, 'hit 2 has no "id"'),
        ("d2", 'hit 2 has no "id"'),
        (["id", "score"], 'hit 2 has no "id"'),
        (HIT, 'document "d1" twice'),
    ],
)
def test_what_is_no_hit_is_named(hit: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        hits_of({"id": "q", "hits": [HIT, hit]}, "run:7", "q")
    assert caught.value.message.startswith("run:7: ")
    assert said in caught.value.message


def test_ids_may_be_numbers() -> None:
    found = hits_of({"id": "q", "hits": [{"id": 7, "score": 2}, {"id": "d1", "score": 1.5}]}, "run:1", "q")
    assert found == {"7": 2, "d1": 1.5}
    with pytest.raises(InputError, match='"7" twice'):
        hits_of({"id": "q", "hits": [{"id": 7, "score": 2}, {"id": "7", "score": 1}]}, "run:1", "q")


def test_columns_are_read_from_any_hits() -> None:
    hits = HitList.of(json.loads('[{"id": "d1", "score": 2, "x": 1}, {"id": "d2", "score": 1.5}]'))
    assert (hits.ids, hits.scores) == (["d1", "d2"], [2, 1.5])
    assert HitList.of(hits) is hits
