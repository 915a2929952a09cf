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
_WORD_BEFORE = re.compile(r"[\w.’'&]+\Z")
_DAY = re.compile(r"\d{1,2}\Z")
_LISTED = re.compile(r"[ \t]*\d{1,3}")
_BETWEEN = re.compile("[ \t\u00a0\u202f\"'“„‘«»(\\[]*")
_NEAR = 64  # characters before a mark that are looked at: more than any abbreviation has
_DAYS_HAVE_A_STOP = frozenset({"cs", "de", "hr", "hu", "pl", "sk", "sl", "sr", "tr"})  # or other ordinals ("2. Dünya")
_ABBREVIATION = re.compile(
    "mr|mrs|ms|dr|prof|vs|figs?|vols?|pp|approx|ca|inc|ltd|jr|sr|eds|cf"  # that stand before a name or a number
    "|st|hrn?|fr|bzw|vgl|nr|abs|bd|mio|mrd|evtl|ggf|sog|inkl|mme|mlle|env|sra|srta|dra|uds?|núm|pág|pag|sig|dott|exmo"
    "|blz|bijv|dhr|mevr|drs|гг?|ул|им|тыс|млн|млрд|руб|рис|стр|напр|проф|акад|yth|ths"
    "|np|tzw|św|ul|inż|ks|ім|вул|просп|св"  # pl, uk
    "|tzv|např|popř|str|nám|mgr|mudr|judr|rndr|phdr|napr|npr|ing|akad|sv|br|št|dipl"  # cs, sk, hr, sl
    "|бр|нпр|тзв|бул|доц|инж|вж|гр|чл|т\\.нар"  # sr, bg
    "|bkz|doç|yrd|öğr|müh|mah|örn|dl|dlui|cca|ifj|özv|pl|ún|kb|vö|szt|kft|zrt"  # tr, ro, hu
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
    found = _WORD_BEFORE.search(before)
    if found is None:
        return False
    word = found[0].casefold().lstrip("'’")
    last = word.rpartition(".")[2]
    is_initial = len(last) == 1 and last.isalpha() and (last.upper() != last.lower() or "\u0620" <= last <= "\u06d3")
    return is_initial or _ABBREVIATION.fullmatch(word) is not None
