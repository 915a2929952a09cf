"""Inspection: how good generated texts look, without relevance judgements.

Measured are the passages of a record, or its translated query where it has no passages. docs/inspect.md says what
each measure is worth.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from xqe.errors import XqeError
from xqe.evaluation.groups import field_value
from xqe.files.records import Record, has_failed, passages_lang
from xqe.models import prompts
from xqe.models.examples import BUILTIN, Chooser, Example, builtin
from xqe.stages.strategies import Strategy
from xqe.text.analysis import PAIR_MARK, Analysed, analyzer, clean
from xqe.text.detection import language_of, script_share
from xqe.text.languages import Language, language

Kind = Literal["share", "flag", "count"]
Value = float | bool | int | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured of a text.

    kind: a share from 0 to 1; a flag, true where something is wrong; or a count. higher_is_better: None where neither
    is.
    """

    name: str
    kind: Kind
    higher_is_better: bool | None
    about: str


MEASURES = (
    Measure("faithfulness", "share", True, "the query's words that the passage keeps"),
    Measure("kept", "share", True, "numbers and names of the query as asked that the text keeps, in any language"),
    Measure("drift", "share", False, "the passage's words that come from one of the worked examples shown"),
    Measure("script", "share", True, "letters that are of the language's script"),
    Measure("repetition", "share", False, "sequences of words that have been in the text before"),
    Measure("wrong_language", "flag", False, "written in another language than the one asked for"),
    Measure("wrong_script", "flag", False, "fewer than a quarter of the letters are of the language's script"),
    Measure("loop", "flag", False, "says a phrase three times in a row"),
    Measure("meta", "flag", False, "talks about the query or the answer instead of answering"),
    Measure("echo", "flag", False, "repeats the query and says no more, or repeats it before it answers"),
    Measure("empty", "flag", False, "holds no word"),
    Measure("cut", "flag", False, "cut off at the limit of tokens"),
    Measure("words", "count", None, "words, stop words included"),
    Measure("characters", "count", None, "characters"),
)
"""What is measured of each text, in the order in which it is written; a record has the means of its texts."""

FLAGS = tuple(measure.name for measure in MEASURES if measure.kind == "flag")
FLAGGED = "flagged"  # beside the measures: the share of texts with any flag

_FEWEST_OF_EXAMPLE = 3  # distinct words that passage and example share before it counts as drift
_QUARTER = 0.25  # of Chinese descriptions of software, full of Latin names, one in a hundred has fewer letters
_SHORTEST_PHRASE = 3  # letters; "C, C++, C#" is no loop


# ---------------------------------------------------------------- repetition


def repetition(tokens: Sequence[Hashable], n: int) -> float | None:
    """Return the share of the n-grams of `tokens` that are repetitions of an earlier one; None for fewer than n."""
    grams = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


def loops(tokens: Sequence[str], shortest: int, longest: int) -> bool:
    """Whether some phrase of `shortest` to `longest` tokens stands three times in a row.

    A phrase has three letters at least, and is more than a number.
    """
    for period in range(shortest, min(longest, len(tokens) // 3) + 1):
        same = 0
        for at in range(len(tokens) - period):
            same = same + 1 if tokens[at] == tokens[at + period] else 0
            if same == 2 * period and _is_phrase("".join(tokens[at + 1 : at + 1 + period])):
                return True
    return False


def _is_phrase(letters: str) -> bool:
    return len(letters) >= _SHORTEST_PHRASE and not letters.isdigit()


@dataclass(frozen=True, slots=True)
class Units:
    """What a text is cut into to find repetitions.

    ngram: the length of a repetition. shortest, longest: the lengths of a phrase of a loop.
    """

    ngram: int
    shortest: int
    longest: int


WORDS = Units(3, 1, 40)
CHARACTERS = Units(6, 2, 80)  # of languages without white space


# ---------------------------------------------------------------- texts about the text


@cache
def _metatext(code: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The patterns for texts in a language: at the beginning, and anywhere."""
    table = tomllib.loads((files("xqe.stages") / "metatext.toml").read_text("utf-8"))
    rows = [table[code]] if code == "en" else [table[code], table["en"]]
    openings, anywhere = ("|".join(pattern for row in rows for pattern in row[key]) for key in ("openings", "anywhere"))
    return re.compile(rf"\W*(?:{openings})"), re.compile(anywhere)


def is_meta(text: str, code: str) -> bool:
    """Whether a text in a language talks about the query or itself, by the patterns of metatext.toml."""
    text = clean(text)
    openings, anywhere = _metatext(code)
    return bool(openings.match(text) or anywhere.search(text))


# ---------------------------------------------------------------- numbers and names

_TOKEN = re.compile(r"[A-Za-z0-9]+(?:[._][A-Za-z0-9]+)*")


def anchors(query: str, spoken: Language | None) -> set[str]:
    """Return what any translation of a query keeps, lower-cased: numbers, names with a digit in them, abbreviations.

    Of a query in another script also every Latin word of two letters or more.
    """
    latin = spoken is None or spoken.is_latin
    tokens = _TOKEN.findall(_ascii_digits(query))
    return {
        token.lower()
        for token in tokens
        if any(map(str.isdigit, token)) or sum(map(str.isupper, token)) > 1 or (not latin and len(token) > 1)
    }


def _ascii_digits(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"[^\D0-9]", lambda digit: str(unicodedata.decimal(digit[0])), text)


# ---------------------------------------------------------------- echo and end

_NO_LETTER = re.compile(r"[\W_]+")
_ENDS_SENTENCE = re.compile(r"[.!?…。！？।؟][\"'”’»)\]）」』]*$")


def _letters(text: str) -> str:
    return _NO_LETTER.sub("", clean(text))


def echoes(text: str, query: str) -> bool:
    """Whether a text is the query and nothing else, or begins with it as with a sentence or a heading of its own.

    A passage that begins with its subject, which may be all of the query, is no echo.
    """
    asked = _letters(query)
    said = _letters(text)
    if not asked or not said.startswith(asked):
        return False
    if said == asked:
        return True
    end = _end_of(text, len(asked))
    return bool(re.match(r"\s*(?:[.!?:。！？：।؟](?:\s|$|(?<=[。！？：]))|\n)", text[end:]))


def _end_of(text: str, letters: int) -> int:
    """Where in a text its first so many letters end."""
    count = 0
    for at, character in enumerate(text, 1):
        count += len(_letters(character))
        if count >= letters:
            return at
    return len(text)


# ---------------------------------------------------------------- what a record says of its texts


@dataclass(slots=True)
class History:
    """How the texts of a record came about, read from its steps.

    order: a letter a step: t (translation), e (expansion), d (expansion directly into another language). making: the
    steps that made the texts there are now, one expansion and what translated it, or the translations of a query.
    spoken, written: the languages of the query and of the passages when an expansion wrote them.
    """

    order: str = ""
    making: tuple[Mapping[str, Any], ...] = ()
    expansion: Mapping[str, Any] | None = None
    spoken: str = ""
    written: str = ""

    @property
    def first(self) -> Mapping[str, Any]:
        """The step whose model and strategy the texts are known by: the expansion, where there was one."""
        return self.expansion or (self.making[-1] if self.making else {})

    @property
    def was_cut(self) -> bool:
        return any(step.get("finish") == "length" for step in self.making)


def history(record: Mapping[str, Any]) -> History:
    """Read the steps of a record; those that neither translate nor expand say nothing of its texts."""
    told = History()
    lang = _code(_source(record, "lang"))
    for step in record.get("steps", ()):
        name = step.get("step") if isinstance(step, Mapping) else None
        if name not in ("translate", "expand"):
            continue
        target = _code(str(step.get("to") or lang))
        if name == "expand":
            told.order += "e" if target == lang else "d"
            told.expansion, told.making, told.spoken, told.written = step, (step,), lang, target
            continue
        told.order, lang = told.order + "t", target
        if told.expansion is None or target != told.written:  # passages that are in that language already stay
            told.making = (*told.making, step)
    return told


def _source(record: Mapping[str, Any], key: str) -> str:
    """The query or its language as it first arrived."""
    source = record.get("source", record)
    return str(source.get(key, record.get(key, "")))


def _code(lang: str) -> str:
    """A language as xqe names it ("pt" for "pt_BR")."""
    row = _known(lang)
    return row.code if row else lang


def _known(code: str | None) -> Language | None:
    try:
        return language(code) if code else None
    except XqeError:
        return None


# ---------------------------------------------------------------- the inspector


class Inspector:
    """Inspects records. examples: the file that --examples named when they were made, None for the built-in ones."""

    def __init__(self, examples: str | None = None) -> None:
        self._examples = examples
        self._shown: dict[tuple[Any, ...], list[frozenset[str]]] = {}
        if examples is not None:
            Chooser(examples, 1)  # says now what is wrong with the file

    def __call__(self, record: Record) -> dict[str, Any] | None:
        """What is added to a record:

            {"lang", "order", "strategy", "model", the mean of each measure, "flagged", "passages": [...] or "query"}

        None for a record that failed, and for one that has neither passages nor a translated query.
        """
        told = history(record)
        passages = record.get("passages") or []
        if has_failed(record) or not (passages or told.making):
            return None
        code = passages_lang(record) if passages else str(record.get("lang", ""))
        row = _known(code)
        values = self._of_passages(record, told, passages, row) if passages else [_of_query(record, told, row)]
        return {
            "lang": _code(code),
            "order": told.order,
            "strategy": told.first.get("strategy"),
            "model": told.first.get("model"),
            **means(values),
            **({"passages": values} if passages else {"query": values[0]}),
        }

    def _of_passages(
        self, record: Record, told: History, passages: Sequence[str], row: Language | None
    ) -> list[dict[str, Any]]:
        asked = _source(record, "query")
        query = _query_in(record, row)
        wanted = anchors(asked, _known(_source(record, "lang")))
        terms = _Text(query, row).stems if query is not None else frozenset()
        of_query = _Text(query or "", row).content | _Text(asked, row).content
        examples = self._example_words(told, row)
        queries = {text for text in (query, asked, record["query"]) if text}
        made = []
        for passage in passages:
            text = _Text(passage, row)
            values = {
                "faithfulness": len(terms & text.stems) / len(terms) if terms else None,
                "kept": _kept(wanted, passage),
                "drift": drift(text.content, examples, of_query) if examples else None,
                "echo": any(echoes(passage, one) for one in queries),
                "cut": told.was_cut and (len(passages) == 1 or not _ENDS_SENTENCE.search(passage.strip())),
            }
            made.append(_in_order({**text.values(), **values}))
        return made

    def _example_words(self, told: History, row: Language | None) -> list[frozenset[str]]:
        """The words of each worked example that was shown, in the language that the passages are in now.

        The built-in examples say the same in every language, so that what E+T translates is found too. Those of a
        file are compared only with passages that were not translated. A step names the seed that chose them only where
        texts were sampled; without it, all that may have been shown count.
        """
        step = told.expansion or {}
        shots, seed = step.get("shots"), step.get("seed")
        spoken, written = _known(told.spoken), _known(told.written)
        is_file = self._examples is not None
        if row is None or spoken is None or not isinstance(shots, int) or shots < 1:
            return []
        if written is not row if is_file else shots > BUILTIN:  # more than there are: of a file that was not named
            return []
        key = (row.code, spoken.code, step.get("strategy"), shots, seed)
        if key not in self._shown:
            chooser = Chooser(self._examples, shots, seed if isinstance(seed, int) else 0)
            asked = spoken if is_file else row
            chosen = chooser(asked, row)
            if seed is None:
                chosen = chooser.candidates(asked, row)
            fields = _fields_of(str(step.get("strategy")))
            words = [_Text(_text_of(example, fields), row).content for example in chosen]
            self._shown[key] = telling(words, _common(row.code))
        return self._shown[key]


def inspected(records: Iterable[Record], examples: str | None = None) -> Iterator[Record]:
    """Yield each record with "inspection" (see `Inspector`), in order, and with all else as it was."""
    inspect = Inspector(examples)
    for record in records:
        yield {**record, "inspection": inspect(record)}


def _of_query(record: Record, told: History, row: Language | None) -> dict[str, Any]:
    query, asked = record["query"], _source(record, "query")
    spoken = _known(_source(record, "lang"))
    # a name stays what it is
    is_same = _letters(query) == _letters(asked) and spoken is not row and len(_Text(asked, spoken).words) > 1
    values = {"kept": _kept(anchors(asked, spoken), query), "echo": is_same, "cut": told.was_cut}
    return _in_order({**_Text(query, row).values(), **values})


def means(values: Sequence[Mapping[str, Any]]) -> dict[str, Value]:
    """The mean of each measure over the texts that have it, None where none has, and the share of flagged texts."""
    made: dict[str, Value] = {}
    for measure in MEASURES:
        known = [value[measure.name] for value in values if value.get(measure.name) is not None]
        made[measure.name] = sum(known) / len(known) if known else None
    flagged = [any(value.get(name) for name in FLAGS) for value in values]
    return {**made, FLAGGED: sum(flagged) / len(flagged) if flagged else None}


def drift(stems: frozenset[str], examples: Sequence[frozenset[str]], query: frozenset[str]) -> float:
    """Return the share of a passage's distinct words that come from a worked example and not from the query.

    examples: the telling words of each. One that shares fewer than three words with the passage does so by chance.
    """
    found: set[str] = set()
    for example in examples:
        shared = (stems & example) - query
        if len(shared) >= _FEWEST_OF_EXAMPLE:
            found |= shared
    return len(found) / len(stems) if stems else 0.0


def telling(examples: Sequence[frozenset[str]], common: frozenset[str] = frozenset()) -> list[frozenset[str]]:
    """Return of each example the words that no other has, and that are not among the `common` ones."""
    count = Counter(word for example in examples for word in example)
    alone = frozenset(word for word, number in count.items() if number == 1) - common
    return [example & alone for example in examples]


@cache
def _common(code: str) -> frozenset[str]:
    """Words that several of the built-in examples have, whose topics differ: those of the language, not of a topic."""
    fields = ("query", "passage", "rationale", "rephrasing")
    row = language(code)
    count = Counter(word for one in builtin(code) for word in _Text(_text_of(one, fields), row).content)
    return frozenset(word for word, number in count.items() if number > 1)


def _text_of(example: Example, fields: Iterable[str]) -> str:
    return "\n".join(example.get(name, "") for name in fields)


class _Text:
    """A text and its words, of a language that is known or not."""

    def __init__(self, text: str, row: Language | None) -> None:
        self._text, self._row = text, row
        self._analysed: list[Analysed] = analyzer(row.code).explain(text) if row else []
        self.words = [word.word for word in self._analysed]

    @property
    def stems(self) -> frozenset[str]:
        """Of all words but stop words."""
        return frozenset(word.stem for word in self._analysed if word.stem)

    @property
    def content(self) -> frozenset[str]:
        """What passages and examples share: stems, or pairs of them in a language that writes a word as several."""
        if self._row is None or not self._row.analysis.pairs:
            return self.stems
        return frozenset(term for word in self._analysed for term in word.terms if PAIR_MARK in term)

    def values(self) -> dict[str, Any]:
        row, detected = self._row, language_of(self._text)
        script = script_share(self._text, row) if row else None
        tokens: Sequence[str] = self.words
        units = WORDS
        if row is None or row.analysis.segmenter != "words":
            tokens, units = _letters(self._text), CHARACTERS
        return {
            "language": detected,
            "script": script,
            "repetition": repetition(tokens, units.ngram),
            "wrong_language": detected != row.code if row and detected else None,
            "wrong_script": script < _QUARTER if script is not None else None,
            "loop": loops(tokens, units.shortest, units.longest),
            "meta": is_meta(self._text, row.code if row else "en"),
            "empty": not _letters(self._text),
            "words": len(self.words) if row else None,
            "characters": len(self._text),
        }


def _in_order(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"language": values["language"], **{measure.name: values.get(measure.name) for measure in MEASURES}}


def _query_in(record: Record, row: Language | None) -> str | None:
    """The query in a language, where the record has it."""
    for query, code in ((record["query"], record.get("lang")), (_source(record, "query"), _source(record, "lang"))):
        if row is not None and _known(code) is row:
            return query
    return None


def _kept(wanted: set[str], text: str) -> float | None:
    if not wanted:
        return None
    found = {token.lower() for token in _TOKEN.findall(_ascii_digits(text))}
    return len(wanted & found) / len(wanted)


@cache
def _fields_of(strategy: str) -> tuple[str, ...]:
    """What a prompt shows of each example; of a prompt of the user's it is not known, so query and passage."""
    if strategy not in {one.value for one in Strategy}:
        return ("query", "passage")
    template = prompts.builtin(f"expand-{strategy}")
    return tuple(sorted(template.example_fields(True) | template.example_fields(False)))


# ---------------------------------------------------------------- summaries

BY = ("model", "strategy", "order", "source.lang", "lang")
"""What a summary is grouped by, unless told: fields of "inspection" or of the record."""


@dataclass(slots=True)
class Row:
    """What a group's records have in common. group: {} for all of them.

    failed: passed over because they had failed. inspected: records that have measures. counted: of these, how many
    had each measure; measures: its mean over them. flagged: the share of records with a flagged text.
    """

    group: dict[str, str | None]
    records: int = 0
    failed: int = 0
    inspected: int = 0
    flagged: float | None = None
    measures: dict[str, Value] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


def summary(records: Iterable[Record], by: Sequence[str] = BY) -> list[Row]:
    """Return a row for all inspected records, and one for each group where there is more than one, in their order."""
    sums = {(): _Sum()}
    groups: dict[tuple[str | None, ...], _Sum] = {}
    for record in records:
        values = tuple(_value(record, name) for name in by)
        for one in (sums[()], groups.setdefault(values, _Sum())):
            one.add(record)
    rows = [one.row(dict(zip(by, values, strict=True))) for values, one in groups.items()]
    return rows if len(rows) == 1 else [sums[()].row({}), *rows]


def _value(record: Record, name: str) -> str | None:
    """A field of "inspection" where it has it, else of the record."""
    found = record.get("inspection") or {}
    return field_value(found if name.split(".")[0] in found else record, name)


class _Sum:
    def __init__(self) -> None:
        self.records = self.failed = self.flagged = 0
        self.found: Counter[str] = Counter()
        self.total: dict[str, float] = defaultdict(float)
        self.inspected = 0

    def add(self, record: Record) -> None:
        self.records += 1
        self.failed += has_failed(record)
        measures = record.get("inspection")
        if not measures:
            return
        self.inspected += 1
        self.flagged += measures[FLAGGED] > 0
        for measure in MEASURES:
            value = measures[measure.name]
            if value is not None:
                self.found[measure.name] += 1
                self.total[measure.name] += value

    def row(self, group: dict[str, str | None]) -> Row:
        counted = {measure.name: self.found[measure.name] for measure in MEASURES}
        averages = {name: self.total[name] / number if number else None for name, number in counted.items()}
        flagged = self.flagged / self.inspected if self.inspected else None
        return Row(group, self.records, self.failed, self.inspected, flagged, dict(averages), counted)
