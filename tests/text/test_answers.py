"""What of an answer is the text. The answers are what models have written, or have the forms that their templates and
the parsers of llama.cpp, vLLM and SGLang name; what is right of them was said by a person."""

from __future__ import annotations

import pytest

from xqe.text.answers.parting import Parted, Wanted, parted
from xqe.text.answers.talk import speech
from xqe.text.languages import LANGUAGES

SOURCE, TEXT = "Zinkpreise", "zinc prices"


def translated(
    answer: str, source: str = SOURCE, pair: str = "de-en", prompt_end: str = "", cut: bool = False
) -> Parted:
    return parted(answer, Wanted("query", source, frozenset(pair.split("-")), is_translation=True), prompt_end, cut)


def written(answer: str, query: str = "What is zinc used for?", lang: str = "en", has_parts: bool = False) -> Parted:
    return parted(answer, Wanted("passage", query, frozenset({lang}), has_parts=has_parts))


REASONING = {
    "begun in the prompt": "Okay, a short query.\nIt means zinc prices.\n</think>\n\nzinc prices",
    "think": "<think>\nOkay, the user wants a translation.\n</think>\n\nzinc prices",
    "an empty one": "<think>\n\n</think>\n\nzinc prices",
    "thinking": "<thinking>Preise are prices.</thinking>zinc prices",
    "reasoning": "<reasoning>hm</reasoning>\nzinc prices",
    "EXAONE": "<thought>\nhm\n</thought>\n\nzinc prices",
    "reflection": "<thinking>hm<reflection>sure?</reflection></thinking><output>zinc prices</output>",
    "Seed": "<seed:think>hm</seed:think>zinc prices",
    "Magistral": "[THINK]hm[/THINK]zinc prices",
    "Kimi": "◁think▷hm◁/think▷zinc prices",
    "gpt-oss": "<|channel|>analysis<|message|>We need to translate.<|end|><|start|>assistant<|channel|>final<|message|>"
    "zinc prices<|return|>",
    "gpt-oss without special tokens": "analysisWe need to translate.assistantfinalzinc prices",
    "Cohere": "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>zinc prices<|END_RESPONSE|>",
    "MedGemma": "<unused94>thought\nhm<unused95>zinc prices",
    "Gemma 4": "<|channel>thought\nhm<channel|>zinc prices",
    "Granite": "Here is my thought process: Preise are prices.\n\nHere is my response: zinc prices",
    "Granite 3.3": "<think>hm</think><response>zinc prices</response>",
    "Apertus": "<|inner_prefix|>hm<|inner_suffix|>zinc prices",
    "OpenThinker": "<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>zinc prices<|end_of_solution|>",
    "Apriel": "Here are my reasoning steps:\n1. hm\n[BEGIN FINAL RESPONSE]\nzinc prices\n[END FINAL RESPONSE]",
    "Hunyuan": "<think>hm</think>\n<answer>\nzinc prices\n</answer>",
    "Ollama": "Thinking...\nhm\n...done thinking.\n\nzinc prices",
    "below": "zinc prices\n<think>Is that right?</think>",
    "below, cut off": "zinc prices\n<think>Is that",
}


@pytest.mark.parametrize("answer", REASONING.values(), ids=REASONING)
def test_reasoning_is_not_the_answer(answer: str) -> None:
    found = translated(answer)
    assert (found.text, found.taken[0], found.problem) == (TEXT, "reasoning", "")


@pytest.mark.parametrize(
    "answer",
    ["<think>\nOkay, the user", "[THINK]hm", "◁think▷hm", "<|channel|>analysis<|message|>We need", "analysisWe need to",
     "<|START_THINKING|>hm", "<unused94>thought\nhm", "Here is my thought process: hm"],
)  # fmt: skip
def test_reasoning_that_does_not_end_has_no_answer(answer: str) -> None:
    assert translated(answer).problem == "the answer ends within its reasoning"
    assert translated(answer, cut=True).problem.endswith("; give it more --max-tokens")


@pytest.mark.parametrize(
    ("prompt_end", "is_open"),
    [("<|im_start|>assistant\n<think>\n", True), ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
     ("[/INST][THINK]", True), ("<|im_start|>assistant\n", False)],
)  # fmt: skip
def test_the_prompt_tells_where_the_answer_begins(prompt_end: str, is_open: bool) -> None:
    assert bool(translated("The price of zinc", prompt_end=prompt_end).problem) == is_open
    ends = translated("hm</think>zinc prices[/THINK]zinc prices", prompt_end=prompt_end)
    assert (ends.text, ends.problem) == (TEXT, "")


TALK = {
    # the case file's
    "Here is the translation:\n\nzinc prices": "preamble",
    "```\nzinc prices\n```": "fence",
    "Translation: zinc prices": "label",
    'Sure! "zinc prices"': "preamble quotes",
    '{"translation": "zinc prices"}': "json",
    "Search query: zinc prices": "label",
    "German: Zinkpreise\nEnglish: zinc prices": "echo label",
    # around the whole
    "```json\n{\"translation\": \"zinc prices\"}\n```": "fence json",
    "Sure! Here's the translation:\n```text\nzinc prices\n```\nI hope this helps!": "fence",
    "```zinc prices```": "fence",
    '["zinc prices"]': "json",
    "{'translation': 'zinc prices'}": "json",
    '{"source": "Zinkpreise", "translation": "zinc prices"}': "json",
    '{"translation": {"text": "zinc prices", "language": "English"}}': "json",
    '"zinc prices"': "quotes",
    "'zinc prices'": "quotes",
    "“zinc prices”": "quotes",
    "„zinc prices“": "quotes",
    "»zinc prices«": "quotes",
    "« zinc prices »": "quotes",
    "「zinc prices」": "quotes",
    "『zinc prices』": "quotes",
    "`zinc prices`": "quotes",
    "**zinc prices**": "markup",
    "*zinc prices*": "markup",
    "# zinc prices": "markup",
    "- zinc prices": "markup",
    "1. zinc prices\n2. price of zinc": "markup remark",
    "<translation>zinc prices</translation>": "tags",
    "The text means: <answer>zinc prices</answer>": "tags",
    "\\boxed{zinc prices}": "box",
    # before it
    "**Translation:** zinc prices": "label",
    "**Translation**: zinc prices": "label",
    "## Translation\n\nzinc prices": "preamble",
    "Translation (English): zinc prices": "label",
    "English: \"zinc prices\"": "label quotes",
    "EN: zinc prices": "label",
    "Final answer: zinc prices": "label",
    "The translation of the query is as follows:\nzinc prices": "preamble",
    "Certainly! Here's your translated query from German to English:\n\n**zinc prices**": "preamble markup",
    "Of course.\nzinc prices": "preamble",
    "Here you go:\n\nzinc prices": "label",
    "Here you go!\n\nzinc prices": "preamble",
    "There you go:\nzinc prices": "label",
    "It means:\nzinc prices": "label",
    'The English translation of "Zinkpreise" is "zinc prices".': "echo quotes",
    '"Zinkpreise" translates to "zinc prices" in English.': "echo quotes",
    "The translation of Zinkpreise is zinc prices": "echo",
    "Zinkpreise → zinc prices": "echo",
    "Zinkpreise\n\nTranslation: zinc prices": "echo label",
    "Übersetzung: zinc prices": "label",
    "Hier ist die Übersetzung: zinc prices": "preamble",
    "以下是翻译：\n\nzinc prices": "label",
    "assistant\n\nzinc prices": "turn",
    "zinc prices<|im_end|>\n<|im_start|>user\nWhat": "turn",
    # behind it
    "zinc prices\n\nNote: Zink is a metal.": "remark",
    "zinc prices (Note: Zink is a metal)": "remark",
    "zinc prices [translated from German]": "remark",
}  # fmt: skip


@pytest.mark.parametrize(("answer", "taken"), TALK.items(), ids=[answer[:30] for answer in TALK])
def test_talk_around_a_translation_is_taken_off(answer: str, taken: str) -> None:
    found = translated(answer)
    assert (found.text, found.problem) == (TEXT, "")
    assert " ".join(found.taken) == taken


def test_a_label_before_a_colon_of_the_texts_own() -> None:
    found = translated("Translation: Mozilla: a browser", "Mozilla: ein Browser")
    assert (found.text, found.taken) == ("Mozilla: a browser", ("label",))
    told = translated('"Straße: Zinkpreise" translates to "Road: zinc prices"', "Straße: Zinkpreise")
    assert told.text == "Road: zinc prices"


ANNOUNCED = {
    "ar": "بالتأكيد! إليك الترجمة: ", "de": "Gerne! Hier ist die Übersetzung: ",
    "en": "Sure! Here is the translation: ",
    "es": "¡Claro! Aquí está la traducción: ", "fr": "Bien sûr ! Voici la traduction : ", "hi": "ज़रूर! यहाँ अनुवाद है: ",
    "id": "Tentu! Berikut terjemahannya: ", "it": "Certo! Ecco la traduzione: ", "ja": "もちろんです！以下が翻訳です：",
    "nl": "Natuurlijk! Hier is de vertaling: ", "pt": "Claro! Aqui está a tradução: ",
    "bn": "অবশ্যই! এখানে অনুবাদটি দেওয়া হলো: ", "fa": "البته! ترجمه در زیر آمده است: ", "gu": "ચોક્કસ! અહીં અનુવાદ છે: ",
    "he": "בהחלט! הנה התרגום לשפה המבוקשת: ", "ko": "물론입니다! 다음은 요청하신 번역입니다: ",
    "ml": "തീർച്ചയായും! വിവർത്തനം ഇതാ: ", "mr": "नक्कीच! येथे भाषांतर दिले आहे: ", "pa": "ਜ਼ਰੂਰ! ਇੱਥੇ ਅਨੁਵਾਦ ਦਿੱਤਾ ਗਿਆ ਹੈ: ",
    "ta": "நிச்சயமாக! இதோ மொழிபெயர்ப்பு: ", "te": "తప్పకుండా! ఇక్కడ అనువాదం ఉంది: ", "ur": "ضرور! یہاں ترجمہ پیش ہے: ",
    "ru": "Конечно! Вот перевод: ", "vi": "Chắc chắn rồi! Đây là bản dịch: ", "zh": "好的！以下是翻译：",
    "af": "Natuurlik! Hier is die vertaling: ", "ca": "Per descomptat! Aquí teniu la traducció: ",
    "da": "Selvfølgelig! Her er oversættelsen: ", "el": "Βεβαίως! Ορίστε η μετάφραση: ",
    "et": "Muidugi! Siin on tõlge: ", "eu": "Noski! Hona hemen itzulpena: ", "fi": "Tietysti! Tässä on käännös: ",
    "gl": "Claro! Aquí está a tradución: ", "lt": "Žinoma! Štai vertimas: ",
    "lv": "Protams! Šeit ir tulkojums: ", "no": "Selvfølgelig! Her er oversettelsen: ",
    "sv": "Självklart! Här är översättningen: ",
    "am": "በእርግጥ! ትርጉሙ ይህ ነው፦ ", "ha": "Tabbas! Ga fassarar: ", "hy": "Իհարկե՛։ Ահա թարգմանությունը՝ ",
    "ig": "Ee! Nke a bụ ntụgharị ya: ", "ka": "რა თქმა უნდა! აი თარგმანი: ", "km": "ប្រាកដណាស់! នេះជាការបកប្រែ៖ ",
    "ms": "Sudah tentu! Berikut ialah terjemahannya: ", "so": "Haa! Waa tan tarjumaadda: ",
    "sw": "Hakika! Hii hapa tafsiri: ", "th": "แน่นอน! นี่คือคำแปล: ", "tl": "Sige! Narito ang salin: ",
    "yo": "Dájúdájú! Èyí ni ìtumọ̀ náà: ", "zu": "Yebo! Nansi inguqulo: ",
    "bg": "Разбира се! Ето превода на български: ", "cs": "Jistě! Zde je překlad do češtiny: ",
    "hr": "Naravno! Evo prijevoda na hrvatski: ", "hu": "Természetesen! Íme a magyar fordítás: ",
    "pl": "Oczywiście! Oto tłumaczenie na język polski: ", "ro": "Sigur! Iată traducerea în limba română: ",
    "sk": "Samozrejme! Tu je preklad do slovenčiny: ", "sl": "Seveda! Tukaj je prevod v slovenščino: ",
    "sr": "Наравно! Ево превода на српски језик: ", "tr": "Elbette! İşte Türkçe çevirisi: ",
    "uk": "Звичайно! Ось переклад українською мовою: ",
}  # fmt: skip


@pytest.mark.parametrize(("code", "announced"), ANNOUNCED.items(), ids=ANNOUNCED)
def test_models_talk_in_every_language(code: str, announced: str) -> None:
    pair = f"de-{code}" if code != "de" else "de-en"
    assert translated(f"{announced}Zn 30", pair=pair).text == "Zn 30"
    assert translated(f"{announced}\n\n**Zn 30**", pair=pair).text == "Zn 30"


def test_the_table_has_a_row_for_every_language() -> None:
    assert set(ANNOUNCED) == set(LANGUAGES)
    for code in LANGUAGES:
        names = speech(frozenset({code})).head(LANGUAGES["de"].name)
        assert names.has_name, "every row comes with the English one"


OWN = [
    # the answer, what it is the translation of, the pair
    ("Translation: A Practical Guide", "Übersetzung: Ein praktischer Leitfaden", "de-en"),
    ("Hinweis: zuerst lesen", "Note: read this first", "en-de"),
    ("Note: read this first", "Hinweis: zuerst lesen", "de-en"),
    ("Here is the translation: zinc prices", "Hier ist die Übersetzung: Zinkpreise", "de-en"),
    ('"Four in a row"', "»Vier gewinnt«", "de-en"),
    ('"Four in a row" game', "Spiel »Vier gewinnt«", "de-en"),
    ("OK, Computer", "OK, Computer", "de-en"),
    ("Sicher, schnell und einfach", "Secure, fast and simple", "en-de"),
    ("Sure! The film", "Klar! Der Film", "de-en"),
    ("The translation is difficult", "Die Übersetzung ist schwer", "de-en"),
    ("Translation", "Übersetzung", "de-en"),
    ("Translation of search queries", "Übersetzung von Suchanfragen", "de-en"),
    ("2. Weltkrieg", "Second World War", "en-de"),
    ('{"name": "zinc"}', '{"name": "Zink"}', "de-en"),
    ("[devel] zinc", "[Entwicklung] Zink", "de-en"),
    ("<think> tag", "Das Tag <think>", "de-en"),
    ("What does </think> mean?", "Was heißt </think>?", "de-en"),
    ("Text::Reflow for Perl", "Text::Reflow für Perl", "de-en"),
    ("- 5 degrees in Fahrenheit", "-5 Grad in Fahrenheit", "de-en"),
    ("# sign", "#-Zeichen", "de-en"),
    ("__init__", "Methode __init__", "de-en"),
    ("\\boxed{x} in LaTeX", "boxed in LaTeX", "de-en"),
    ("I cannot help falling in love", "Ich kann nichts dafür, dass ich mich verliebe", "de-en"),
    ("*args and **kwargs*", "*args und **kwargs*", "de-en"),
    ("Double Commander (English)", "Double Commander auf Englisch", "de-en"),
    ("command `ls`", "Befehl »ls«", "de-en"),
    ("???", "???", "de-en"),
    ("I'm sorry, I can't help you", "Es tut mir leid, ich kann dir nicht helfen", "de-en"),
    ("It's \"zinc\"", "Es ist „Zink“", "de-en"),
    ("http://example.org/text: a page", "http://example.org/text: eine Seite", "de-en"),
    ("Query: The Next Question", "Anfrage: die nächste Frage", "de-en"),
    ("The user wants to sleep", "Der Benutzer will schlafen", "de-en"),
    ("We have to write a letter", "Wir müssen einen Brief schreiben", "de-en"),
    ("No. 5", "№ 5", "ru-en"),
    ("Ok, let's go", "Okay, los geht's", "de-en"),
    ("The answer is \"zinc\"", "Die Antwort ist „Zink“", "de-en"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "source", "pair"), OWN, ids=[answer[:30] for answer, _, _ in OWN])
def test_what_the_source_has_too_is_the_texts_own(answer: str, source: str, pair: str) -> None:
    assert translated(answer, source, pair) == Parted(answer)


def test_reasoning_stands_before_an_answer_that_speaks_of_its_marks() -> None:
    answer = "<think>\nA tag.\n</think>\n\nWhat does <think> mean?"
    assert translated(answer, "Was heißt <think>?").text == "What does <think> mean?"


NOTHING = {
    " \n": "the model answered nothing",
    "...": "the answer has no word in it",
    "Here is the translation:": "the answer is nothing but talk: Here is the translation:",
    "Sure!": "the answer is nothing but talk: Sure!",
    '["zinc prices", "price of zinc"]': "the answer is JSON with 2 texts, and nothing says which is meant",
    "Okay, the user wants": "the model thinks aloud instead of answering: Okay, the user wants",
    "I'm sorry, but I can't help.": "the model declines to answer: I'm sorry, but I can't help.",
    "As an AI language model, I": "the model declines to answer: As an AI language model, I",
    "As an AI, I have no zinc.": "the model declines to answer: As an AI, I have no zinc.",
    "I'm ready to help. What is it?": "the model declines to answer: I'm ready to help. What is it?",
    "Okay.</think>": "the answer is nothing but talk (reasoning)",
    "To translate it, we can follow these steps:\n\n1. Identify the key components:\n   - zinc": (
        "the answer is nothing but talk: 1. Identify the key components:"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "problem"), NOTHING.items(), ids=[answer[:30] for answer in NOTHING])
def test_what_has_no_text_fails(answer: str, problem: str) -> None:
    assert translated(answer).problem == problem


DECLINED = {
    "am": "ይቅርታ፣ ይህን መተርጎም አልችልም።", "ha": "Yi haƙuri, ba zan iya taimakawa ba.", "hy": "Ներողություն, չեմ կարող օգնել։",
    "ka": "სამწუხაროდ, არ შემიძლია დახმარება.", "km": "សូមអភ័យទោស ខ្ញុំមិនអាចជួយបានទេ។",
    "ms": "Maaf, saya tidak boleh membantu.", "sw": "Samahani, siwezi kusaidia.", "th": "ขออภัย ฉันไม่สามารถช่วยได้",
    "tl": "Paumanhin, hindi ko ito masasagot.", "zu": "Ngiyaxolisa, angikwazi ukusiza.",
}  # fmt: skip


@pytest.mark.parametrize(("code", "answer"), DECLINED.items(), ids=DECLINED)
def test_models_decline_in_every_language(code: str, answer: str) -> None:
    assert translated(answer, pair=f"de-{code}").problem.startswith("the model declines to answer")


def test_what_was_cut_off() -> None:
    assert translated('{"translation": "zinc pri', cut=True).text == "zinc pri"
    assert translated("```\nzinc pri", cut=True).text == "zinc pri"
    assert translated("Okay, the user wants", cut=True).problem.endswith("wants; give it more --max-tokens")


PASSAGES = {
    "Passage: Zinc is a metal.": "Zinc is a metal.",
    "Here is a passage about the uses of zinc:\n\nZinc is a metal.": "Zinc is a metal.",
    'Sure! This is a passage that answers "What is zinc used for?":\n\nZinc is a metal.': "Zinc is a metal.",
    "Question: What is zinc used for?\n\nPassage: Zinc is a metal.": "Zinc is a metal.",
    "```\nZinc is a metal.\n```": "Zinc is a metal.",
    "```\nZinc is a metal.\n```\n\nThis passage is about zinc.": "Zinc is a metal.",
    "It asks for uses.\n<answer>Zinc is a metal.</answer>": "Zinc is a metal.",
    "$\\boxed{\\text{Zinc is a metal.}}$": "Zinc is a metal.",
    "Zinc is a metal.\n\nNote: This passage is about zinc.": "Zinc is a metal.",
    "Zinc is a metal.\n\nI hope this helps!": "Zinc is a metal.",
    '"Zinc is a metal."': "Zinc is a metal.",
}  # fmt: skip


@pytest.mark.parametrize(("answer", "text"), PASSAGES.items(), ids=[answer[:30] for answer in PASSAGES])
def test_talk_around_a_passage_is_taken_off(answer: str, text: str) -> None:
    assert (written(answer).text, written(answer).problem) == (text, "")


@pytest.mark.parametrize(
    "passage",
    [
        "Zinc is a metal.\n\nNote: zinc fumes are toxic.",
        "Note: zinc fumes are toxic.",
        "The answer depends on three things:\n1. the price\n2. the alloy",
        '"Zinc" is a metal.',
        "# Zinc\n\nZinc is a metal.",
        "Run it so:\n\n```\nzinc --price\n```\n\nIt prints the price.",
        "As a language model pioneer, she wrote of zinc.",
        "As an AI researcher, he wrote of zinc.",
        "```\nzinc --price\n```\nprints the price. Others do, too.",
        "An <answer> in QTI holds a <value>, as in <answer>zinc</answer>.",
        "<text>zinc</text> is an element of zinc.xml.",
        "<p>Zinc is a metal.</p><p>It is used for roofs.</p>",
        "A box is written \\boxed{x}, and bold type \\textbf{x}.",
        "If you want to configure zinc, see below.",
        "Text::Zinc is a module.",
        "Yes. Zinc is used for roofs.",
        'The answer to the question is "roofs" in most countries.',
    ],
)
def test_a_passage_keeps_what_is_of_its_topic(passage: str) -> None:
    assert written(passage) == Parted(passage)


def test_a_passage_speaks_of_translations_where_its_source_does() -> None:
    passage = "Luther took eleven weeks.\n\nThe translation was printed in 1522.\n\nIt sold well."
    wanted = Wanted("passage", "Luther's translation of the Bible", frozenset({"en"}))
    assert parted(passage, wanted) == Parted(passage)
    remark = Wanted("passage", "Luther's Bible", frozenset({"en"}))
    assert parted("Luther took eleven weeks.\n\nThis passage is about Luther.", remark).taken == ("remark",)


def test_the_parts_of_an_answer_that_was_to_have_some_stay() -> None:
    parts = "Rationale: It is a question about zinc.\n\nAnswer: Zinc is a metal."
    assert written(parts, has_parts=True) == Parted(parts)
    assert written(f"Sure! Here is the answer:\n\n{parts}", has_parts=True).text == parts
    assert written(f"<think>hm</think>{parts}", has_parts=True).text == parts
