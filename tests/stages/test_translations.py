"""Several translations of a query: what is asked for, what becomes of it, and what goes on with it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from conftest import Run, jsonl, records

from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.requests import Likelihood, Sampling
from xqe.stages.generation import run
from xqe.stages.nbest import translations
from xqe.stages.translate import SAMPLING_TEMPERATURE, Translate
from xqe.text.languages import LANGUAGES

QUERY = {"id": "q", "query": "zink preise", "lang": "de"}


def translated(record: dict[str, Any], samples: int, sampling: Sampling | None = None) -> dict[str, Any]:
    engine = FakeEngine()
    [out] = run(Translate(engine, LANGUAGES["en"], sampling, samples=samples), engine, [record])
    return out


def test_a_share_is_the_mean_probability_of_a_token() -> None:
    found = translations([("a", Likelihood(-1.0, 2)), ("b c", Likelihood(-3.0, 3)), ("b  c", Likelihood(-9.0, 3))])
    weights = [math.exp(-1.0 / 2), math.exp(-3.0 / 3)]
    assert [(one["text"], one["count"], one["logprob"], one["tokens"]) for one in found] == [
        ("a", 1, -1.0, 2),
        ("b c", 2, -3.0, 3),
    ]
    assert [one["share"] for one in found] == pytest.approx([weight / sum(weights) for weight in weights])


def test_without_likelihoods_it_is_how_many_say_the_same() -> None:
    found = translations([("a", Likelihood(-1.0, 2)), ("b", None), ("b", None)])
    assert found == [{"text": "b", "count": 2, "share": 2 / 3}, {"text": "a", "count": 1, "share": 1 / 3}]
    assert [one["text"] for one in translations([("x", None), ("y", None)])] == ["x", "y"]


def test_the_first_is_greedy_and_the_others_are_drawn() -> None:
    asked = Translate(FakeEngine(), LANGUAGES["en"], samples=3).requests(QUERY | {"passages": ["eine Passage"]})
    assert [one.sampling.temperature for one in asked] == [0, 0, SAMPLING_TEMPERATURE, SAMPLING_TEMPERATURE]
    assert [one.is_weighed for one in asked] == [True, False, True, True]
    assert [one.subject for one in asked] == ["zink preise", "eine Passage", "zink preise", "zink preise"]
    assert len({one.seed for one in asked}) == 4
    [alone] = Translate(FakeEngine(), LANGUAGES["en"]).requests(QUERY)
    assert (alone.is_weighed, alone.seed, alone.prompt) == (False, asked[0].seed, asked[0].prompt)
    hot = Translate(FakeEngine(), LANGUAGES["en"], Sampling(1.2), samples=2).requests(QUERY)
    assert [one.sampling.temperature for one in hot] == [0, 1.2]


def test_the_best_is_the_query_and_all_are_kept() -> None:
    out = translated(QUERY | {"passages": ["eine Passage"]}, 4)
    shares = [one["share"] for one in out["translations"]]
    assert len(shares) == 4
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert out["query"] == out["translations"][0]["text"]
    assert out["steps"][-1]["samples"] == 4
    assert len(out["passages"]) == 1


def test_those_of_an_earlier_language_go_and_what_needs_none_keeps_its_own() -> None:
    out = translated(QUERY, 3)
    engine = FakeEngine()
    [again] = run(Translate(engine, LANGUAGES["fr"]), engine, [out])
    assert "translations" not in again
    assert translated(out, 3) == out  # in the language already
    expanded = {**out, "passages": ["text"], "passages_lang": "de"}
    engine = FakeEngine()
    [kept] = run(Translate(engine, LANGUAGES["en"], samples=3), engine, [expanded])
    assert kept["query"] == out["query"]


def test_a_sample_that_is_no_translation_is_left_out_and_a_first_that_is_none_is_an_error() -> None:
    class Odd(FakeEngine):
        def _answer(self, request: Any) -> Any:
            answer = super()._answer(request)
            is_bad = (request.sampling.temperature > 0) is self.samples_fail
            return type(answer)("", "stop", 1) if is_bad else answer

        samples_fail = True

    engine = Odd()
    [out] = run(Translate(engine, LANGUAGES["en"], samples=3), engine, [QUERY])
    assert [one["count"] for one in out["translations"]] == [1]
    engine.samples_fail = False
    [failed] = run(Translate(engine, LANGUAGES["en"], samples=3), engine, [QUERY])
    assert failed["error"]["message"] == "the model answered nothing"


def test_they_are_searched_as_one_query(xqe: Run, tmp_path: Any) -> None:
    documents = [{"id": f"d{n}", "text": text} for n, text in enumerate(["cat house", "kitten home", "dog"])]
    assert xqe("index", str(tmp_path / "ix"), "--lang", "en", stdin=jsonl(*documents)).returncode == 0
    several = [{"text": "cat", "share": 0.6}, {"text": "kitten", "share": 0.38}, {"text": "dog", "share": 0.02}]
    query = {"id": "q", "query": "cat", "lang": "en", "translations": several}
    [found] = records(xqe("search", str(tmp_path / "ix"), stdin=jsonl(query)))
    assert [hit["id"] for hit in found["hits"]] == ["d0", "d1"]
    assert (found["index"]["translations"], found["index"]["nbest_mass"]) == (2, 0.97)
    [alone] = records(xqe("search", str(tmp_path / "ix"), "--nbest-mass", "0", stdin=jsonl(query)))
    assert [hit["id"] for hit in alone["hits"]] == ["d0"]
    assert "translations" not in alone["index"]
    traced = xqe("trace", "--index", str(tmp_path / "ix"), "--format", "text", stdin=jsonl(query))
    assert "2 translations" in traced.stdout
    broken = xqe("search", str(tmp_path / "ix"), stdin=jsonl(query | {"translations": 5}))
    assert (broken.returncode, "of another form" in broken.stderr) == (2, True)
