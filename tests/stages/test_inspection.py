"""Inspection: each measure against a text made for it, and against what people wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, OF_FIXTURES, jsonl
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.errors import InputError
from xqe.models.examples import builtin
from xqe.stages.inspection.inspector import Inspector, inspected
from xqe.stages.inspection.measures import FLAGS, MEASURES
from xqe.stages.inspection.metatext import is_meta
from xqe.stages.inspection.repetition import loops, repetition
from xqe.stages.inspection.summary import summary
from xqe.text import detection
from xqe.text.analysis import analyzer
from xqe.text.languages import LANGUAGES

TRANSLATED = {"step": "translate", "from": "de", "to": "en", "model": "m", "finish": "stop"}
EXPANDED = {"step": "expand", "strategy": "fewshot", "shots": 5, "model": "m", "finish": "stop"}


def passages(code: str) -> list[str]:
    return [example["passage"] for example in builtin(code)]


def documents(code: str) -> list[str]:
    return fixtures("documents", code, "text")


def fixtures(kind: str, code: str, field: str) -> list[str]:
    lines = (FIXTURES / kind / f"{code}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)[field] for line in lines]


def record(*texts: str, query: str = "ships in a harbour", lang: str = "en", **more: Any) -> dict[str, Any]:
    return {"id": "1", "query": query, "lang": lang, "passages": list(texts), "steps": [EXPANDED], **more}


def of(made: Mapping[str, Any], examples: str | None = None) -> dict[str, Any]:
    [done] = inspected([dict(made)], examples)
    found = done.pop("inspection")
    assert done == made, "a field of the record has changed"
    assert isinstance(found, dict)
    return found


# ---------------------------------------------------------------- script and language


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_people_wrote_is_in_its_language_and_script(code: str) -> None:
    texts = [*(documents(code) if code in OF_FIXTURES else ()), *passages(code)]
    told = [detection.language_of(text) for text in texts]
    assert set(told) <= ({code, None} if code in ("id", "ms") else {code})  # which are close, and told apart by little
    for text in texts:
        share = detection.script_share(text, LANGUAGES[code])
        assert share is not None
        assert share > 0.7
    if code not in OF_FIXTURES:
        return
    # of short texts some are not certain, and none is taken for another language
    assert {detection.language_of(text) for text in fixtures("questions", code, "query")} <= {code, None}


@pytest.mark.parametrize(
    ("text", "code", "share"),
    [
        ("ab вг", "ru", 0.5),
        ("ab вг", "en", 0.5),
        ("１２ ＡＢ", "en", 1.0),  # full-width letters are Latin ones, digits are none
        ("カタカナ ひらがな 漢字", "ja", 1.0),
        ("カタ 漢字", "zh", 0.5),
        ("नमस्ते", "hi", 1.0),  # vowel signs are not letters
        ("السلام", "ar", 1.0),
        ("12, 3.5!", "en", None),
        ("", "en", None),
    ],
)
def test_the_share_of_a_script(text: str, code: str, share: float | None) -> None:
    assert detection.script_share(text, LANGUAGES[code]) == share


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Statek wpłynął do portu wczoraj wieczorem, a załoga zeszła na ląd.", "pl"),  # none of xqe's, and named
        ("Skibet sejlede ind i havnen i går aftes, og besætningen gik i land.", "da"),
        ("1234 5678", None),
        ("", None),
        ("ok", None),
        ("風力発電機", None),  # Japanese, and may be Chinese
        ("風力発電機の音", "ja"),
    ],
)
def test_a_language_is_named_only_where_it_is_certain(text: str, code: str | None) -> None:
    assert detection.language_of(text) == code


def test_another_language_than_the_one_asked_for() -> None:
    text = "Das Schiff liegt seit gestern Abend im Hafen, und die Mannschaft ist an Land gegangen."
    found = of(record(text))
    assert (found["wrong_language"], found["wrong_script"], found["flagged"]) == (1, 0, 1)
    assert found["passages"][0]["language"] == "de"
    found = of(record(text, query="корабль", lang="ru"))
    assert (found["wrong_language"], found["wrong_script"], found["script"]) == (1, 1, 0)


# ---------------------------------------------------------------- the query in the passage


def test_faithfulness_is_the_share_of_the_querys_stems() -> None:
    # of the, ship, harbour, old: "the" is a stop word, ships and harbours are inflected
    found = of(record("Ships lie in the harbours.", query="the old ship of the harbour"))
    assert found["faithfulness"] == pytest.approx(2 / 3)
    assert of(record("Ships.", query="the of"))["faithfulness"] is None


def test_faithfulness_needs_the_query_in_the_passages_language() -> None:
    direct = record("Ships lie in the harbour.", query="Schiffe im Hafen", lang="de", passages_lang="en")
    found = of(direct | {"steps": [EXPANDED | {"to": "en"}]})
    assert (found["lang"], found["order"], found["faithfulness"], found["wrong_language"]) == ("en", "d", None, 0)
    later = direct | {"query": "ships in the harbour", "lang": "en", "source": {"query": "Schiffe", "lang": "de"}}
    found = of(later | {"steps": [EXPANDED | {"to": "en"}, TRANSLATED]})
    assert (found["order"], found["faithfulness"]) == ("dt", 1)
    # the query alone is translated then, and its end says nothing of the passages
    found = of(later | {"steps": [EXPANDED | {"to": "en"}, TRANSLATED | {"finish": "length"}]})
    assert found["cut"] == 0


def test_a_region_makes_no_other_language() -> None:
    made = record("Um navio no porto.", query="navio", lang="pt_BR", steps=[EXPANDED | {"to": "pt"}])
    assert of(made)["order"] == "e"


def test_numbers_and_names_are_kept_in_any_language() -> None:
    source = {"query": "USB-Treiber für PCMCIA 2.6 unter Linux", "lang": "de"}
    made = record("A PCMCIA driver for version 2.6.", query="USB driver for PCMCIA", source=source)
    # usb, pcmcia, 2.6; "Linux" may be any German noun
    assert of(made)["kept"] == pytest.approx(2 / 3)
    made = record("Linux driver.", query="x", source={"query": "Linux 用の PCMCIA ユーティリティ", "lang": "ja"})
    assert of(made)["kept"] == pytest.approx(1 / 2)  # of another script, every Latin word is a name
    made = record("In 2024.", query="x", source={"query": "سنة ٢٠٢٤", "lang": "ar"})
    assert of(made)["kept"] == 1
    assert of(record("Ships."))["kept"] is None


# ---------------------------------------------------------------- drift


@pytest.mark.parametrize("code", OF_FIXTURES)
def test_drift_finds_a_passage_copied_from_an_example(code: str) -> None:
    copied = of(record(passages(code)[4], query="", lang=code))["drift"]
    assert copied > 0.6  # what is missing are words that several examples have
    own = [of(record(text, query="", lang=code))["drift"] for text in documents(code)]
    assert sum(own) / len(own) < 0.05
    assert copied > 2 * max(own)


def test_drift_is_nothing_that_the_query_asks_for() -> None:
    text = "Empty the recycle bin and delete temporary files to free up space on a hard disk."
    assert of(record(text))["drift"] > 0.5
    assert of(record(text, query=text))["drift"] == 0


def test_two_words_in_common_are_chance() -> None:
    assert of(record("A camel drinks, says the sailor of the harbour.", query=""))["drift"] == 0
    assert of(record("A camel drinks little water in winter, says the sailor.", query=""))["drift"] > 0


def test_drift_in_what_was_translated_after_it_was_written() -> None:
    made = record(passages("en")[1], steps=[EXPANDED, TRANSLATED], source={"query": "x", "lang": "de"})
    assert of(made)["drift"] > 0.6


@pytest.mark.parametrize(
    "step",
    [
        {name: value for name, value in EXPANDED.items() if name != "shots"},  # a chat model was shown none
        EXPANDED | {"shots": 6},  # these were a file's
        {"step": "other"},
    ],
)
def test_without_known_examples_drift_is_not_known(step: dict[str, Any]) -> None:
    assert of(record(passages("en")[0], steps=[step]))["drift"] is None


@pytest.mark.parametrize(
    "damage", [{"strategy": ["fewshot"]}, {"seed": {}}, {"strategy": {"a": 1}, "seed": [1]}], ids=str
)
def test_a_step_of_another_form_is_no_obstacle(damage: dict[str, Any]) -> None:
    assert of(record(passages("en")[0], steps=[EXPANDED | damage]))["drift"] > 0.6


def test_only_the_examples_that_were_shown_count() -> None:
    from xqe.models.examples import Chooser

    shown = [example["passage"] for example in Chooser(None, 2, 7)(LANGUAGES["en"])]
    step = EXPANDED | {"strategy": "zeroshot", "shots": 2, "seed": 7}
    drifted = [of(record(text, query="", steps=[step]))["drift"] > 0.3 for text in passages("en")]
    assert drifted == [text in shown for text in passages("en")]
    del step["seed"]  # at temperature 0 it is not told: any of them may have been shown
    assert all(of(record(text, query="", steps=[step]))["drift"] > 0.3 for text in passages("en"))


def test_examples_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(
        jsonl({"query": "gulls", "passage": "Gulls nest on cliffs and steal chips from tourists."}), "utf-8"
    )
    step = EXPANDED | {"shots": 1}
    text = "Gulls that nest on the cliffs steal chips."
    assert of(record(text, steps=[step]), str(file))["drift"] == 1
    assert of(record(text, steps=[step]))["drift"] == 0
    # translated since: the file's words are of another language
    source = {"query": "Möwen", "lang": "de"}
    assert of(record(text, steps=[step, TRANSLATED], source=source), str(file))["drift"] is None


def test_a_bad_file_of_examples_is_named_before_any_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl"):
        Inspector(str(tmp_path / "nowhere.jsonl"))


# ---------------------------------------------------------------- repetition


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 4))
def test_repetition_against_counting(tokens: list[str], n: int) -> None:
    grams = Counter("".join(tokens[at : at + n]) for at in range(len(tokens) - n + 1))
    expected = sum(count - 1 for count in grams.values()) / grams.total() if grams else None
    assert repetition(tokens, n) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.sampled_from(["ab", "cde"]), max_size=14), st.integers(1, 4))
def test_loops_against_trying_every_place(tokens: list[str], longest: int) -> None:
    expected = any(
        tokens[at : at + size] * 3 == tokens[at : at + 3 * size] and len("".join(tokens[at : at + size])) >= 3
        for size in range(1, longest + 1)
        for at in range(len(tokens))
    )
    assert loops(tokens, 1, longest) == expected


@pytest.mark.parametrize(
    ("text", "lang", "loop"),
    [
        ("the ship in the ship in the ship in", "en", 1),
        ("the ship in the ship in the harbour", "en", 0),
        ("written in C, C++ or C#, on 4 x 4 x 4", "en", 0),
        ("シリーズの標準化シリーズの標準化シリーズの標準化", "ja", 1),
        ("シリーズの標準化シリーズの標準", "ja", 0),
        ("港口的船港口的船港口的船", "zh", 1),
        ("10000000000 円", "ja", 0),
    ],
)
def test_a_phrase_three_times_in_a_row_is_a_loop(text: str, lang: str, loop: int) -> None:
    assert of(record(text, lang=lang))["loop"] == loop


# ---------------------------------------------------------------- flags

META = {
    "ar": "بالتأكيد! إليك فقرة قصيرة عن الجمال.",
    "de": "Hier ist ein kurzer, relevanter Absatz zur Frage:",
    "en": "To answer this query, I will first explain what a harbour is.",
    "es": "Aquí tienes un breve pasaje sobre el tema:",
    "fr": "Voici un court passage qui répond à la question :",
    "hi": "यहाँ एक छोटा अनुच्छेद दिया गया है:",
    "id": "Berikut adalah paragraf singkat tentang unta:",
    "it": "Ecco un breve brano sull'argomento:",
    "ja": "以下は、この質問に答える文章です。",
    "nl": "Hier is een korte passage over het onderwerp:",
    "pt": "Claro! Aqui está um breve parágrafo.",
    "ru": "Вот короткий отрывок о верблюдах:",
    "bn": "নিচে উট সম্পর্কে একটি ছোট অনুচ্ছেদ দেওয়া হলো:",
    "fa": "در ادامه متنی کوتاه دربارهٔ شتر آمده است:",
    "gu": "અહીં ઊંટ વિશે એક ટૂંકો ફકરો આપ્યો છે:",
    "he": "הנה קטע קצר על גמלים:",
    "ko": "다음은 낙타에 관한 짧은 글입니다.",
    "ml": "ഒട്ടകങ്ങളെക്കുറിച്ചുള്ള ഒരു ചെറിയ ഖണ്ഡിക ഇതാ:",
    "mr": "येथे उंटांबद्दल एक छोटा परिच्छेद दिला आहे:",
    "pa": "ਇੱਥੇ ਊਠਾਂ ਬਾਰੇ ਇੱਕ ਛੋਟਾ ਪੈਰਾ ਦਿੱਤਾ ਗਿਆ ਹੈ:",
    "ta": "ஒட்டகங்களைப் பற்றிய ஒரு சிறு பத்தி இதோ:",
    "te": "ఒంటెల గురించి ఒక చిన్న పేరా ఇక్కడ ఉంది:",
    "ur": "یہاں اونٹوں کے بارے میں ایک مختصر پیراگراف دیا گیا ہے:",
    "vi": "Dưới đây là một đoạn văn ngắn về lạc đà:",
    "zh": "以下是一段关于骆驼的短文:",
    "af": "Hier is ’n kort paragraaf oor kamele:",
    "ca": "Aquí tens un breu paràgraf sobre els camells:",
    "da": "Her er et kort afsnit om kameler:",
    "el": "Ακολουθεί ένα σύντομο απόσπασμα για τις καμήλες:",
    "et": "Siin on lühike lõik kaamelite kohta:",
    "eu": "Hona hemen gameluei buruzko paragrafo labur bat:",
    "fi": "Tässä on lyhyt tekstikatkelma kameleista:",
    "gl": "Aquí tes un breve parágrafo sobre os camelos:",
    "lt": "Štai trumpa ištrauka apie kupranugarius:",
    "lv": "Šeit ir īss fragments par kamieļiem:",
    "no": "Her er et kort avsnitt om kameler:",
    "sv": "Här är ett kort textstycke om kameler:",
    "am": "ከዚህ በታች ስለ ግመሎች አጭር አንቀጽ ቀርቧል፦",
    "ha": "Ga gajeren bayani a kan raƙuma:",
    "hy": "Ահա կարճ պարբերություն ուղտերի մասին՝",
    "ig": "Nke a bụ nkọwa dị mkpirikpi:",
    "ka": "აი მოკლე აბზაცი აქლემების შესახებ:",
    "km": "នេះជាកថាខណ្ឌខ្លីមួយអំពីសត្វអូដ្ឋ៖",
    "ms": "Berikut ialah perenggan ringkas tentang unta:",
    "so": "Halkan waa jawaab gaaban:",
    "sw": "Hiki hapa ni kifungu kifupi kuhusu ngamia:",
    "th": "ต่อไปนี้เป็นย่อหน้าสั้น ๆ เกี่ยวกับอูฐ:",
    "tl": "Narito ang isang maikling talata tungkol sa mga kamelyo:",
    "yo": "Èyí ni àlàyé kúkúrú nípa ràkúnmí:",
    "zu": "Nansi incazelo emfushane ngamakamela:",
    "bg": "Ето кратък откъс за камилите:",
    "cs": "Zde je krátký odstavec o velbloudech:",
    "hr": "Evo kratkog odlomka o devama:",
    "hu": "Íme egy rövid szövegrész a tevékről:",
    "pl": "Oto krótki fragment na temat wielbłądów:",
    "ro": "Iată un scurt paragraf despre cămile:",
    "sk": "Tu je krátky odsek o ťavách:",
    "sl": "Tukaj je kratek odstavek o kamelah:",
    "sr": "Ево кратког одломка о камилама:",
    "tr": "İşte develer hakkında kısa bir paragraf:",
    "uk": "Ось короткий уривок про верблюдів:",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_talk_about_the_answer_is_told_from_answers(code: str) -> None:
    assert is_meta(META[code], code)
    assert is_meta(META["en"], code)  # models fall back to English
    rationales = [example["rationale"] for example in builtin(code)]
    assert all(is_meta(text, code) for text in rationales)
    others = [example[name] for example in builtin(code) for name in ("query", "rephrasing", "passage")]
    others += documents(code) if code in OF_FIXTURES else ()
    assert [text for text in others if is_meta(text, code)] == []


@pytest.mark.parametrize(
    ("text", "meta"),
    [
        ("Sure! Camels live in deserts.", 1),
        ('**"Here\'s a short passage about camels:"**', 1),
        ("Rationale: camels save water.", 1),
        ("I’m sorry, but I cannot answer that.", 1),
        ("Camels are animals. As an AI language model, I have none.", 1),
        ("First we look. Step 1: look.", 1),
        ("The question of ownership was settled in 1648.", 0),
        ("Certainly the oldest harbour is Tyre.", 0),
        ("Here is where the ships lie.", 0),
        ("I will survive is a song of 1978.", 0),
        ("Step 10 of the stairs is broken.", 0),
    ],
)
def test_english_openings(text: str, meta: int) -> None:
    assert of(record(text))["meta"] == meta


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        ("Ships in a harbour", 1),
        ("  ships, in a harbour.  ", 1),
        ("Ships in a harbour? They lie at the quay.", 1),
        ("Ships in a harbour\n\nThey lie at the quay.", 1),
        ("Ships in a harbour lie at the quay.", 0),
        ("Ships in a harbour, that is.", 0),
        ("They are ships in a harbour", 0),
    ],
)
def test_an_echo_says_the_query_and_no_more(text: str, echo: int) -> None:
    assert of(record(text))["echo"] == echo
    assert of(record("港の船。岸壁に。" if echo else "港の船は岸壁に。", query="港の船", lang="ja"))["echo"] == echo


def test_empty_and_cut() -> None:
    found = of(record(" ... "))
    assert (found["empty"], found["words"], found["flagged"]) == (1, 0, 1)
    cut = EXPANDED | {"finish": "length"}
    assert of(record("They lie at the", steps=[cut]))["cut"] == 1
    assert of(record("They lie.", steps=[cut]))["cut"] == 1
    assert of(record("They lie at the", steps=[EXPANDED]))["cut"] == 0
    # cut before it was translated; and of several, the one that has no end
    assert of(record("They lie.", steps=[cut, TRANSLATED]))["cut"] == 1
    assert [one["cut"] for one in of(record("They lie.", "They lie at", steps=[cut]))["passages"]] == [False, True]
    # a translation of the query that was cut says nothing of the passages made from it
    assert of(record("They lie at", steps=[TRANSLATED | {"finish": "length"}, EXPANDED]))["cut"] == 0


# ---------------------------------------------------------------- records


def test_a_translated_query_is_inspected_where_there_are_no_passages() -> None:
    source = {"query": "Schiffe im alten Hafen 1648", "lang": "de"}
    made = {"id": "1", "query": "Ships in the old harbour", "lang": "en", "source": source, "steps": [TRANSLATED]}
    found = of(made)
    assert "passages" not in found
    assert (found["order"], found["kept"], found["echo"], found["faithfulness"]) == ("t", 0, 0, None)
    assert of(made | {"query": source["query"]})["echo"] == 1
    back = TRANSLATED | {"from": "en", "to": "de"}
    assert of(made | source | {"steps": [TRANSLATED, back]})["echo"] == 0
    assert of(made | {"query": "Merkur", "source": {"query": "Merkur", "lang": "de"}})["echo"] == 0  # a name


@pytest.mark.parametrize(
    "made",
    [
        {"id": "1", "query": "ships", "lang": "en"},
        {"id": "1", "query": "ships", "lang": "en", "steps": [{"step": "other"}, 3]},
        record("Ships.") | {"error": {"step": "translate", "message": "no"}},
    ],
)
def test_what_has_nothing_to_inspect_passes(made: dict[str, Any]) -> None:
    assert list(inspected([made])) == [made | {"inspection": None}]


@pytest.mark.parametrize("lang", [None, "xx", "pt_BR"])
def test_any_language(lang: str | None) -> None:
    made = record("Um navio no porto.", query="navio")
    if lang is None:
        del made["lang"]
    else:
        made["lang"] = lang
    found = of(made)
    assert (found["faithfulness"] == 1) is (lang == "pt_BR")
    assert found["characters"] == 18


texts = st.text(max_size=60) | st.sampled_from(["\ud800", "\x00", "e\u0301", "ﷺ" * 9, "１２３ ٣ ²"])


@settings(deadline=None)
@given(st.lists(texts, max_size=3), texts, st.sampled_from([*LANGUAGES]))
def test_any_text_has_measures_in_their_ranges(made: list[str], query: str, lang: str) -> None:
    found = Inspector()(record(*made, query=query, lang=lang))
    assert found is not None
    for one in found.get("passages", ()):
        assert set(one) == {"language", *(measure.name for measure in MEASURES)}
        for measure in MEASURES:
            value = one[measure.name]
            if value is None:
                continue
            assert value >= 0
            assert value <= 1 or measure.kind == "count"
            assert type(value) is {"share": float, "flag": bool, "count": int}[measure.kind]


def test_means_and_streaming() -> None:
    source = iter([record("Ships lie in the harbour.", "Nothing."), record("x")])
    stream = inspected(source)
    found = next(stream)["inspection"]
    assert found["faithfulness"] == 0.5
    assert found["words"] == 3
    assert next(source)["passages"] == ["x"]  # nothing was read ahead


# ---------------------------------------------------------------- summaries


def test_a_summary_by_strategy_and_by_fields_of_the_record() -> None:
    cot = EXPANDED | {"strategy": "cot"}
    source = {"query": "Schiffe", "lang": "de"}
    made = [
        record("Ships lie in the harbour."),
        record("Sure! Ships."),
        record("Ships.", steps=[cot], user=1, source=source),
        record("Ships.") | {"error": {"step": "expand", "message": "no"}},
    ]
    everything, *rows = summary(inspected(made), ("strategy", "source.lang"))
    assert (everything.group, everything.records, everything.failed, everything.inspected) == ({}, 4, 1, 3)
    assert everything.measures["meta"] == pytest.approx(1 / 3)
    assert everything.flagged == pytest.approx(1 / 3)
    assert everything.counted["kept"] == 0
    assert everything.measures["kept"] is None
    assert [(row.group["strategy"], row.group["source.lang"], row.records) for row in rows] == [
        ("fewshot", "en", 2),
        ("cot", "de", 1),
        (None, "en", 1),
    ]
    assert rows[0].measures["faithfulness"] == pytest.approx((1 + 0.5) / 2)
    [only] = summary(inspected(made[:2]), ("strategy",))
    assert only.group == {"strategy": "fewshot"}
    [nothing] = summary([], ("strategy",))
    assert (nothing.group, nothing.records, nothing.flagged) == ({}, 0, None)


def test_the_table_of_measures() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    assert [measure.name for measure in MEASURES if measure.kind == "flag"] == list(FLAGS)
    assert all(measure.higher_is_better is False for measure in MEASURES if measure.kind == "flag")
    assert analyzer("en") is analyzer("EN")
