"""Where the terms of a query stand in a document's text, and the few words around the most of them.

An index holds terms, not where they were. So each word of the text is analysed again by itself, which gives its terms
in every language whose words UAX #29 finds. A run of Han and kana is cut by a dictionary that looks at the whole run:
there a term is looked for as it is written, and one that is written otherwise (the normalised form of a Japanese word)
as the shortest piece of the run that has this term alone.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from xqe.text.analysis import INVISIBLE
from xqe.text.sentences import OWN_MARKS

WORDS = 30
"""Of a snippet; a character of Chinese or Japanese counts as part of one."""

LEAD = 8
"""Words of a document's beginning, put before a snippet from further down; a title may be half as long again."""

GAP = " … "

_CHARACTER_COST = 0.4  # of a word: some 75 characters fill a snippet
_LONGEST_PIECE = 12  # characters of a word of Japanese that is written otherwise than its term
_LOOKED_AT = 400  # characters of a run without punctuation, for such a word
_PARAGRAPH = re.compile(r"\s*\n\s*\n\s*")
_CHARACTER = "[\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # Han, kana
_RUN = re.compile(f"(?:{_CHARACTER}{INVISIBLE.pattern}*)+")
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
_SENTENCE_END = re.compile(rf"""[{OWN_MARKS}·]|[.!?]['")\]]*\s""")
_WRAPPED = re.compile(rf"(?<={_CHARACTER})[^\S\n]*\n[^\S\n]*(?={_CHARACTER})")

Terms = Callable[[str], Sequence[str]]
Span = tuple[int, int]


class Snippet(NamedTuple):
    """A part of a document's text. matches: (start, end) in `text`, in characters, of words that have a term."""

    text: str
    matches: list[Span]


class Match(NamedTuple):
    """A word, text[start:end], and those of the terms looked for that it has."""

    start: int
    end: int
    terms: tuple[str, ...]


class _Word(NamedTuple):
    start: int
    end: int
    cost: float


def snippet(text: str, scores: Mapping[str, float], terms_of: Terms, words: int = WORDS) -> Snippet:
    """Return about `words` words of `text` in which the terms of `scores` add most, each counted once.

    scores: what each term adds to the document's score. terms_of: the terms of a text, as `Analyzer.terms` gives
    them. Lines are joined, a paragraph's end is shown as " · ", and what is left out as an ellipsis. A part from
    further down has the document's first words (or its title) before it.
    """
    flat, title = _flattened(text)
    found = _words(flat)
    if not found:
        return Snippet(flat, [])
    matches = located(flat, scores, terms_of)
    return _composed(flat, _fragments(flat, found, matches, scores, words, title), matches)


def best_line(text: str, scores: Mapping[str, float], terms_of: Terms) -> Snippet:
    """The line of a text in which the terms of `scores` add most, each counted once; the first of equal ones."""
    best = max(text.split("\n"), key=lambda line: sum(scores.get(term, 0.0) for term in set(terms_of(line))))
    return snippet(best, scores, terms_of)


def joined(text: str) -> str:
    """The text on one line, with single spaces; a line that ends between Han or kana goes on without one."""
    return " ".join(_WRAPPED.sub("", text).split())


def located(text: str, wanted: Container[str], terms_of: Terms) -> list[Match]:
    """Return the words of `text` that have any of the terms that are wanted, in order."""
    known: dict[str, tuple[str, ...]] = {}

    def wanted_of(word: str) -> tuple[str, ...]:
        if word not in known:
            known[word] = tuple(dict.fromkeys(term for term in terms_of(word) if term in wanted))
        return known[word]

    matches: list[Match] = []
    for is_run, group in groupby(_pieces(text), key=lambda piece: piece[2]):
        pieces = list(group)
        if is_run:
            first, last = pieces[0][0], pieces[-1][1]
            shown = [at for at in range(first, last) if not INVISIBLE.match(text, at)]
            places = [*shown, last]  # in the text, of the characters of the run as it is looked at
            in_run = _in_run("".join(text[at] for at in shown), wanted, terms_of)
            matches += (Match(places[start], places[end], terms) for start, end, terms in in_run)
            continue
        for start, end, _ in pieces:
            if terms := wanted_of(text[start:end]):
                matches.append(Match(start, end, terms))
    return matches


# ---------------------------------------------------------------- words


def _flattened(text: str) -> tuple[str, int]:
    """The text on one line, and where its title ends (0: it seems to have none)."""
    text = _UNENCODABLE.sub("\ufffd", text)
    paragraphs = [joined(part) for part in _PARAGRAPH.split(text.strip())]
    title = len(paragraphs[0]) if len(paragraphs) > 1 else 0
    return " · ".join(paragraphs), title


def _pieces(text: str) -> Iterator[tuple[int, int, bool]]:
    """What UAX #29 cuts a text into, without white space: start, end, and whether it is of Han and kana."""
    from unicode_segmentation_rs import split_word_bounds

    start = 0
    for piece in split_word_bounds(text):
        end = start + len(piece)
        if not piece.isspace():
            yield start, end, _RUN.fullmatch(piece) is not None
        start = end


def _words(text: str) -> list[_Word]:
    return [
        _Word(start, end, _CHARACTER_COST * (end - start) if is_run else 1.0)
        for start, end, is_run in _pieces(text)
        if is_run or any(character.isalnum() for character in text[start:end])
    ]


def _in_run(run: str, wanted: Container[str], terms_of: Terms) -> list[Match]:
    """Where the terms of a run of Han and kana stand in it; of overlapping ones the longer."""
    terms = Counter(terms_of(run))
    spans = {term: _literal(run, term) for term in terms}
    matches: list[Match] = []
    for term, count in terms.items():
        if term not in wanted:
            continue
        longer = [span for other in terms if len(other) > len(term) for span in spans[other]]
        places = spans[term] or _otherwise_written(run, term, terms_of)
        # 本 is not in 日本 if the run has it once, and once by itself
        places = sorted(places, key=lambda place: any(a <= place[0] and place[1] <= b for a, b in longer))[:count]
        matches += (Match(start, end, (term,)) for start, end in places)
    matches = [match._replace(end=_lengthened(run, match.end)) for match in matches]
    matches.sort(key=lambda match: (match.start, -match.end))
    kept: list[Match] = []
    for match in matches:
        if not kept or match.start >= kept[-1].end:
            kept.append(match)
    return kept


def _lengthened(run: str, end: int) -> int:
    """The end of a word with the sound marks that lengthen it: no word begins with one, and サーバー is サーバ."""
    while run[end : end + 1] == "ー":
        end += 1
    return end


def _literal(run: str, term: str) -> list[Span]:
    return [(found.start(), found.end()) for found in re.finditer(re.escape(term), run)]


def _otherwise_written(run: str, term: str, terms_of: Terms) -> list[Span]:
    run = run[:_LOOKED_AT]
    for length in range(1, min(_LONGEST_PIECE, len(run)) + 1):
        places: list[Span] = []
        for start in range(len(run) - length + 1):
            free = not places or start >= places[-1][1]
            if free and list(terms_of(run[start : start + length])) == [term]:
                places.append((start, start + length))
        if places:
            return places
    return []


# ---------------------------------------------------------------- the window


def _fragments(
    text: str,
    words: Sequence[_Word],
    matches: Sequence[Match],
    scores: Mapping[str, float],
    budget: float,
    title: int,
) -> list[Span]:
    """The parts of the text that are shown: the best window, with the beginning before it if that is far off."""
    before = [0.0, *accumulate(word.cost for word in words)]  # of the words before each
    starts = [word.start for word in words]
    if before[-1] <= budget:
        return [(0, len(text))]

    def at(position: int) -> int:
        return bisect_right(starts, position) - 1

    spans = [(at(match.start), at(match.end - 1) + 1) for match in matches]
    first, last = _window(spans, [match.terms for match in matches], scores, before, budget)
    if before[last] <= budget + LEAD / 2:
        return [_extent(text, words, 0, bisect_right(before, max(budget, before[last])) - 1)]
    lead = _lead(text, words, before, title)
    first, last = _widened(text, words, before, first, last, budget - LEAD)
    if first <= lead:
        return [_extent(text, words, 0, last)]
    return [_extent(text, words, 0, lead), _extent(text, words, first, last)]


def _window(
    spans: Sequence[Span],
    terms: Sequence[tuple[str, ...]],
    scores: Mapping[str, float],
    before: Sequence[float],
    budget: float,
) -> Span:
    """From which word to which (not included) the matches lie that add most, then the most, then the first."""
    best, chosen = (0.0, 0), (0, 0)
    inside: Counter[str] = Counter()
    end = 0
    for start, (first, _) in enumerate(spans):
        while end < len(spans) and (end <= start or before[spans[end][1]] - before[first] <= budget - LEAD):
            inside.update(terms[end])
            end += 1
        value = (round(sum(scores[term] for term, count in inside.items() if count), 6), end - start)
        if value > best:
            best, chosen = value, (first, spans[end - 1][1])
        inside.subtract(terms[start])
    return chosen


def _widened(text: str, words: Sequence[_Word], before: Sequence[float], first: int, last: int, budget: float) -> Span:
    """The window with what there is room for around it: from the sentence's beginning, else a third before it."""
    room = budget - (before[last] - before[first])
    sentence = next((at for at in range(first, 0, -1) if _ends_sentence(text, words[at - 1].end, words[at].start)), 0)
    if before[first] - before[sentence] <= room:
        first = sentence
    else:
        first = min(first, bisect_left(before, before[first] - room / 3))
    last = max(last, bisect_right(before, before[first] + budget) - 1)
    return min(first, max(0, bisect_left(before, before[last] - budget))), last


def _ends_sentence(text: str, start: int, end: int) -> bool:
    return _SENTENCE_END.search(text, start, end) is not None


def _lead(text: str, words: Sequence[_Word], before: Sequence[float], title: int) -> int:
    """How many words of the beginning are shown: the title's, if it has not many more than `LEAD`."""
    of_title = sum(word.end <= title for word in words[: 4 * LEAD])
    if of_title and before[of_title] <= 1.5 * LEAD and words[min(of_title, len(words) - 1)].start >= title:
        return of_title
    return bisect_right(before, LEAD) - 1


def _extent(text: str, words: Sequence[_Word], first: int, last: int) -> Span:
    """From the first word to the last (not included), with the punctuation that is written to them."""
    start, end = words[first].start, words[last - 1].end
    earliest = words[first - 1].end if first else 0
    latest = words[last].start if last < len(words) else len(text)
    while start > earliest and (unicodedata.category(text[start - 1]) in ("Ps", "Pi") or text[start - 1] in "\"'"):
        start -= 1
    while end < latest and not text[end].isspace() and unicodedata.category(text[end]) not in ("Ps", "Pi", "Pd"):
        end += 1
    return (start if first else 0), end


def _composed(text: str, fragments: Sequence[Span], matches: Sequence[Match]) -> Snippet:
    shown, places = "", []
    for start, end in fragments:
        if start > 0:
            shown = f"{shown}{GAP if shown else GAP.lstrip()}"
        shift = len(shown) - start
        inside = (match for match in matches if start <= match.start and match.end <= end)
        places += [(match.start + shift, match.end + shift) for match in inside]
        shown += text[start:end]
    if fragments[-1][1] < len(text.rstrip()):
        shown += GAP.rstrip()
    return Snippet(shown, places)
