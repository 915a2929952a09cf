"""Where the sentences of a text end: by the marks of its script, at its lines, and not at every full stop.

A mark of Chinese and Japanese (。！？), of Hindi (।), Arabic (؟) and so on ends a sentence wherever it stands. Those of
Latin script stand in numbers and abbreviations, too: they end one where white space or the end of the text follows, and
then no lower-case letter; a full stop not after an abbreviation, an initial ("J.", "z. B.", "د."), the number that a
line begins with or, in languages that write "5. Mai", that of a day. Marks that follow one another are one end, and
closing quotation marks and brackets belong to it, French » with the space before it. Quoted Japanese that the sentence
goes on behind (「…。」と) is a part of it.
"""

from __future__ import annotations

import re

Span = tuple[int, int]

_CLOSERS = "\"'”’»›«‹)\\]）］】〉》」』*_"
_OWN = "。！？｡।॥؟۔؞።။។"
_SHARED = ".!?．…‼⁇⁈⁉"
_SPACES = " \u00a0\u202f"
_CLOSED = rf"[{_CLOSERS}]*(?:[{_SPACES}][»›](?![^\s,;:.)]))?"
_MARKS = re.compile(rf"(?P<own>[{_SHARED}]*[{_OWN}][{_OWN}{_SHARED}]*)[{_CLOSERS}]*|[{_SHARED}]+{_CLOSED}|\n+")
_FINAL = re.compile(rf"[{_OWN}{_SHARED}][{_CLOSERS}\s]*\Z")
_QUOTE_GOES_ON = re.compile(r"[」』）][ \t]*(?:と|って|という|など|の|が|を|は|に|も|で|、)")
SIGNS = (
    r"\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    r"\u0900-\u0963\u0966-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u102b-\u103e\u17b4-\u17d3"
)
r"""Marks and vowel signs, which are of a word, and which \w lacks: for a class of characters."""
_WORD_BEFORE = re.compile(rf"[\w{SIGNS}.’'&]+\Z")
_DAY = re.compile(r"\d{1,2}\Z")
_LISTED = re.compile(r"[ \t]*\d{1,3}")
_BETWEEN = re.compile("[ \t\u00a0\u202f\"'“‘«(\\[]*")
_NEAR = 64  # characters before a mark that are looked at: more than any abbreviation has
_DAYS_HAVE_A_STOP = frozenset({"de", "ko"})
_YEARS_HAVE_A_STOP = frozenset({"ko"})  # 2024. 3. 1.
_ABBREVIATION = re.compile(
    "mr|mrs|ms|dr|prof|vs|figs?|vols?|pp|approx|ca|inc|ltd|jr|sr|eds|cf"  # that stand before a name or a number
    "|st|hrn?|fr|bzw|vgl|nr|abs|bd|mio|mrd|evtl|ggf|sog|inkl|mme|mlle|env|sra|srta|dra|uds?|núm|pág|pag|sig|dott|exmo"
    "|blz|bijv|dhr|mevr|drs|гг?|ул|им|тыс|млн|млрд|руб|рис|стр|напр|проф|акад|yth|ths"
    "|ড|ডা|মো|মোঃ|মি|अॅड|ॲड|डॉ|प्रा|पु|वि|गो|कृ|श्री|श्रीमती|सौ|रु|कि.मी|कि.ग्रॅ|इ.स|पृ|ડૉ|ડો|શ્રી|શ્રીમતી|પ્રો|રૂ|કિ.મી|ઈ.સ|પૃ|ਡਾ|ਪ੍ਰੋ|ਸ੍ਰ|ਸ੍ਰੀ|ਕਿ.ਮੀ|ਰੁ"
    "|திரு|திருமதி|முனைவர்|ரூ|கி.மீ|கி.பி|கி.மு|பக்|డా|డాక్టర్|శ్రీ|శ్రీమతి|ప్రొ|రూ|కి.మీ|క్రీ.శ|క్రీ.పూ|ഡോ|ശ്രീ|ശ്രീമതി|പ്രൊഫ|രൂ|കി.മീ"
    # initials of Latin script as they are spelt: எம். ஜி. ராமச்சந்திரன்
    "|ஏ|பி|சி|டி|எப்|ஜி|எச்|ஜே|கே|எல்|எம்|என்|ஆர்|எஸ்|யு|வி|బి|సి|డి|ఎఫ్|జి|హెచ్|జె|కె|ఎల్|ఎం|ఎన్|పి|ఆర్|ఎస్|టి|యు|వి|వై"
    "|ബി|സി|ഡി|എഫ്|ജി|എച്ച്|ജെ|കെ|എൽ|എം|എൻ|പി|ആർ|എസ്|ടി|യു|വി"
)


def sentences(text: str, code: str = "") -> list[Span]:
    """Return where each sentence of a text begins and ends, without white space around it. code: of its language."""
    spans: list[Span] = []
    start = 0
    for mark in _MARKS.finditer(text):
        if _is_end(text, mark, code):
            _add(spans, text, start, mark.end())
            start = mark.end()
    _add(spans, text, start, len(text))
    return spans


def is_whole(sentence: str) -> bool:
    """Whether a sentence has a mark at its end."""
    return _FINAL.search(sentence) is not None


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """Add what stands there; what has no letter and no digit is of the sentence before, if that is of the same line."""
    said = text[start:end]
    first, last = start + len(said) - len(said.lstrip()), start + len(said.rstrip())
    if first >= last:
        return
    if any(character.isalnum() for character in said):
        spans.append((first, last))
    elif spans and "\n" not in text[spans[-1][1] : first]:
        spans[-1] = (spans[-1][0], last)


def _is_end(text: str, mark: re.Match[str], code: str) -> bool:
    if mark[0].startswith("\n"):
        return True
    if mark["own"]:
        return not (mark[0][-1] in "」』）" and _QUOTE_GOES_ON.match(text, mark.end() - 1))
    after = text[mark.end() : mark.end() + 1]
    between = _BETWEEN.match(text, mark.end())
    start = between.end() if between else mark.end()
    if after and not after.isspace() and after.isascii():
        return False
    if text[start : start + 1].islower() or (after and not after.isspace() and mark[0][0] == "."):
        return False
    before = text[max(0, mark.start() - _NEAR) : mark.start()]
    return mark[0][0] not in ".．" or len(mark[0].rstrip(_CLOSERS + _SPACES)) > 1 or not _goes_on(before, code)


def _goes_on(before: str, code: str) -> bool:
    """Whether a full stop after this is one of an abbreviation, of an initial, of a list's number or of a day."""
    if _LISTED.fullmatch(before, before.rfind("\n") + 1):
        return True
    if code in _DAYS_HAVE_A_STOP and _DAY.search(before) and not re.search(r"\d{3}\Z|[.,]\d+\Z", before):
        return True
    if code in _YEARS_HAVE_A_STOP and re.search(r"(?<![\d.,])\d{4}\Z", before):
        return True
    found = _WORD_BEFORE.search(before)
    if found is None:
        return False
    word = found[0].casefold().lstrip("'’")
    last = word.rpartition(".")[2]
    is_initial = len(last) == 1 and last.isalpha() and (last.upper() != last.lower() or "\u05d0" <= last <= "\u0d7f")
    return is_initial or _ABBREVIATION.fullmatch(word) is not None
