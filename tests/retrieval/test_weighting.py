"""Which text of a record counts how much."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.errors import InputError
from xqe.files.records import Document, Record
from xqe.retrieval.choices import Use
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.weighting import GREATEST_SHARE, LEAST_SHARE, Weighting, weighted_query

TEXTS = ["metal ship", "metal", "harbour sun", "sun", *(f"filler word{n}" for n in range(40))]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("weighting") / "ix"
    build(path, "zh", [(f"t:{n}", Document(f"d{n}", text)) for n, text in enumerate(TEXTS, 1)])
    return open_index(path)


def weights(index: Index, record: Record, **settings: object) -> dict[str, float]:
    weighting = Weighting(**{"query_weight": 1.0, **settings})  # type: ignore[arg-type]
    return dict(weighted_query({"id": "q", **record}, index, weighting, "here").weights)


def share(index: Index, record: Record) -> float:
    """The query's share of all weight, in a record whose query and passages have no word in common that counts."""
    result = weights(index, record, query_weight=None)
    return sum(result[term] for term in index.analyzer.terms(record["query"])) / sum(result.values())


BOTH = {"query": "metal metal ship", "passages": ["ship harbour", "harbour sun sun sun"]}


def test_use_chooses_the_text(index: Index) -> None:
    assert weights(index, BOTH, use=Use.QUERY) == {"metal": 2, "ship": 1}
    assert weights(index, BOTH, use=Use.DOC) == {"ship": 0.5, "harbour": 1, "sun": 1.5}
    assert weights(index, BOTH) == {"metal": 2, "ship": 1.5, "harbour": 1, "sun": 1.5}


def test_weight_one_with_one_passage_joins_them_once_as_the_paper_does(index: Index) -> None:
    joined = weights(index, {"query": "metal ship ship harbour ship"}, use=Use.QUERY)
    assert weights(index, {"query": "metal ship", "passages": ["ship harbour ship"]}) == joined


def test_the_query_weight_repeats_the_query(index: Index) -> None:
    repeated = {**BOTH, "query": " ".join([BOTH["query"]] * 3)}  # type: ignore[list-item]
    assert weights(index, BOTH, query_weight=3.0) == weights(index, repeated)


PASSAGE = " ".join(f"word{number}" for number in range(40))


def test_an_automatic_weight_gives_the_most_to_a_query_whose_words_the_passages_lack(index: Index) -> None:
    record = {"query": "metal ship", "passages": [PASSAGE, PASSAGE]}
    assert share(index, record) == pytest.approx(GREATEST_SHARE)
    result = weights(index, record, query_weight=None)
    assert result["metal"] == result["ship"] == pytest.approx(0.9 / 0.1 * 40 / 2)


def test_an_automatic_weight_gives_the_least_to_a_query_whose_words_the_passages_have(index: Index) -> None:
    result = weights(index, {"query": "metal ship", "passages": [f"metal ship {PASSAGE}"]}, query_weight=None)
    others = sum(result[f"word{number}"] for number in range(40))
    own = sum(result.values()) - others - 2  # the passage's own "metal" and "ship" are part of its weight
    assert own / (own + others + 2) == pytest.approx(LEAST_SHARE)


def test_rare_words_of_the_query_count_more_for_what_the_passages_cover(index: Index) -> None:
    common, rare = "filler", "ship"  # in 40 documents and in one
    kept = [weights(index, {"query": "filler ship", "passages": [f"{word} {PASSAGE}"]}, query_weight=None)
            for word in (common, rare)]  # fmt: skip
    assert kept[0]["ship"] > kept[1]["filler"]


def test_what_a_passage_repeats_counts_once_with_an_automatic_weight(index: Index) -> None:
    once = {"query": "metal", "passages": ["sun harbour", "sun"]}
    looping = {"query": "metal", "passages": ["sun sun sun harbour harbour", "sun sun"]}
    assert weights(index, once, query_weight=None) == weights(index, looping, query_weight=None)
    assert weights(index, once) != weights(index, looping)


WORDS = st.lists(st.sampled_from(["metal", "sun", "ship", "word1"]))


def test_passages_are_searched_by_their_stems_with_an_automatic_weight(tmp_path: Path) -> None:
    build(tmp_path / "ix", "en", [("t:1", Document("d", "running ships"))])
    english = open_index(tmp_path / "ix")
    record = {"query": "metals", "passages": ["running ships"]}
    beside = {"=metals", "meta*"}
    assert set(weights(english, record, query_weight=None)) == {"metal", *beside, "run", "ship"}
    assert set(weights(english, record)) == {"metal", *beside, "run", "=running", "ship", "=ships", "ship*"}


@given(WORDS, WORDS)
def test_an_automatic_weight_never_takes_weight_from_a_query(
    index: Index, query: list[str], passage: list[str]
) -> None:
    record = {"query": " ".join(query), "passages": [" ".join(passage)]}
    result = weights(index, record, query_weight=None)
    assert all(result[term] >= query.count(term) for term in query)


def test_an_automatic_weight_without_a_query_or_without_passages(index: Index) -> None:
    assert weights(index, {"query": "metal metal"}, query_weight=None) == {"metal": 2}
    assert weights(index, {"query": "", "passages": ["sun"]}, query_weight=None) == {"sun": 1}
    assert weights(index, {"query": "unknown", "passages": ["sun"]}, query_weight=None)["unknown"] > 1


def test_the_heaviest_terms_of_the_passages_are_kept(index: Index) -> None:
    record = {"query": "metal", "passages": ["filler filler sun harbour harbour unheard unheard unheard"]}
    assert set(weights(index, record, passage_terms=2)) == {
        "metal",
        "harbour",
        "sun",
    }  # rare ones; unheard matches nothing
    assert set(weights(index, record, passage_terms=1)) == {"metal", "harbour"}
    assert weights(index, record, passage_terms=99) == weights(index, record)


def test_the_source_weight_adds_the_untranslated_query(index: Index) -> None:
    record = {"query": "metal", "source": {"query": "Quecksilb Metal", "lang": "de"}}
    assert weights(index, record, source_weight=0.5) == {"metal": 1.5, "quecksilb": 0.5}
    assert weights(index, record) == {"metal": 1}


def test_the_source_counts_beside_the_query(index: Index) -> None:
    record = {"query": "metal", "passages": ["sun"], "source": {"query": "quecksilb", "lang": "de"}}
    assert weights(index, record, source_weight=0.5, query_weight=4.0) == {"metal": 4, "quecksilb": 2, "sun": 1}
    assert weights(index, record, source_weight=0.5, query_weight=4.0, use=Use.DOC) == {"quecksilb": 0.5, "sun": 1}


def test_the_source_weight_does_nothing_for_a_query_that_was_not_translated(index: Index) -> None:
    record = {"query": "metal", "source": {"query": "metal", "lang": "en"}}
    assert weights(index, record, source_weight=0.5) == {"metal": 1}


def test_passages_without_any_are_an_error_that_names_the_place(index: Index) -> None:
    with pytest.raises(InputError, match='here: no "passages"'):
        weights(index, {"query": "metal"}, use=Use.DOC)
    failed = {"query": "metal", "error": {"step": "expand", "message": "the model answered nothing"}}
    assert weights(index, failed, use=Use.DOC) == {"metal": 1}
