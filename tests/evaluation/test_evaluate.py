"""The measures against trec_eval's code and against references of a few lines; groups and what they expect."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import struct
from collections.abc import Iterable
from math import log2
from pathlib import Path

import pytest
import pytrec_eval
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from trec_runs import CASES, case

from xqe.errors import InputError, XqeError
from xqe.evaluation.comparison import Asked, check_comparable, compare
from xqe.evaluation.evaluated import Evaluation, average
from xqe.evaluation.groups import field_value, place
from xqe.evaluation.measures import DEFAULT, FAMILIES, Family, parse, parse_all
from xqe.evaluation.values import evaluate_run, per_query, ranking
from xqe.files.records import Record
from xqe.files.trec import Answer, read_qrels, read_run

Grades = dict[str, int]
Hits = dict[str, float]

# ---- references: each a definition, over the grades of the ranked documents (None: not judged) ----


def reference_order(hits: Hits) -> list[str]:
    def key(document: str) -> tuple[float, bytes]:
        return struct.unpack("f", struct.pack("f", hits[document]))[0], document.encode()

    return sorted(hits, key=key, reverse=True)


def reference(family: str, cutoff: int | None, grades: Grades, hits: Hits, rel: int) -> float:
    gains = [grades.get(document, 0) for document in reference_order(hits)]
    relevant = [gain >= rel for gain in gains]
    top = relevant[:cutoff]
    number = sum(grade >= rel for grade in grades.values())
    if family == "Hit":
        return float(any(top))
    if family != "nDCG" and not number:
        return 0.0  # as trec_eval has it, where nothing is relevant
    if family == "Recall":
        return sum(top) / number
    if family == "P":
        assert cutoff is not None
        return sum(top) / cutoff
    if family == "MRR":
        return next((1 / rank for rank, good in enumerate(top, 1) if good), 0.0)
    if family == "MAP":
        return sum(sum(top[:rank]) / rank for rank, good in enumerate(top, 1) if good) / number
    if family == "Rprec":
        return sum(relevant[:number]) / number
    assert family == "nDCG"

    def gain_of(order: Iterable[int]) -> float:
        return sum(max(gain, 0) / log2(rank + 1) for rank, gain in enumerate(list(order)[:cutoff], 1))

    best = gain_of(sorted(grades.values(), reverse=True))
    return gain_of(gains) / best if best else 0.0


MEASURES = parse_all(
    ["Hit@1,Hit@10,Recall@5,Recall@50,P@3,P@10,MRR,MRR@1,MRR@3,MRR@10,nDCG,nDCG@3,nDCG@10,MAP,MAP@3,MAP@10,Rprec"]
)
TREC_EVAL = {
    "Hit@1": "success_1",
    "Hit@10": "success_10",
    "Recall@5": "recall_5",
    "Recall@50": "recall_50",
    "P@3": "P_3",
    "P@10": "P_10",
    "MRR": "recip_rank",
    "nDCG": "ndcg",
    "nDCG@3": "ndcg_cut_3",
    "nDCG@10": "ndcg_cut_10",
    "MAP": "map",
    "MAP@3": "map_cut_3",
    "MAP@10": "map_cut_10",
    "Rprec": "Rprec",
}

# Ids in which the order of strings is not that of numbers, and beyond ASCII and the BMP; scores that tie exactly,
# that tie as 32-bit floats only, and that lie beyond them.
documents = st.sampled_from([f"d{number}" for number in range(14)] + ["D1", "d", "dé", "文書1", "\U0001f600", "\uff5e"])
scores = st.sampled_from([3.0, 2.0, 1.0, 1.00000000001, 0.99999999999, 0.0, -1.0]) | st.floats(-9, 9)
grade = st.sampled_from([-1, 0, 0, 1, 1, 2, 3])
query_ids = st.sampled_from([f"q{number}" for number in range(6)])
runs = st.dictionaries(query_ids, st.dictionaries(documents, scores, max_size=18), max_size=6)
qrels_sets = st.dictionaries(query_ids, st.dictionaries(documents, grade, min_size=1, max_size=10), max_size=6)


@settings(max_examples=200)
@given(qrels_sets, runs, st.integers(1, 3))
def test_values_are_the_references(qrels: dict[str, Grades], run: dict[str, Hits], rel: int) -> None:
    values = per_query(qrels, run, MEASURES, rel)
    assert list(values) == list(qrels)
    for query, found in values.items():
        expected = {
            str(measure): reference(measure.family.name, measure.cutoff, qrels[query], run.get(query, {}), rel)
            for measure in MEASURES
        }
        assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=200)
@given(qrels_sets, runs, st.integers(1, 3))
def test_values_are_those_of_trec_eval(qrels: dict[str, Grades], run: dict[str, Hits], rel: int) -> None:
    # it loops without end on a query whose grades are all negative
    able = {query: grades for query, grades in qrels.items() if max(grades.values()) >= 0}
    raw = pytrec_eval.RelevanceEvaluator(able, set(TREC_EVAL.values()), relevance_level=rel).evaluate(run)
    for query, found in per_query(qrels, run, MEASURES, rel).items():
        for measure, trec_name in TREC_EVAL.items():
            # trec_eval gives a query that is missing from the run no value; its option -c makes it 0
            assert found[measure] == raw.get(query, {}).get(trec_name, 0.0), (query, measure)


def test_values_of_many_queries_are_those_of_trec_eval() -> None:
    """More queries than are judged at once, and rankings longer than every cutoff."""
    chance = random.Random(7)
    names = [f"d{number}" for number in range(400)]
    run = {
        f"q{number}": {name: chance.choice([1.0, 2.0, chance.random()]) for name in chance.sample(names, 120)}
        for number in range(700)
    }
    qrels = {
        query: {name: chance.randint(0, 6) for name in chance.sample(names, 30)} | {"d1": 1}
        for query in run
        if chance.random() < 0.9
    }
    raw = pytrec_eval.RelevanceEvaluator(qrels, set(TREC_EVAL.values())).evaluate(run)
    found = per_query(qrels, run, MEASURES)
    assert found.keys() == qrels.keys()
    for query, values in found.items():
        assert {name: values[name] for name in TREC_EVAL} == {
            name: raw[query][trec_name] for name, trec_name in TREC_EVAL.items()
        }


def test_values_are_those_that_the_program_trec_eval_prints(tmp_path: Path) -> None:
    """200 random runs; golden/make_trec_eval.py says where the program is from."""
    golden = json.loads(gzip.decompress((ROOT / "tests" / "golden" / "trec_eval.json.gz").read_bytes()))
    assert len(golden["cases"]) == CASES == 200
    names = [next(name for name, trec_name in TREC_EVAL.items() if trec_name == one) for one in golden["measures"]]
    assert {*names, "Rprec"} == TREC_EVAL.keys()
    assert names == [str(parse(one)) for one in golden["measures"]]  # as trec_eval calls them
    compared = 0
    for number, expected in enumerate(golden["cases"]):
        qrels_text, run_text, rel = case(number)
        assert hashlib.sha256(f"{qrels_text}\0{run_text}\0{rel}".encode()).hexdigest() == expected["sha256"]
        (tmp_path / "qrels").write_text(qrels_text, encoding="utf-8")
        (tmp_path / "run").write_text(run_text, encoding="utf-8")
        qrels = read_qrels(str(tmp_path / "qrels"))
        evaluation = evaluate_run("run", read_run(str(tmp_path / "run")), qrels, MEASURES, rel)
        judged = evaluation.of()
        assert evaluation.answered == expected["values"].keys() - {"all"}
        assert len(judged) == expected["num_q"]  # it was asked with -c
        answered = {query: judged[(), query] for query in evaluation.answered}
        for query, values in {**answered, "all": average(judged.values())}.items():
            for name, value in zip(names, expected["values"][query], strict=True):
                assert values[name] == pytest.approx(value / 10_000, abs=5.001e-5), (number, query, name)
                compared += 1
    assert compared > 10_000


# Of pytrec_eval and ir_measures 0.4.3 (AP(rel=2), nDCG@10), which average over the queries of the qrels.
GRADED: dict[str, Grades] = {"q1": {"d1": 2, "d2": 1}, "q2": {"d3": 1, "d4": 0}, "q3": {"d5": 0}}
FOUND: dict[str, Hits] = {"q1": {"d1": 9, "d2": 8}, "q2": {"d4": 9, "d3": 8}, "q3": {"d5": 5}}


@pytest.mark.parametrize(
    ("rel", "complete", "run", "queries", "ndcg", "mean_ap"),
    [
        (1, True, "q1 q2 q3", 3, 0.5436, 0.5),
        (2, True, "q1 q2 q3", 3, 0.5436, 0.3333),
        (3, True, "q1 q2 q3", 3, 0.5436, 0.0),
        (1, True, "q1 q3", 3, 0.3333, 0.3333),
        (2, True, "q1 q3", 3, 0.3333, 0.3333),
        (1, False, "q1 q3", 2, 0.5, 0.5),  # trec_eval without -c: num_q 2
        (2, False, "q2", 1, 0.6309, 0.0),
    ],
)
def test_which_queries_count_is_trec_evals(
    rel: int, complete: bool, run: str, queries: int, ndcg: float, mean_ap: float
) -> None:
    """One without a relevant document does, and the least relevant grade says nothing of nDCG."""
    answers = [Answer(query, FOUND[query], f"run:{query}") for query in run.split()]
    evaluation = evaluate_run("run", answers, GRADED, parse_all(["nDCG@10 MAP"]), rel, complete=complete)
    assert len(evaluation.of()) == queries
    assert len(evaluation.missing) + evaluation.left_out == len(GRADED) - len(answers)
    assert average(evaluation.of().values()) == pytest.approx({"nDCG@10": ndcg, "MAP": mean_ap}, abs=5e-5)


@settings(max_examples=100)
@given(qrels_sets.filter(len), runs, st.randoms(use_true_random=False))
def test_order_changes_no_mean(qrels: dict[str, Grades], run: dict[str, Hits], chance: random.Random) -> None:
    def shuffled(mapping: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        return {
            key: dict(chance.sample(list(inner.items()), len(inner)))
            for key, inner in chance.sample(list(mapping.items()), len(mapping))
        }

    expected = average(per_query(qrels, run, MEASURES).values())
    again = per_query(shuffled(qrels), shuffled(run), MEASURES)  # type: ignore[arg-type]
    assert average(again.values()) == expected


def test_an_average_is_rounded_once() -> None:
    """Added one after the other, these give another last digit from the left than from the right."""
    values = [{"MRR": 0.1}, {"MRR": 0.2}, {"MRR": 0.3}]
    assert average(values) == average(reversed(values)) == {"MRR": 0.6 / 3}


def test_every_measure_breaks_a_tie_alike() -> None:
    """The relevant document ties with one of a greater id, so it stands second for all measures."""
    hits = {"a": 1.00000000001, "b": 1.0}
    values = per_query({"q": {"a": 1}}, {"q": hits}, parse_all(["Hit@1 MRR MRR@1 MRR@2 P@1 Recall@1 MAP nDCG@1"]))
    assert ranking(hits) == ["b", "a"]
    assert values["q"] == {
        "Hit@1": 0, "MRR": 0.5, "MRR@1": 0, "MRR@2": 0.5, "P@1": 0, "Recall@1": 0, "MAP": 0.5, "nDCG@1": 0,
    }  # fmt: skip


def test_scores_beyond_float32_tie() -> None:
    assert ranking({"a": 1e300, "b": 1e200, "c": 1.0, "d": float("-inf")}) == ["b", "a", "c", "d"]


# ---- names ----


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hit@10", "Hit@10"), ("Success@10", "Hit@10"), ("R@5", "Recall@5"), ("recall@5", "Recall@5"), ("rr", "MRR"),
        ("RR@10", "MRR@10"), ("AP", "MAP"), ("map@100", "MAP@100"), ("NDCG@7", "nDCG@7"), ("ndcg", "nDCG"),
        ("P@3", "P@3"), ("ndcg_cut_10", "nDCG@10"), ("ndcg_cut.10", "nDCG@10"), ("map_cut_100", "MAP@100"),
        ("recip_rank", "MRR"), ("recall_100", "Recall@100"), ("P_5", "P@5"), ("success_1", "Hit@1"), ("map", "MAP"),
        ("Rprec", "Rprec"), ("mrr_10", "MRR@10"),
    ],
)  # fmt: skip
def test_spellings(text: str, name: str) -> None:
    assert str(parse(text)) == name
    assert parse(name) == parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *((text, "") for text in ("", "Hit@0", "Hit@1.5", "@10", "Hit@01", "num_q", "infAP", "bpref")),
        ("Hits@10", "Hit@10"), ("nDCG10", "nDCG@10"), ("P5", "P@5"), ("ndgc@3", "nDCG@3"), ("MRR 10", "MRR@10"),
        ("Hit@-1", "Hit@1"), ("Hit@", "Hit@10"), ("recipRank", "MRR"),
    ],
)  # fmt: skip
def test_an_unknown_measure_names_what_it_is_near_to_and_the_known(text: str, meant: str) -> None:
    with pytest.raises(XqeError) as caught:
        parse(text, "--measure")
    known = "xqe knows Hit@k Recall@k P@k MRR MRR@k nDCG nDCG@k MAP MAP@k Rprec"
    hint = f"did you mean {meant}? {known}" if meant else known
    assert str(caught.value) == f'--measure: unknown measure "{text}"; {hint}'


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.needs_cutoff])
def test_a_missing_cutoff_is_asked_for(family: Family) -> None:
    with pytest.raises(XqeError, match=f'"{family.name}" needs a cutoff; for example {family.name}@10'):
        parse(family.name)


def test_trec_evals_name_of_what_is_cut_needs_a_cutoff_and_what_is_never_cut_has_none() -> None:
    with pytest.raises(XqeError, match='"ndcg_cut" needs a cutoff; for example nDCG@10'):
        parse("ndcg_cut")
    with pytest.raises(XqeError, match='"Rprec_5" has a cutoff, and Rprec has none; give Rprec'):
        parse("Rprec_5")


def test_the_default_measures_are_the_papers() -> None:
    assert [str(measure) for measure in DEFAULT] == ["Hit@10", "Recall@5", "Recall@50", "MRR", "nDCG@10"]


def test_several_measures_in_one_text_and_each_once() -> None:
    assert parse_all(["MRR,Hit@1", "RR nDCG"]) == (parse("MRR"), parse("Hit@1"), parse("nDCG"))


# ---- the fields of records ----

PAIR: Record = {"id": "q", "lang": "en", "source": {"lang": "ar"}, "index": {"lang": "en"}, "domain": "law"}


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (PAIR, "domain", "law"),
        (PAIR, "source.lang", "ar"),
        (PAIR, "source.script", "non-Latin"),
        (PAIR, "index.script", "Latin"),
        (PAIR, "script", "Latin"),
        (PAIR, "source.domain", None),
        (PAIR, "domain.lang", None),
        (PAIR, "nothing", None),
        ({"lang": "pt_BR"}, "source.lang", "pt"),  # as it first arrived: it is its own source
        *(({"index": {"lang": code}}, "index.lang", "zh") for code in ("zh-Hant", "zh-CN", "ZH", "zh ", "zh_TW")),
        ({"lang": "br-FR"}, "lang", "br"),  # of a language without a row
        ({"lang": "Swahili"}, "lang", "sw"),
        ({"lang": "gibberish"}, "lang", "gibberish"),
        ({"passages_lang": "DE-at"}, "passages_lang", "de"),
        ({"region": "DE-at"}, "region", "DE-at"),
        ({"lang": "hi"}, "source.script", "non-Latin"),
        ({"lang": "kk"}, "script", "non-Latin"),
        ({"lang": "xx"}, "script", None),
        (PAIR, "source.family", "Semitic"),
        ({"index": {"lang": "pt-BR"}}, "index.family", "Romance"),
        ({"lang": "yo"}, "source.resources", "2"),  # Joshi et al. (2020)
        ({"lang": "br"}, "family", None),  # Breton has no row
        ({"lang": "br"}, "resources", None),
        ({"lang": "hi", "script": "Deva"}, "script", "Deva"),
        ({"year": 2024}, "year", "2024"),
        ({"hard": True}, "hard", "true"),
        ({"domain": None}, "domain", None),
    ],
)
def test_field_values(record: Record, field: str, value: str | None) -> None:
    assert field_value(record, field) == value


# ---- groups ----

FIRST, SECOND = {"d1": 2.0, "d2": 1.0}, {"d2": 2.0, "d1": 1.0}  # with d1 relevant: MRR 1 and 0.5
MRR = parse_all(["MRR"])


def answer(query: str, hits: Hits, **fields: object) -> Answer:
    return Answer(query, hits, f"run:{query}:{sorted(fields.items())}", {"id": query, **fields})


def evaluated(ids: str, answers: Iterable[Answer], *fields: str) -> Evaluation:
    return evaluate_run("run", answers, {query: {"d1": 1} for query in ids}, MRR, fields=fields)


def shown(evaluation: Evaluation) -> dict[str, tuple[int, int, float]]:
    """Each row as "values of the group" -> (queries, missing, MRR)."""
    return {
        " ".join(row.group.values()): (row.queries, row.missing, row.measures["MRR"]) for row in compare([evaluation])
    }


def test_one_id_in_several_groups_is_expected_in_all_of_them() -> None:
    pairs = [answer(query, FIRST, pair=pair) for query, pair in ("ax", "bx", "cx", "ay")]
    assert shown(evaluated("abcd", pairs, "pair")) == {"x": (4, 1, 0.75), "y": (4, 3, 0.25), "": (8, 4, 0.5)}


def test_a_language_is_one_group_and_one_pair_however_it_is_spelled() -> None:
    """Each query is asked once, so that none is missing; and both runs answer the same pair."""
    spelled = [answer("a", FIRST, source={"lang": "pt-BR"}), answer("b", SECOND, source={"lang": "PT"})]
    evaluation = evaluated("ab", spelled, "source.lang")
    assert shown(evaluation) == {"pt": (2, 0, 0.75), "": (2, 0, 0.75)}
    plain = evaluated("ab", [answer(query, FIRST, source={"lang": "pt"}) for query in "ab"], "source.lang")
    check_comparable(evaluation, plain, each_group=True)
    assert differences(plain, evaluation) == [
        ("run", "pt", None), ("run", "pt", -0.25), ("run", "", None), ("run", "", -0.25),
    ]  # fmt: skip


def test_without_complete_a_group_is_averaged_over_what_it_answers() -> None:
    """A record that failed before its group was known counts where it may belong to."""
    pairs = [answer("a", FIRST, pair="x"), answer("b", SECOND, pair="x"), answer("a", FIRST, pair="y")]
    lost = Answer("c", {}, "run:9", {"id": "c", "error": {"step": "translate", "message": "no"}})
    qrels = {query: {"d1": 1} for query in "abcd"}
    whole = evaluate_run("run", pairs, qrels, MRR, fields=["pair"], complete=False)
    assert shown(whole) == {"x": (2, 0, 0.75), "y": (1, 0, 1.0), "": (3, 0, 2.5 / 3)}
    assert whole.left_out == 5
    failed = evaluate_run("run", [*pairs, lost], qrels, MRR, fields=["pair"], complete=False)
    assert shown(failed) == {"x": (3, 1, 0.5), "y": (2, 1, 0.5), "": (5, 2, 0.5)}


def test_hits_of_the_querys_own_id_are_counted_and_can_be_left_out() -> None:
    own = [answer("d1", {"d1": 2.0, "d2": 1.0}), answer("d2", {"d1": 2.0})]
    qrels = {"d1": {"d2": 1}, "d2": {"d1": 1}}
    found = {drop: evaluate_run("run", own, qrels, MRR, drop_own=drop) for drop in (False, True)}
    assert {drop: (one.own, average(one.of().values())["MRR"]) for drop, one in found.items()} == {
        False: (1, 0.75), True: (1, 1.0),
    }  # fmt: skip
    assert evaluate_run("run", own, {"d1": {"d1": 1}}, MRR).own == 0  # it is judged to be relevant


def test_a_single_value_is_no_property_of_the_query() -> None:
    assert shown(evaluated("abcd", [answer("a", FIRST, pair="x")], "pair")) == {"x": (4, 3, 0.25), "": (4, 3, 0.25)}


def test_a_field_of_the_query_expects_its_own_queries_and_what_is_nowhere_counts_in_the_whole() -> None:
    pairs = [answer("a", FIRST, domain="law"), answer("b", FIRST, domain="law"), answer("c", SECOND, domain="art")]
    evaluation = evaluated("abcd", pairs, "domain")
    assert shown(evaluation) == {"art": (1, 0, 0.5), "law": (2, 0, 1.0), "": (4, 1, 0.625)}
    assert (None, "d") in evaluation.missing


@pytest.mark.parametrize("lost", [[], [Answer("b", {}, "run:9", {"id": "b", "error": {"step": "translate"}})]])
def test_a_field_of_the_query_and_one_that_crosses_it(lost: list[Answer]) -> None:
    """Query b is known to be about law from its other pair, so it is missing from law and fr, and from no art.

    A record of b that failed before it had either field says nothing else.
    """
    pairs = [
        *lost,
        answer("a", FIRST, domain="law", lang="de"),
        answer("b", FIRST, domain="law", lang="de"),
        answer("c", FIRST, domain="art", lang="de"),
        answer("a", FIRST, domain="law", lang="fr"),
        answer("c", SECOND, domain="art", lang="fr"),
    ]
    assert shown(evaluated("abc", pairs, "domain", "lang")) == {
        "art de": (1, 0, 1.0),
        "art fr": (1, 0, 0.5),
        "law de": (2, 0, 1.0),
        "law fr": (2, 1, 0.5),
        "": (6, 1, 0.75),
    }


@pytest.mark.parametrize("error", [None, {"step": "translate", "message": "no"}])
def test_a_record_that_failed_before_its_group_was_known_is_missing_from_it(error: object) -> None:
    pairs = [answer("a", FIRST, index={"lang": "en"}), answer("b", {}, error=error)]
    groups = shown(evaluated("ab", pairs, "index.lang"))
    if error is None:  # the user's own record without the field: a group of its own, seen twice
        assert groups == {"-": (1, 0, 0.0), "en": (1, 0, 1.0), "": (2, 0, 0.5)}
    else:
        assert groups == {"en": (2, 1, 0.5), "": (2, 1, 0.5)}


def test_a_run_in_which_all_failed_is_worth_nothing() -> None:
    assert shown(evaluated("ab", [answer("a", {}, error={"step": "search"})], "index.lang")) == {"": (2, 2, 0.0)}


@settings(max_examples=200)
@given(st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xy"), st.sampled_from("12"))))
def test_every_query_is_placed_and_none_in_a_group_it_denies(cells: set[tuple[str, str, str]]) -> None:
    groups = {(pair, part) for _, pair, part in cells}
    expected = place("abcdef", groups, [((pair, part), query) for query, pair, part in cells])
    nowhere = set(expected.pop(None, ()))
    somewhere = {query for queries in expected.values() for query in queries}
    assert somewhere | nowhere == set("abcdef")
    assert not somewhere & nowhere
    for query, pair, part in cells:
        assert query in expected[(pair, part)]  # what a run answers always counts


def test_a_query_twice_is_an_error_with_and_without_groups() -> None:
    pairs = [answer("a", FIRST, pair="x"), answer("a", FIRST, pair="y")]
    with pytest.raises(InputError, match=r'query "a" again .*--by'):
        evaluated("a", pairs)
    with pytest.raises(InputError, match=r'query "a" again in pair=y .*--by'):
        evaluated("a", [*pairs, answer("a", SECOND, pair="y")], "pair")


def test_a_run_without_records_has_no_groups() -> None:
    with pytest.raises(InputError, match="no fields to group by"):
        evaluated("a", [Answer("a", FIRST, "run:1")], "pair")


# ---- comparison ----


def differences(*evaluations: Evaluation) -> list[tuple[str, str, float | None]]:
    return [
        (row.run, " ".join(row.group.values()), None if row.difference is None else row.difference["MRR"])
        for row in compare(evaluations)
    ]


def named(run: str, answers: list[Answer], *fields: str) -> Evaluation:
    return evaluate_run(run, answers, {"a": {"d1": 1}, "b": {"d1": 1}}, MRR, fields=fields)


def test_differences_are_to_the_first_run() -> None:
    one = named("one", [answer("a", SECOND), answer("b", FIRST)])
    two = named("two", [answer("a", FIRST), answer("b", FIRST)])
    assert differences(one, two, one) == [("one", "", None), ("two", "", 0.25), ("one", "", None)]
    assert differences(two, one) == [("two", "", None), ("one", "", -0.25)]


def test_there_is_no_difference_between_averages_over_other_queries() -> None:
    one = named("one", [answer("a", FIRST, domain="law"), answer("b", FIRST, domain="art")], "domain")
    two = named("two", [answer("a", SECOND, domain="law"), answer("b", FIRST, domain="law")], "domain")
    assert differences(one, two) == [
        ("one", "art", None),
        ("one", "law", None),
        ("two", "law", None),  # over two queries, where the first run has one
        ("one", "", None),
        ("two", "", None),  # over other groups
    ]


def test_there_is_no_difference_between_averages_over_other_language_pairs() -> None:
    one = named("one", [answer(query, FIRST, lang="de", index={"lang": "en"}) for query in "ab"], "index.lang")
    two = named("two", [answer(query, SECOND, lang="fr", index={"lang": "en"}) for query in "ab"], "index.lang")
    assert [difference for *_, difference in differences(one, two)] == [None] * 4
    three = named("three", [answer(query, SECOND, lang="de", index={"lang": "en"}) for query in "ab"], "index.lang")
    assert [difference for *_, difference in differences(one, three)] == [None, -0.5, None, -0.5]


def test_a_run_is_worth_the_same_in_any_company() -> None:
    one = named("one", [answer("a", SECOND, domain="law"), answer("b", FIRST, domain="art")], "domain")
    two = named("two", [answer("a", FIRST, domain="law")], "domain")
    together = [(row.run, row.group, row.queries, row.measures) for row in compare([one, two])]
    apart = [(row.run, row.group, row.queries, row.measures) for run in (one, two) for row in compare([run])]
    assert sorted(together, key=str) == sorted(apart, key=str)


def test_runs_are_paired_by_cell_and_query_and_by_query_where_one_has_no_cell() -> None:
    """Query c is nowhere in the first run, and in law in the second; it is still the same question."""
    one = [answer("c", SECOND, domain="law"), answer("a", FIRST, domain="law"), answer("b", FIRST, domain="art")]
    two = [answer("b", SECOND, domain="art"), answer("a", FIRST, domain="law")]
    rows = compare([evaluated("abc", two, "domain"), evaluated("abc", one, "domain")], Asked("randomization"))
    whole = rows[-1].comparison
    assert whole is not None
    assert (whole["MRR"].wins, whole["MRR"].ties, whole["MRR"].losses) == (2, 1, 0)  # b and c won, a tied


def test_p_is_adjusted_for_all_differences_shown_together() -> None:
    runs = {
        "first": [SECOND] * 8,
        "better": [FIRST] * 8,
        "near": [FIRST] * 5 + [SECOND] * 3,
    }
    ids = "abcdefgh"
    evaluations = [
        evaluate_run(
            name,
            [answer(query, hits) for query, hits in zip(ids, found, strict=True)],
            {q: {"d1": 1} for q in ids},
            MRR,
        )
        for name, found in runs.items()
    ]
    _, better, near = compare(evaluations, Asked("randomization"))
    assert better.comparison is not None
    assert near.comparison is not None
    assert (better.comparison["MRR"].p, better.comparison["MRR"].p_holm) == (2 / 2**8, 4 / 2**8)
    assert (near.comparison["MRR"].p, near.comparison["MRR"].p_holm) == (2 / 2**5, 2 / 2**5)
    assert better.comparison["MRR"].is_significant
    assert not near.comparison["MRR"].is_significant
    (_, alone) = compare([evaluations[0], evaluations[1]], Asked("t", intervals=True))
    assert alone.comparison is not None
    assert alone.comparison["MRR"].p_holm == alone.comparison["MRR"].p
    assert alone.interval is not None
    assert alone.interval["MRR"][1] == 1.0
    assert [row.comparison for row in compare(evaluations)] == [None] * 3
