"""The measures of answers: one row each, from which parsing, help text and computation are derived.

Each gives a value from 0 to 1 for an answer, or none where it has no meaning for it: a refusal cites nothing, and in
few words no language can be told. Averages, differences and tests are over the answers that have a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from xqe.errors import XqeError
from xqe.evaluation.answers.matching import char_3_recall, exact_match, f1
from xqe.evaluation.answers.reading import Given
from xqe.text.detection import language_of

SHORT = 20
"""Characters: the language of a text that has no more is not asked about, as in BERGEN."""

First = Callable[[Sequence[str], Sequence[str]], Sequence[str | None]]
"""Of texts and the ids of documents: the document that each text ranks first, None for none."""


@dataclass(frozen=True, slots=True)
class Case:
    """An answer with what it is judged by. lang: that it should be in, or "". golds: the answers that are right, none
    where there is none; None where that is not known. gold_lang: that these are in, or "". offered: the documents that
    it might cite; None where that is not known. first: None where there is no index to ask."""

    given: Given
    lang: str
    golds: tuple[str, ...] | None = None
    gold_lang: str = ""
    offered: tuple[str, ...] | None = None
    first: First | None = None


@dataclass(frozen=True, slots=True)
class AnswerMeasure:
    """name: as it is shown. about: what its value is. value: of an answer, None where it has no meaning for it. needs:
    the option that gives what it is computed by, "" for none."""

    name: str
    about: str
    value: Callable[[Case], float | None]
    needs: str = ""

    def __str__(self) -> str:
        return self.name


def _best(score: Callable[[str, str, str], float]) -> Callable[[Case], float | None]:
    """The best of the scores with each gold answer; where there is none, whether it was refused."""

    def value(case: Case) -> float | None:
        if case.golds is None:
            return None
        if not case.golds or case.given.refused:
            return float(case.given.refused and not case.golds)
        return max(score(case.given.text, gold, case.gold_lang) for gold in case.golds)

    return value


def _validity(case: Case) -> float | None:
    cited = [source for sentence in case.given.sentences for source in sentence.sources]
    given = len(cited) + case.given.invalid
    if case.given.refused or case.offered is None or not given:
        return None
    return sum(source in case.offered for source in cited) / given


def _coverage(case: Case) -> float | None:
    sentences = case.given.sentences
    if case.given.refused or not sentences:
        return None
    return sum(bool(_valid(case, sentence.sources)) for sentence in sentences) / len(sentences)


def _support(case: Case) -> float | None:
    cited = [sentence for sentence in case.given.sentences if _valid(case, sentence.sources)]
    if case.given.refused or case.first is None or not case.offered or not cited:
        return None
    firsts = case.first([sentence.text for sentence in cited], case.offered)
    return sum(first in sentence.sources for first, sentence in zip(firsts, cited, strict=True)) / len(cited)


def _valid(case: Case, sources: Iterable[str]) -> list[str]:
    return [source for source in sources if case.offered is None or source in case.offered]


def _language(case: Case) -> float | None:
    if case.given.refused or not case.lang or len(case.given.text) <= SHORT:
        return None
    told = language_of(case.given.text)
    return None if told is None else float(told == case.lang)


def _refused(case: Case) -> float | None:
    return float(case.given.refused)


MEASURES = (
    AnswerMeasure("EM", "1 if the words are those of a gold answer", _best(exact_match), "--gold"),
    AnswerMeasure("F1", "words shared with a gold answer", _best(f1), "--gold"),
    AnswerMeasure("char-3-recall", "the part of a gold answer's character 3-grams", _best(char_3_recall), "--gold"),
    AnswerMeasure("citation-validity", "the part of the citations that are of documents offered", _validity),
    AnswerMeasure("citation-coverage", "the part of the sentences that cite a document offered", _coverage),
    AnswerMeasure(
        "support-proxy",
        "the part of the sentences with citations that rank one of these documents first among those offered",
        _support,
        "--index",
    ),
    AnswerMeasure("correct-language", "1 if it is in the language that was asked for", _language),
    AnswerMeasure("refused", "1 if it says that the documents do not tell", _refused),
)

GOLD = tuple(measure for measure in MEASURES if measure.needs == "--gold")
"""Those by which an answer that is not there is worth nothing."""
KNOWN = " ".join(map(str, MEASURES))
_BY_NAME = {measure.name.lower(): measure for measure in MEASURES}


def parse(text: str, where: str = "") -> AnswerMeasure:
    """Return the measure that `text` names, in any case and with "_" for "-". Raises XqeError for an unknown one;
    `where` ("--measure") says who named it."""
    measure = _BY_NAME.get(text.lower().replace("_", "-"))
    if measure is None:
        place = f"{where}: " if where else ""
        raise XqeError(f'{place}unknown measure of answers "{text}"', f"xqe knows {KNOWN}")
    return measure


def parse_all(texts: Iterable[str], where: str = "") -> tuple[AnswerMeasure, ...]:
    """Return the measures of some texts, each one or several separated by commas or spaces, each measure once."""
    names = [name for text in texts for name in text.replace(",", " ").split() or [text]]
    return tuple(dict.fromkeys(parse(name, where) for name in names))
