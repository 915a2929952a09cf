"""Where sentences end. The cases are written by hand: each list is what a reader of the language would count."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.text.sentences import is_whole, sentences

CASES = {
    "en": [
        ["Zinc costs 3.5 euros, e.g. in Vienna.", "Dr. Smith of the U.S. Army said so!", "Is it?"],
        ['He said "It is dear."', "Then he left."],
        ['"Is it?" he asked.', "Nobody knew..."],
        ["See fig. 3 and pp. 4 to 6.", "The answer is no.", "J. S. Bach wrote it (in 1720).", "It lasts."],
        ["Version 2.0.1 is at example.org/a.html, v. 3 is not.", "Run it"],
        ["1. Melt it in St. Louis.", "It is 5 p.m. now.", "It was 12.", "Then it was 1990.", "Done"],
    ],
    "de": [
        ["Am 5. Mai 1990 war z. B. Zink teuer.", "Es waren 5.000 Mark.", "Prof. Dr. Meier ging bzw. lief."],
        ["Es begann 1990.", "Danach nichts."],
        ["Am 3. Mai rief Hr. Maier: »Halt!«", "Fr. Krause rief: »Nein!« und ging."],
    ],
    "fr": [
        ["M. Dupont est là.", "Vraiment ?", "« Oui. »"],
        ["Le zinc coûte 3,5 euros.", "C’est cher !"],
        ["Il a dit : « Bonjour ! » et il est parti.", "Elle : « Adieu. »", "« Quoi ? »", "Rien."],
    ],
    "ru": [["Цинк стоит 3,5 тыс. руб. за тонну.", "А. С. Пушкин родился в 1799 г. в Москве.", "Почему?"]],
    "ja": [
        ["亜鉛は高い。", "銅は「安い。」と言った。", "本当？", "「はい。」", "終わり"],
        ["値段は3.5倍だ。", "高い！"],
    ],
    "zh": [["锌很贵。", "铜便宜吗？", "“不。”", "版本2.0发布了！"]],
    "ar": [["الزنك غالي.", "هل النحاس رخيص؟", "نعم، سعره 3.5 يورو.", "قال د. أحمد ذلك…", "نعم."]],
    "hi": [["जस्ता महँगा है।", "क्या ताँबा सस्ता है?", "हाँ॥", "मूल्य 3.5 है।"]],
    "vi": [["Kẽm rất đắt.", "Giá là 3,5 euro."]],
    "af": [["Mnr. Botha sê sink kos 3,5 rand.", "Hoekom?", "’n Mens weet nie."]],
    "ca": [["El zinc és car, vegeu la pàg. 3.", "Per què?"]],
    "da": [["Zink koster 3,5 kr.", "Butikken åbner kl. 9 og lukker kl. 17.", "Hvorfor?"]],
    "el": [
        ["Ο δρ. Παπάς είπε ότι ο ψευδάργυρος είναι ακριβός.", "Γιατί;", "Βλ. σελ. 3."],
        ["«Είναι;» ρώτησε.", "Κανείς δεν ήξερε· όλοι σώπασαν."],
        ["Είναι ακριβός\u037e", "Όχι."],
    ],
    "et": [["Tsink on kallis, vt lk. 3.", "Miks?"]],
    "eu": [["Zinka garestia da, adib. Bilbon.", "Zergatik?"]],
    "fi": [["Sinkki on kallista, ks. Suomen kaivokset.", "Miksi?"]],
    "gl": [["O cinc é caro, véxase a páx. 3.", "Por que?"]],
    "lt": [["Cinkas brangus, pvz. Vilniuje.", "Kodėl?"]],
    "lv": [["Cinks ir dārgs, sk. Rīgas cenas.", "Kāpēc?"]],
    "no": [["Butikken åpner kl. 9 og stenger kl. 17.", "Hvorfor?"]],
    "sv": [["Butiken öppnar kl. 9, jfr. Stockholm.", "Varför?"]],
    "am": [["ዚንክ ውድ ነው።", "መዳብ ርካሽ ነው?", "ዋጋው በ1990 ዓ.ም. 3.5 ነበር፡፡", "አዎ።"]],
    "hy": [
        ["Ցինկը թանկ է։", "Պղինձն էժա՞ն է։", "Գինը 3.5 է:", "Տես էջ 5:"],
        ["Օրինակ՝ պղինձ։", "Երեք բան: ցինկ և պղինձ։"],
    ],
    "ka": [["თუთია ძვირია.", "სპილენძი იაფია?", "იხ. გვ. 5, პროფ. ი. ჯავახიშვილი."]],
    "km": [["ស័ង្កសីថ្លៃ។", "តើទង់ដែងថោកទេ?", "តម្លៃនៅ គ.ស. ១៩៩០ គឺ ៣.៥៕"]],
    "ms": [["Zink mahal.", "Lihat hlm. 4 dan bil. 5."]],
    "sw": [["Dkt. Juma alisema zinki ni ghali.", "Je, shaba ni rahisi?"]],
    "th": [["ดร. สมชายเกิดใน พ.ศ. 2500 ราคา 3.5 บาท"]],
    "tl": [["Mahal ang zinc, sabi ni Gng. Cruz.", "Mura ba ang tanso?"]],
    "bn": [["দস্তা দামি।", "ড. রহমান কি তামা কেনেন?", "দাম ৩.৫ টাকা।"]],
    "fa": [["روی گران است.", "آیا مس ارزان است؟", "م. احمدی گفت: بله."]],
    "gu": [["જસત મોંઘું છે.", "ડૉ. પટેલ અને શ્રી. શાહ આવ્યા.", "તાંબું સસ્તું છે?"]],
    "he": [["אבץ יקר.", "א. ב. יהושע כתב ספר.", "האם נחושת זולה?", "המחיר הוא 3.5 אירו."]],
    "ko": [["아연은 비싸다.", "구리는 쌉니까?", "1919. 3. 1. 독립 선언이 있었다.", "값은 3.5유로다."]],
    "ml": [["സിങ്കിന് വില കൂടുതലാണ്.", "എം. ടി. വാസുദേവൻ നായർ എഴുതി.", "ഡോ. മേനോൻ വന്നു."]],
    "mr": [["जस्त महाग आहे.", "पु. ल. देशपांडे आणि डॉ. जोशी आले.", "तांबे स्वस्त आहे का?"]],
    "pa": [["ਜਿਸਤ ਮਹਿੰਗਾ ਹੈ।", "ਡਾ. ਸਿੰਘ ਆਏ।", "ਕੀ ਤਾਂਬਾ ਸਸਤਾ ਹੈ?"]],
    "ta": [["துத்தநாகம் விலை உயர்ந்தது.", "எம். ஜி. ராமச்சந்திரன் நடித்தார்.", "திரு. குமார் வந்தாரா?"]],
    "te": [["జింక్ ఖరీదైనది.", "డా. రావు, కె. విశ్వనాథ్ వచ్చారు.", "రాగి చవకా?"]],
    "ur": [["جست مہنگا ہے۔", "کیا تانبا سستا ہے؟", "ڈاکٹر احمد نے کہا: ہاں۔"]],
    "bg": [["Ул. „Шипка“ е до бул. Левски.", "Цинкът, вж. чл. 5, е скъп.", "„Защо?“"]],
    "cs": [["Např. Škoda, tzv. „Auto“, a 1. Jihočeská liga.", "Dne 5. května přišel Ing. Novák.", "Proč?"]],
    "hr": [["Npr. Zagreb, str. 12, i sv. Vlaho.", "On reče: »Stoj!«", "Koliko stoji cink?"]],
    "hu": [["Kb. 50 forint, ld. özv. Kissné.", "A 2. Magyar Hadsereg, ún. „Don menti“.", "Miért?"]],
    "pl": [["Np. Kraków i ul. Długa, tzw. „Trakt”.", "Wojska 1. Armii i ks. Jan.", "Dlaczego?"]],
    "ro": [["Dl. Popescu a plătit cca. 50 de lei.", "„De ce?”", "Zincul costă 3,5 euro."]],
    "sk": [["Napr. Bratislava a 5. Pluk pri nám. SNP.", "Prečo?", "Zinok je drahý."]],
    "sl": [["Npr. Ljubljana na str. 5 in sv. Jurij.", "Rekel je: »Stoj!«", "Zakaj?"]],
    "sr": [["Нпр. Београд, бр. 5, и тзв. „Бели град“.", "Зашто?", "Цинк је скуп."]],
    "tr": [["Doç. Dr. Yılmaz 2. Dünya Savaşı’nı anlattı, bkz. Tablo.", "Neden?", "Çinko 3,5 avro."]],
    "uk": [["Вул. Шевченка, напр. Київ, ім. Франка.", "Цинк коштує 3,5 тис. грн за тонну.", "Чому?"]],
}


@pytest.mark.parametrize(("code", "told"), [(code, told) for code, texts in CASES.items() for told in texts])
def test_sentences_of_many_languages(code: str, told: list[str]) -> None:
    text = ("" if code in ("ja", "zh") else " ").join(told)
    assert [text[slice(*span)] for span in sentences(text, code)] == told


def test_a_line_ends_a_sentence_and_marks_alone_are_none() -> None:
    text = "Zinc\n\nis dear. …\n---\nCopper"
    assert [text[slice(*span)] for span in sentences(text)] == ["Zinc", "is dear. …", "Copper"]
    assert sentences(" \n.") == []


def test_a_sentence_is_whole_with_its_mark_and_what_closes_it() -> None:
    assert all(map(is_whole, ["It is.", 'He said "no."', "高い。」", "है।", "؟", "So (it is!)", "Գինը 3.5 է:", "ነው፡፡"]))
    assert not any(map(is_whole, ["It is", "3.5", "e.g", "高い", "", "It is:"]))


@given(st.text(st.sampled_from('aB .。!?\n"」1é؟'), max_size=40))
def test_sentences_are_in_order_and_hold_every_letter(text: str) -> None:
    spans = sentences(text)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    held = "".join(text[slice(*span)] for span in spans)
    assert [one for one in held if one.isalnum()] == [one for one in text if one.isalnum()]
