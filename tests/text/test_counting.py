"""Counting beside a plain count of what the analyzer says of each text by itself."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.files.fingerprints import fingerprints
from xqe.text import counting
from xqe.text.analysis import PROBES, analyzer
from xqe.text.counting import TermCounter, TermCounts
from xqe.text.languages import LANGUAGES
from xqe.text.segmenters import WORDS
from xqe.text.tokens import cut

BY_TOKEN = [code for code, row in LANGUAGES.items() if row.analysis.segmenter == WORDS and not row.analysis.pairs]
# Beside letters of all scripts: what joins in words, what combines with anything before it, what is left out, spaces.
SPECIAL = (
    "'\".:,;_-/()=<>\u2019\u00b4\u0301\u0308\u0323\u0338\u0345\u093f\u0940\u200c\u200d\u00ad\u200b\u202f\u00a0"
    "\ud800\x00\x1c \n\u3000IJTiİıΣ"
)
TEXTS = st.lists(st.text(st.sampled_from("".join(PROBES) + SPECIAL * 4) | st.characters(), max_size=40), max_size=6)


def counted(texts: list[str], counts: TermCounts, names: dict[int, str]) -> list[Counter[str]]:
    """How often each text holds which terms. names: of those that were told, by their fingerprints."""
    names.update(zip(counts.keys[counts.places].tolist(), counts.terms, strict=True))
    pairs = iter(zip(counts.numbers.tolist(), counts.counts.tolist(), strict=True))
    made = [Counter({names[int(counts.keys[n])]: c for n, c in (next(pairs) for _ in range(s))}) for s in counts.sizes]
    assert next(pairs, None) is None and len(made) == len(texts)
    return made


@given(texts=TEXTS, code=st.sampled_from(BY_TOKEN))
@settings(max_examples=250, deadline=None)
def test_the_terms_of_a_text_are_those_of_its_tokens(texts: list[str], code: str) -> None:
    analyze = analyzer(code)
    tokens = cut(analyze.uncased(texts))
    terms = [analyze.terms(tokens.text(number)) for number in range(len(tokens.keys))]
    start = 0
    for text, size in zip(texts, tokens.sizes.tolist(), strict=True):
        assert list(chain.from_iterable(terms[start : start + size])) == analyze.terms(text)
        start += size
    by_key = {key: tokens.text(number) for number, key in enumerate(tokens.keys.tolist())}
    assert all(by_key[key] == tokens.text(number) for number, key in enumerate(tokens.keys.tolist()))


@pytest.mark.parametrize("code", ["en", "de", "tr", "fa", "hi", "zh", "km", "my"])
def test_what_is_counted_is_what_a_plain_count_says(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_BLOCK", 300)
    monkeypatch.setattr(counting, "_PIECE", 200 if analyzer(code).is_by_token else 10_000)
    monkeypatch.setattr(counting, "_REMEMBERED", 200)  # so that it forgets on the way
    texts = [*PROBES, "", "ships at sea " * 100, "Don't", "x" * 150, PROBES[0]]
    expected = [Counter(analyzer(code).terms(text)) for text in texts]
    counter = TermCounter(analyzer(code))
    names: dict[int, str] = {}
    for first in (0, 4, 8, 12):
        some, terms = texts[first : first + 4], expected[first : first + 4]
        bodies, counts = counter.count(some)
        assert counted(some, counts, names) == terms
        assert [Counter(body.split()) for body in bodies] == terms
        assert counts.lengths.tolist() == [one.total() for one in terms]
        assert counts.keys.tolist() == sorted(fingerprints(set().union(*terms)).tolist())
        assert {
            names[key]: n for key, n in zip(counts.keys.tolist(), counts.frequencies.tolist(), strict=True)
        } == Counter(term for one in terms for term in one)
