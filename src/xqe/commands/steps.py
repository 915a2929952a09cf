"""The generating steps that options ask for, the same for every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from xqe.commands.options.lists import language_codes
from xqe.errors import XqeError
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.commands.options.augmenting import Augmenting
    from xqe.commands.options.generation import Generation
    from xqe.commands.options.steps import Expansion, Worked
    from xqe.models.engines.base import Engine
    from xqe.models.engines.requests import Sampling
    from xqe.stages.augment.augment import Augment
    from xqe.stages.augment.consistency import Consistency
    from xqe.stages.expand import Expand
    from xqe.stages.librarian.guide import Guide
    from xqe.stages.strategies import Strategy
    from xqe.stages.translate import Translate
    from xqe.stages.translate_documents import TranslateDocuments


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
    strategy: Strategy, options: Expansion, generation: Generation, max_tokens: int, to: str | None = None
) -> Make[Expand]:
    """What makes the stage; the files that the options name are read and checked now."""
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

    def make(engine: Engine, guide: Guide | None = None) -> Expand:
        return Expand(engine, template, choose, options.samples, sampling, max_tokens, target, guide=guide)

    return make


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
