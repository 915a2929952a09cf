"""The generating steps that options ask for, the same for every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xqe.commands.options.lists import language_codes
from xqe.errors import XqeError
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.commands.options.augmenting import Augmenting
    from xqe.commands.options.generation import Generation
    from xqe.commands.options.steps import Expansion
    from xqe.models.engines.base import Engine
    from xqe.models.engines.requests import Sampling
    from xqe.stages.augment.augment import Augment
    from xqe.stages.augment.consistency import Consistency
    from xqe.stages.expand import Expand
    from xqe.stages.strategies import Strategy
    from xqe.stages.translate import Translate
    from xqe.stages.translate_documents import TranslateDocuments


def translation(
    to: str, generation: Generation, max_tokens: int | None, samples: int = 1
) -> Callable[[Engine], Translate]:
    """What makes the stage for an engine. Raises XqeError for an unknown language."""
    from xqe.stages.translate import Translate

    target, sampling = language(to, "--to"), sampling_of(generation)
    return lambda engine: Translate(engine, target, sampling, max_tokens, samples)


def document_translation(
    to: str, generation: Generation, max_tokens: int | None
) -> Callable[[Engine], TranslateDocuments]:
    """What makes the stage for an engine. Raises XqeError for an unknown language, and a limit that is too low."""
    from xqe.stages.translate_documents import TranslateDocuments, check_limit

    target, sampling = language(to, "--to"), sampling_of(generation)
    check_limit(max_tokens)
    return lambda engine: TranslateDocuments(engine, target, sampling, max_tokens)


def expansion(
    strategy: Strategy, options: Expansion, generation: Generation, max_tokens: int, to: str | None = None
) -> Callable[[Engine], Expand]:
    """What makes the stage for an engine; the files that the options name are read and checked now."""
    from xqe.models import prompts
    from xqe.models.examples import Chooser
    from xqe.stages.expand import Expand

    target = language(to, "--to") if to is not None else None
    template = prompts.load(options.prompt, "expand") if options.prompt is not None else strategy.template
    choose = None
    if options.examples is not None or options.shots is not None:
        shots = template.shots if options.shots is None else options.shots
        choose = Chooser(options.examples, shots, generation.seed)
    if target is not None:
        template.across()
        if choose is not None:
            choose.require_passages_in(target)
    sampling = sampling_of(generation)
    return lambda engine: Expand(engine, template, choose, options.samples, sampling, max_tokens, target)


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


def sampling_of(generation: Generation) -> Sampling:
    """How the options want texts drawn."""
    from xqe.models.engines.requests import Sampling

    return Sampling(
        generation.temperature, generation.top_p, generation.top_k, generation.repeat_penalty, generation.seed
    )
