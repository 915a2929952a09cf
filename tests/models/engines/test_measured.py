"""Log-probabilities of texts that are known, held against a plain pass of llama.cpp over the same text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import CERTAIN, END, SAID, bigrams, saying, words

from xqe.errors import ModelError
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.jobs import Job, Ticket
from xqe.models.engines.llama.drawing import Comparing, Following
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.pending import NO_NUMBERS, Measured
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import LEAST, Completion, Request, Sampling, measurement
from xqe.models.engines.stored import StoredEngine
from xqe.models.prompts import Text
from xqe.models.store.run import Store

pytestmark = pytest.mark.xdist_group("model")

DOCUMENTS = [f"Passage: the {noun} of the {other} is old." for noun in ("king", "ship") for other in ("river", "town")]
QUERIES = [" old king", " ship", " what is the town, and how old is it?"]


def asked(prompt: str, **what: Any) -> Request:
    return Request(Text(prompt, ("\n",)), "", 0, **what)


def measured(engine: Any, requests: list[Request]) -> list[Completion]:
    return [job.results()[0] for job in engine.generate(Job(at, [one]) for at, one in enumerate(requests))]


class Plain:
    """A pass over a whole text at once, of which all logits are kept."""

    def __init__(self, path: Path) -> None:
        import llama_cpp

        self._model = llama_cpp.Llama(str(path), n_ctx=512, logits_all=True, verbose=False, n_threads=1)

    def after(self, prompt: str, text: str) -> list[tuple[int, Any]]:
        """Each token of the text, and the logarithms of the probabilities of all tokens in its place."""
        before, whole = (self._model.tokenize(one.encode()) for one in (prompt, prompt + text))
        self._model.reset()  # type: ignore[no-untyped-call]
        self._model.eval(whole)
        logits = np.array(self._model.scores[: len(whole)], np.float64)
        shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return [(whole[at], shares[at - 1]) for at in range(len(before), len(whole))]

    def close(self) -> None:
        self._model.close()


@pytest.fixture(scope="module")
def plain(random_path: Path) -> Iterator[Plain]:
    model = Plain(random_path)
    yield model
    model.close()


@pytest.mark.parametrize("settings", [Settings(batch=8, threads=1), Settings(deterministic=True, threads=1)])
def test_a_continuation_is_as_likely_as_in_a_plain_pass(random_path: Path, plain: Plain, settings: Settings) -> None:
    pairs = [(document, query) for query in QUERIES for document in DOCUMENTS]
    with LlamaEngine("random", str(random_path), settings=settings) as engine:
        found = measured(engine, [asked(document, continuation=query) for document, query in pairs])
        if not settings.deterministic:  # which shares by the 64 tokens
            assert engine.counts.prompt_decoded < engine.counts.prompt, "what documents share is decoded once"
    for (document, query), completion in zip(pairs, found, strict=True):
        tokens = plain.after(document, query)
        [number] = completion.measured
        assert completion.tokens == len(tokens)
        assert number == pytest.approx(sum(shares[token] for token, shares in tokens), rel=1e-3)


def test_choices_are_the_first_tokens_after_the_prompt(random_path: Path, plain: Plain) -> None:
    """None of them is a token of this vocabulary of bytes, so that the first byte counts, once for a choice, and not
    where another one may begin with it, too."""
    choices = (("yes", "you", "No"), ("Now", "a"))
    with LlamaEngine("random", str(random_path), settings=Settings(batch=8, threads=1)) as engine:
        found = measured(engine, [asked(document, choices=choices) for document in DOCUMENTS])
    for document, completion in zip(DOCUMENTS, found, strict=True):
        [(_, shares)] = plain.after(document, "y")
        right = [shares[plain.after(document, letter)[0][0]] for letter in "ya"]
        assert completion.measured == pytest.approx(right, abs=0.02)


def test_generation_and_measuring_go_together(certain_path: Path) -> None:
    """The model says what it says with all but e^-20 of the probability of each token."""
    with LlamaEngine("certain", str(certain_path), settings=Settings(batch=4, threads=1)) as engine:
        requests = [
            asked("x", continuation=SAID),
            Request(Text("x", ("\n",)), "", 20),
            asked("x", choices=(("q",), ("x", "y"))),
        ]
        surely, said, first = measured(engine, requests)
    assert said.text == SAID
    assert surely.measured == pytest.approx([0], abs=1e-3)
    assert first.measured[0] - first.measured[1] == pytest.approx(CERTAIN - math.log(2), rel=1e-3)


@pytest.mark.parametrize("gpu_sampling", ["off", "on"])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, repeat_penalty=1.2)])
def test_a_text_that_is_generated_is_as_likely_as_its_model_says(
    tmp_path: Path, sampling: Sampling, gpu_sampling: str
) -> None:
    """After x come a, b and again a or b, with probabilities that are written down, whatever it is drawn with."""
    table = {
        "x": {"a": CERTAIN + math.log(3), "b": CERTAIN},
        "a": {"b": CERTAIN + math.log(4), "a": CERTAIN},
        "b": {END: CERTAIN + math.log(5), "a": CERTAIN},
    }
    path = bigrams(tmp_path / "known.gguf", table)
    shares = {"xa": 3 / 4, "xb": 1 / 4, "ab": 4 / 5, "aa": 1 / 5, "b.": 5 / 6, "ba": 1 / 6}
    requests = [Request(Text("x", ()), "", 4, sampling, seed, is_weighed=True) for seed in range(6)]
    with LlamaEngine("known", str(path), settings=Settings(batch=4, threads=1, gpu_sampling=gpu_sampling)) as engine:
        found = measured(engine, [*requests, Request(Text("x", ()), "", 4, sampling)])
    assert found.pop().likelihood is None
    assert (len({one.text for one in found}) > 1) is (sampling.temperature > 0)
    for one in found:
        said = f"x{one.text}" + ("." if one.finish == "stop" else "")
        expected = sum(math.log(shares[said[at : at + 2]]) for at in range(len(said) - 1))
        assert one.likelihood is not None
        assert one.likelihood.tokens == one.tokens == len(said) - 1
        assert one.likelihood.logprob == pytest.approx(expected, abs=1e-3)


def test_what_was_weighed_is_kept_with_its_likelihood(tmp_path: Path) -> None:
    weighed, plain = (Request(Text("a b", ()), "a b", 8, is_weighed=weighed) for weighed in (True, False))
    with Store(tmp_path / "store.sqlite") as store:
        engine = StoredEngine(FakeEngine(is_chat=False), store)
        first, second, other, again = [measured(engine, [one])[0] for one in (weighed, weighed, plain, plain)]
    assert [one.reused for one in (first, second, other, again)] == [False, True, False, True]
    assert first.text == second.text == other.text == again.text
    assert first.likelihood == second.likelihood is not None
    assert other.likelihood is again.likelihood is None
    assert "weighed" not in second.made_by


def test_no_token_is_an_error_of_its_own(random_path: Path) -> None:
    with LlamaEngine("random", str(random_path), settings=Settings(batch=4, threads=1)) as engine:
        long = asked("a " * 9000, continuation=" b")
        bad, good = measured(engine, [long, asked("a", continuation=" b")])
    assert "tokens" in bad.error
    assert not good.has_failed


def test_what_was_measured_is_kept_by_prompt_and_text(tmp_path: Path) -> None:
    requests = [
        asked("a b", continuation="b c"),
        asked("a b", continuation="b"),
        asked("a b", choices=(("yes",), ("no",))),
        asked("a b", choices=(("ja", "yes"), ("nein",), ("b",))),
    ]
    with Store(tmp_path / "store.sqlite") as store:
        for is_reused in (False, True):
            found = measured(StoredEngine(FakeEngine(is_chat=False), store), requests)
            assert [one.reused for one in found] == [is_reused] * 4
            assert [len(one.measured) for one in found] == [1, 1, 2, 3]
            assert [one.measured[0] for one in found[:2]] == [-1, 0]
            assert [sum(map(math.exp, one.measured)) for one in found[2:]] == pytest.approx([1, 1])


def test_what_is_measured_needs_logits_where_others_are_picked_without(certain_path: Path) -> None:
    """With tokens picked where the model is computed, as on a GPU, what is measured gets another context."""
    settings = Settings(batch=4, threads=1, gpu_sampling="on")
    said = Request(Text("x", ()), "", len(SAID), Sampling(repeat_penalty=1.0))
    requests = [said, asked("x", continuation=SAID), said, asked("x", choices=(("q",), ("x",)))]
    with LlamaEngine("certain", str(certain_path), settings=settings) as engine:
        first, surely, again, choice = measured(engine, requests)
    assert first.text == again.text == SAID
    assert surely.measured == pytest.approx([0], abs=1e-3)
    assert choice.measured[0] - choice.measured[1] == pytest.approx(CERTAIN, rel=1e-3)


def test_a_model_that_wants_an_end_after_every_text_goes_on_with_a_prompt(tmp_path: Path) -> None:
    path = bigrams(tmp_path / "ends.gguf", saying(SAID), adds_end=True)
    with LlamaEngine("ends", str(path), settings=Settings(batch=4, threads=1)) as engine:
        requests = [asked("x", continuation=SAID), Request(Text("x", ()), "", 20), asked("x", choices=(("q",), ("x",)))]
        surely, said, choice = measured(engine, requests)
    assert (said.text, surely.tokens) == (SAID, len(SAID))
    assert surely.measured == pytest.approx([0], abs=1e-3)
    assert choice.measured[0] - choice.measured[1] == pytest.approx(CERTAIN, rel=1e-3)


@pytest.mark.parametrize(
    ("prompt", "text", "pieces"),
    [
        ("the", " water", [" ", "water"]),
        ("the wat", "er is", ["water", " ", "i", "s"]),
        ("the wa", "ter", ["water"]),
        ("the ", "water", ["water"]),
        ("a wat", "ch", ["c", "h"]),
    ],
)
def test_tokens_that_reach_over_the_end_of_the_prompt_are_measured_whole(
    tmp_path: Path, prompt: str, text: str, pieces: list[str]
) -> None:
    path = words(tmp_path / "words.gguf", ["w a", "wa t", "e r", "wat er"])
    with LlamaEngine("words", str(path), vocabulary_only=True) as engine:
        found = engine._measured(Ticket(Job("", [asked(prompt, continuation=text)]), 0))
        vocabulary = engine._vocabulary
        assert isinstance(found.picker, Following)
        assert [vocabulary.piece(int(token)).decode() for token in found.picker.tokens] == pieces
        assert vocabulary.text(found.prompt) + "".join(pieces) == prompt + text


def test_spellings_that_are_single_tokens_count_once_each(tmp_path: Path) -> None:
    path = words(tmp_path / "words.gguf", ["y e", "ye s", "n o", "Ġ yes", "N o"])
    with LlamaEngine("words", str(path), vocabulary_only=True) as engine:
        request = asked("A:", choices=(("yes", "Yes", " yes", "yes"), ("no", "No", " no", "NO")))
        groups = engine._first_tokens(request, engine._tokens(request.prompt))
        pieces = [sorted(engine._vocabulary.piece(token).decode() for token in group) for group in groups]
        assert pieces == [[" yes", "yes"], ["No", "no"]]
        with pytest.raises(ModelError, match='no token that says "oui"'):
            engine._first_tokens(asked("A:", choices=(("oui",), ("other",))), engine._tokens(Text("A:", ())))


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([0.0, 1.0, math.nan], NO_NUMBERS),
        ([0.0, math.inf, 1.0], NO_NUMBERS),
        ([-math.inf] * 3, NO_NUMBERS),
        ([-math.inf, 0.0, 0.0], "the model gives what is measured no probability at all"),
        ([0.0, 0.0, -math.inf], ""),
    ],
)
def test_what_is_no_probability_fails(row: list[float], error: str) -> None:
    for picker in (Following(np.array([0], np.int32)), Comparing([[0]])):
        job = Job("", [asked("x", continuation="y")])
        pending = Measured(Ticket(job, 0), np.array([1], np.int32), (), picker)
        picker.pick(np.array(row, np.float32), [])
        assert pending.accept(0, None)  # type: ignore[arg-type]
        [done] = job.results()
        assert done.error == error
        assert error or done.measured == pytest.approx([math.log(0.5)], abs=1e-5)


def test_a_choice_that_cannot_be_has_a_number_that_json_has() -> None:
    assert measurement([-math.inf, 0.0], 1).measured == [LEAST, 0]
