"""What an answer cites, read from the ways in which models write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.models.prompts.answering import wording
from xqe.text.answers.citations import read
from xqe.text.languages import LANGUAGES

OFFERED = 5
FORMS = [
    # in digits and brackets of all kinds, before the full stop and behind it
    ("en", "Zinc is dear [1]. It rises [2][3], they say. It is sold.", [(1,), (2, 3), ()]),
    ("en", "Zinc is dear.[1] It rises. [2] [3]\nCopper[4-5].", [(1,), (2, 3), (4, 5)]),
    ("en", "Zinc is dear [1, 3]. It rises [2; 4]. It falls [1 and 5] [1].", [(1, 3), (2, 4), (1, 5)]),
    ("en", "Zinc is dear [1], [2] and [3]. It rises [[4]]. Copper [^5].", [(1, 2, 3), (4,), (5,)]),
    ("en", "Zinc is dear [1](http://a.b/c). It rises (Source: [2]). Copper ([3]) falls.", [(1,), (2,), (3,)]),
    ("en", "Zinc is dear [Document 1]. It rises (Document 2, 3). Copper [doc. 4; doc. 5].", [(1,), (2, 3), (4, 5)]),
    ("de", "Zink ist teuer [Quelle 1]. Es steigt 【2】. Kupfer ［３–４］.", [(1,), (2,), (3, 4)]),
    ("en", "Zinc is dear¹. It rises.² Copper¹,² and tin³⁴ fall.", [(1,), (2,), (1, 2, 34)]),
    ("en", "It has 10 m² and 5 km³.¹ E = mc².", [(1,), ()]),
    ("ja", "亜鉛は高い［１］。銅は「安い。」と言った【２】。鉄は重い。[3]錫は軽い¹。", [(1,), (2,), (3,), (1,)]),
    ("zh", "锌很贵【1】。铜便宜[来源２、３]！铁重（文档4）。", [(1,), (2, 3), (4,)]),
    ("ar", "الزنك غالي [١]. هل النحاس رخيص؟ [٢، ٣] نعم [المستند ٤].", [(1,), (2, 3), (4,)]),
    ("hi", "जस्ता महँगा है [१]। ताँबा सस्ता है। [२] [३]", [(1,), (2, 3)]),
    ("ur", "جست مہنگا ہے [1] اور [2]۔ تانبا سستا ہے۔ [3]", [(1, 2), (3,)]),
    ("ko", "아연은 비싸다[1]. 구리는 싸다 [2] 및 [3].", [(1,), (2, 3)]),
    ("bn", "দস্তা দামি [১] ও [২]। তামা সস্তা। [৩]", [(1, 2), (3,)]),
    ("he", "אבץ יקר [1] ו-[2]. נחושת זולה [3].", [(1, 2), (3,)]),
    ("th", "สังกะสีแพง [1] ทองแดงถูก [2]", [(1,), (2,)]),
    ("am", "ዚንክ ውድ ነው [1]። መዳብ ርካሽ ነው። [2 እና 3]", [(1,), (2, 3)]),
    ("hy", "Ցինկը թանկ է [1]։ Պղինձն էժան է [2] և [3]։", [(1,), (2, 3)]),
    ("ka", "თუთია ძვირია [1]. სპილენძი იაფია [2 და 3].", [(1,), (2, 3)]),
    ("km", "ស័ង្កសីថ្លៃ [១]។ ទង់ដែងថោក [២ និង ៣]។", [(1,), (2, 3)]),
    ("sw", "Zinki ni ghali [Hati 1]. Shaba ni rahisi [2 na 3].", [(1,), (2, 3)]),
    ("tr", "Çinko pahalıdır [1 ve 2]. Bakır ucuzdur (Belge 3).", [(1, 2), (3,)]),
    ("pl", "Cynk jest drogi [Dokument 1 i 2]. Miedź [3] oraz [4] tanieje.", [(1, 2), (3, 4)]),
    ("uk", "Цинк дорогий [1 та 2]. Мідь дешева [Джерело 3].", [(1, 2), (3,)]),
    ("sr", "Цинк је скуп [1 и 2]. Bakar je jeftin [Izvor 3].", [(1, 2), (3,)]),
    ("cs", "Zinek je drahý [1] a [2]. Měď zlevňuje [Zdroj 3 nebo 4].", [(1, 2), (3, 4)]),
    # numbers that begin a line are of what follows them; lists
    ("en", "[1] Zinc is dear.\n[2] Copper is cheap.", [(1,), (2,)]),
    ("en", "1. Install it [1].\n2. Run it. [2]", [(1,), (2,)]),
    ("en", "- **Zinc** is dear [1]\n- Copper is cheap [2]", [(1,), (2,)]),
    # none
    ("en", "In 1999 [1999] it was [sic] 3.5 [a] in (2).", [()]),
    ("en", "Zinc is dear [ ]. It rises [x1].", [(), ()]),
]


@pytest.mark.parametrize(("code", "answer", "cited"), FORMS)
def test_citations_in_many_forms(code: str, answer: str, cited: list[tuple[int, ...]]) -> None:
    words = wording(LANGUAGES[code]).sources if code in LANGUAGES else ()
    found = read(answer, OFFERED, words, code)
    assert [one.cited for one in found.sentences] == [tuple(n for n in its if n <= OFFERED) for its in cited]
    assert found.invalid == sum(n > OFFERED for its in cited for n in its)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Zinc [1] is dear [2] [3]. It rises.[4] So it is (see [5]).", "Zinc is dear. It rises. So it is (see)."),
        ("According to document [1], zinc is dear.", "According to document 1, zinc is dear."),
        ("亜鉛は高い [1]。銅は安い。[2]", "亜鉛は高い。銅は安い。"),
        ("- **Zinc** is dear [1]\n- Copper is cheap [2]", "Zinc is dear\nCopper is cheap"),
        ("5. Mai 1990.", "5. Mai 1990."),
        ("2**10 is a number [1].", "2**10 is a number."),
    ],
)
def test_citations_leave_no_trace_in_the_text(answer: str, text: str) -> None:
    assert read(answer, OFFERED).text == text


def test_what_was_not_offered_is_dropped_and_counted() -> None:
    found = read("Zinc [17] is dear [1]. It rises [0][6, 2]. Copper [4-9] falls.", 5)
    assert [one.cited for one in found.sentences] == [(1,), (2,), (4, 5)]
    assert found.invalid == 4  # 17, 0, 6, 9


@pytest.mark.parametrize(
    "listing",
    [
        "\n\nSources:\n[1] On zinc\n[2] On copper, 1999",
        "\n\nSources: [1], [2]",
        "\nReferences\n1. On zinc\n2. On copper",
        "\n\n**Sources:**\n- [1]: On zinc",
        "\n\n[1] On zinc\n[2] On copper",
    ],
)
def test_a_list_of_sources_is_no_sentence(listing: str) -> None:
    found = read(f"Zinc is dear [1]. It rises [2].{listing}", OFFERED, wording(LANGUAGES["en"]).sources)
    assert [(one.text, one.cited) for one in found.sentences] == [("Zinc is dear.", (1,)), ("It rises.", (2,))]


def test_the_list_is_known_by_its_name_in_the_language_of_the_answer() -> None:
    words = wording(LANGUAGES["ja"]).sources
    assert len(read("亜鉛は高い[1]。\n\n出典：\n[1] 亜鉛について", OFFERED, words, "ja").sentences) == 1


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("Zinc is dear [1]. Copper is che", ["Zinc is dear."]),
        ("Zinc is dear [1]. Copper is cheap [2", ["Zinc is dear."]),
        ("Zinc is dear [1]. Copper is cheap. [2", ["Zinc is dear.", "Copper is cheap."]),
        ("Zinc is de", ["Zinc is de"]),
        ("亜鉛は高い。銅は", ["亜鉛は高い。"]),
    ],
)
def test_an_answer_that_was_cut_ends_with_its_last_whole_sentence(answer: str, left: list[str]) -> None:
    found = read(answer, OFFERED, is_cut=True)
    assert [one.text for one in found.sentences] == left
    assert found.text == ("" if answer[0] == "亜" else " ").join(left)


@pytest.mark.parametrize("answer", ["", " \n", "[1]", "[1] [2]\n", "…"])
def test_nothing_but_marks_is_no_answer(answer: str) -> None:
    assert read(answer, OFFERED).sentences == ()


@given(st.text(st.sampled_from("ab. [1](٣)】【-,\n²。:"), max_size=40), st.booleans())
def test_any_text_is_read(answer: str, is_cut: bool) -> None:
    found = read(answer, OFFERED, is_cut=is_cut)
    assert all(one.text and all(1 <= number <= OFFERED for number in one.cited) for one in found.sentences)
    said = "".join(one.text for one in found.sentences)
    assert [one for one in said if one.isalnum()] == [one for one in found.text if one.isalnum()]
