"""The generating steps that options ask for, the same for every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from xqe.commands.options.lists import language_codes
from xqe.errors import XqeError
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.commands.options.augmenting import Augmenting
    from xqe.commands.options.generation import Generation
    from xqe.commands.options.steps import Expansion, Worked
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.models.engines.requests import Sampling
    from xqe.models.examples import Chooser
    from xqe.models.prompts import Template
    from xqe.stages.augment.augment import Augment
    from xqe.stages.augment.consistency import Consistency
    from xqe.stages.choosing import Chosen
    from xqe.stages.expand import Expand
    from xqe.stages.librarian.guide import Guide
    from xqe.stages.qa_expand import QAExpand
    from xqe.stages.strategies import Strategy
    from xqe.stages.translate import Translate
    from xqe.stages.translate_documents import TranslateDocuments

    Expander = Expand | QAExpand | Chosen


S_co = TypeVar("S_co", covariant=True)


class Make(Protocol[S_co]):
    """Makes a stage for an engine. guide: what it shows for each query, where it shows anything chosen."""

    def __call__(self, engine: Engine, guide: Guide | None = None) -> S_co: ...


def translation(
    to: str, generation: Generation, max_tokens: int | None, samples: int = 1, worked: Worked | None = None
) -> Make[Translate]:
    """What makes the stage. Raises XqeError for an unknown language, and for what is wrong with the examples."""
    from xqe.models.examples.pairs import SHOTS, read_pairs
    from xqe.stages.translate import Translate

    target, sampling = language(to, "--to"), sampling_of(generation)
    pairs = None
    if worked is not None and worked.examples is not None:
        pairs = read_pairs(worked.examples, SHOTS if worked.shots is None else worked.shots, generation.seed)
        pairs.require(target)
    elif worked is not None and worked.shots is not None:
        raise XqeError("--shots has no effect without --examples", "leave it out, or add --examples FILE")

    def make(engine: Engine, guide: Guide | None = None) -> Translate:
        return Translate(engine, target, sampling, max_tokens, samples, pairs, guide)

    return make


def document_translation(
    to: str, generation: Generation, max_tokens: int | None
) -> Callable[[Engine], TranslateDocuments]:
    """What makes the stage for an engine. Raises XqeError for an unknown language, and a limit that is too low."""
    from xqe.stages.translate_documents import TranslateDocuments, check_limit

    target, sampling = language(to, "--to"), sampling_of(generation)
    check_limit(max_tokens)
    return lambda engine: TranslateDocuments(engine, target, sampling, max_tokens)


def expansion(
    strategy: Strategy | None, options: Expansion, generation: Generation, max_tokens: int | None, to: str | None = None
) -> Make[Expander]:
    """What makes the stage; the files that the options name are read and checked now. What they do not
    say is as the strategy has it, which is the paper's zero-shot if none is named."""
    from xqe.models import prompts
    from xqe.stages.strategies import Strategy

    if options.prompt is not None:
        own = prompts.load(options.prompt, "expand")
        if strategy is Strategy.AUTO or (strategy is not None and len(strategy.recipe.prompts) > 1):
            raise XqeError(f"--prompt has no effect on --strategy {strategy}", "leave one of them out")
        return _one_expansion(strategy or Strategy.ZEROSHOT, own, options, generation, max_tokens, to)
    if strategy is not Strategy.AUTO:
        return _one_expansion(strategy or Strategy.ZEROSHOT, None, options, generation, max_tokens, to)
    from xqe.stages.choosing import RULES, Chosen
    from xqe.stages.expand import Expand

    def make(engine: Engine, guide: Guide | None = None) -> Expander:
        stages: dict[Strategy, Expand] = {}
        for chosen in dict.fromkeys(rule.strategy for rule in RULES):
            shows = any(part.shows_examples(engine.is_chat) for part in chosen.recipe.templates)
            its = options if shows else replace(options, examples=None, shots=None)
            stage = _one_expansion(chosen, None, its, generation, max_tokens, to)(engine, guide)
            assert isinstance(stage, Expand)
            stages[chosen] = stage
        return Chosen(engine, stages)

    _chooser(options, generation, max(rule.strategy.template.shots for rule in RULES))
    return make


def _one_expansion(
    strategy: Strategy,
    own: Template | None,
    options: Expansion,
    generation: Generation,
    max_tokens: int | None,
    to: str | None,
) -> Make[Expander]:
    """own: a prompt of the user's, in place of the strategy's."""
    from xqe.stages.expand import READ, Expand, Way
    from xqe.stages.qa_expand import Prompts, QAExpand

    recipe = strategy.recipe
    target = language(to, "--to") if to is not None else None
    templates = recipe.templates if own is None else (own,)
    choose = _chooser(options, generation, templates[0].shots)
    if target is not None:
        for part in (part for template in templates for part in template.each() if not recipe.in_rounds):
            part.across()
        if choose is not None:
            choose.require_passages_in(target)
    sampling = sampling_of(generation, recipe.temperature)
    samples = recipe.samples if options.samples is None else options.samples
    most = recipe.max_tokens if max_tokens is None else max_tokens
    if recipe.in_rounds:
        asked, name = Prompts(*templates), strategy.value
        return lambda engine, guide=None: QAExpand(
            engine, asked, choose, samples, sampling, most, target, name, recipe.combination, guide
        )
    way = Way(strategy.value if own is None else None, recipe.combination, recipe.documents or READ)
    return lambda engine, guide=None: Expand(engine, templates, choose, samples, sampling, most, target, way, guide)


def hits_check(strategy: Strategy | None, options: Expansion) -> Callable[[Record, str], None]:
    """What raises InputError for the first record where documents are read and it has none that could be: that is a
    step left out. Of later ones, and where nothing was found, it is the record's own error."""
    from xqe.errors import InputError
    from xqe.files.records import has_failed
    from xqe.stages import feedback_texts

    reads = any(_reading(strategy, options))
    seen: list[str] = []

    def check(record: Record, where: str) -> None:
        is_first = not seen
        seen.append(where)
        if not (reads and is_first) or has_failed(record) or record.get("hits") == []:
            return
        if not feedback_texts.has_texts(record):
            raise InputError(
                f"{where}: no hits with texts, which {_asked_by(strategy, options)} reads", feedback_texts.HINT
            )

    return check


def check_nearby(strategy: Strategy | None, options: Expansion) -> None:
    """Raise XqeError where documents of an index are to be shown to prompts that show those of the hits, and no
    others."""
    if (reading := _reading(strategy, options)) and all(reading):
        by = _asked_by(strategy, options)
        raise XqeError(f"--index has no effect: {by} shows the hits of each record", "leave it out")


def _asked_by(strategy: Strategy | None, options: Expansion) -> str:
    """The option that says what is asked."""
    return f"--prompt {options.prompt}" if options.prompt is not None else f"--strategy {strategy}"


def _reading(strategy: Strategy | None, options: Expansion) -> list[bool]:
    """For each prompt, in both of its forms, whether it shows documents. Nothing of "auto", which may."""
    from xqe.models import prompts
    from xqe.stages.strategies import Strategy

    named = strategy or Strategy.ZEROSHOT
    templates: tuple[Template, ...] = ()
    if options.prompt is not None:
        templates = (prompts.load(options.prompt, "expand"),)
    elif named is not Strategy.AUTO:
        templates = named.recipe.templates
    return [part.reads_documents(chat) for one in templates for part in one.each() for chat in (True, False)]


def _chooser(options: Expansion, generation: Generation, shots: int) -> Chooser | None:
    """What chooses the worked examples that the options name; None for those of the strategy."""
    from xqe.models.examples import Chooser

    if options.examples is None and options.shots is None:
        return None
    return Chooser(options.examples, shots if options.shots is None else options.shots, generation.seed)


def augmentation(options: Augmenting, generation: Generation) -> Callable[[Engine, Consistency | None], Augment]:
    """What makes the stage for an engine and for what drops questions that find other documents; the files that the
    options name are read and checked now."""
    from xqe.models import prompts
    from xqe.models.examples import Chooser
    from xqe.stages.augment.augment import WHOLE_QUESTIONS, Augment, Settings

    codes = language_codes(options.to, "--to") or ()
    samples = options.questions if options.samples is None else options.samples
    if samples < options.questions:
        raise XqeError(
            f"--samples {samples} is fewer than the {options.questions} questions wanted of them", "give more, or none"
        )
    template = prompts.load(options.prompt, "question") if options.prompt is not None else prompts.builtin("question")
    choose = None
    if options.examples is not None or options.shots is not None:
        shots = template.shots if options.shots is None else options.shots
        choose = Chooser(options.examples, shots, generation.seed, WHOLE_QUESTIONS)
    targets = tuple(language(code) for code in codes)
    settings = Settings(targets, options.questions, samples, options.max_tokens, options.document_tokens)
    sampling = sampling_of(generation)
    return lambda engine, consistency: Augment(engine, template, settings, sampling, choose, consistency)


def sampling_of(generation: Generation, temperature: float = 0.0) -> Sampling:
    """How the options want texts drawn. temperature: where they do not say."""
    from xqe.models.engines.requests import Sampling

    chosen = temperature if generation.temperature is None else generation.temperature
    return Sampling(chosen, generation.top_p, generation.top_k, generation.repeat_penalty, generation.seed)
