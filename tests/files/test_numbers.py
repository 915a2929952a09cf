"""Numbers as they are written in runs and qrels: what Python reads more of than trec_eval does is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from xqe.errors import InputError
from xqe.files.numbers import decimal, is_number, whole
from xqe.files.trec import read_qrels, read_run

LONG = "1" + 400 * "0"
NO_NUMBERS = ("1_0", "１", "٣", "nan", "inf", "-Infinity", "0x10", "1,5", "1e", "e5", ".", "", "+-1", "²", " 1", "1 ")
"""What trec_eval, whose atof reads as far as it can, reads otherwise than Python, or not at all."""


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number(text: str) -> None:
    for read in (whole, decimal):
        with pytest.raises(ValueError, match="is not"):
            read(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("-2.5", -2.5), ("+.5", 0.5), ("3.", 3.0), ("1E-3", 0.001), ("1e-400", 0.0)]
)
def test_decimals(text: str, value: float) -> None:
    assert decimal(text) == value


@pytest.mark.parametrize("text", ["1e400", "-1e309", LONG, f"1{5000 * '0'}"])
def test_numbers_that_64_bits_do_not_hold(text: str) -> None:
    with pytest.raises(ValueError, match="is beyond the numbers of 64 bits"):
        decimal(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), int(LONG), -int(LONG), True, "1", None, [1]])
def test_values_that_are_no_numbers(value: object) -> None:
    assert not is_number(value)
    assert is_number(10**308)


@pytest.mark.parametrize("text", [text for text in NO_NUMBERS if text.split() == [text]] + [LONG, "1" + LONG * 12])
@pytest.mark.parametrize("line", ["q1 Q0 d1 1 {} t", "q1\td1\t{}", "q1 0 d1 {}", "query-id corpus-id score\nq1 d1 {}"])
def test_runs_and_qrels_say_where_a_number_is_none(tmp_path: Path, line: str, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(line.format(text) + "\n", encoding="utf-8")
    is_run = line.startswith(("q1 Q0", "q1\t"))
    with pytest.raises(InputError, match=rf"file:{1 + line.count(chr(10))}: (score|rank|relevance) \"") as caught:
        list(read_run(str(path)) if is_run else read_qrels(str(path)))
    assert len(str(caught.value)) < 450 + len(str(path))


@pytest.mark.parametrize("score", ["NaN", "-Infinity", "1e999", LONG, "true", '"1"', "null", "[1]"])
def test_the_score_of_a_record_is_a_number(tmp_path: Path, score: str) -> None:
    path = tmp_path / "run"
    path.write_text(f'{{"id": "q1", "hits": [{{"id": "d1", "score": {score}}}]}}\n')
    with pytest.raises(InputError, match=r"run:1: "):
        list(read_run(str(path)))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("q1\td1\t-1", 'rank "-1" is not from 0 to 16777216'),
        ("q1\td1\t16777217", 'rank "16777217" is not from 0 to 16777216'),  # as a 32-bit float it is 16777216
        ("q1 0 d1 -10001", "relevance -10001 is below -10000"),
    ],
)
def test_ranks_and_grades_have_limits(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"{line}\n")
    with pytest.raises(InputError) as caught:
        list(read_run(str(path)) if "\t" in line else read_qrels(str(path)))
    assert fault in str(caught.value)
