"""Models that stay open between calls, and how a step is run on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from xqe.api.options import Options
from xqe.commands.generating import Over, keeping, open_engine, open_store
from xqe.commands.options.generation import DRAWN, Generation
from xqe.errors import XqeError
from xqe.messages import progress, say, silent

if TYPE_CHECKING:
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.generation import Generating

OPENED_WITH = frozenset(field.name for field in fields(Generation)) - {*DRAWN, "show_prompt", "quiet"}
"""What a model is opened with. How a text is drawn is each call's own."""


class Model:
    """A model that is open, and the store of what it has written. Use as a context manager, or close it.

    name: as it was asked for, None for the usual one. reranks: whether it is a cross-encoder, which re-ranks and writes
    nothing.
    """

    def __init__(self, generation: Generation) -> None:
        from xqe.commands.ranking import check_model, open_reranker
        from xqe.stages.rerank.kinds import Kind, usual_kind

        self.name, self.generation = generation.model, generation
        self.reranks = usual_kind(generation.model) is Kind.CROSS
        with ExitStack() as stack:
            store = stack.enter_context(open_store(generation))
            if self.reranks:
                check_model(Kind.CROSS, generation)
                engine = open_reranker(Kind.CROSS, generation)
            else:
                engine = open_engine(generation)
            self._engine: Engine = keeping(stack.enter_context(engine), store)
            self._opened = stack.pop_all()
        self._is_open = True

    @property
    def engine(self) -> Engine:
        if not self._is_open:
            raise XqeError(f"the model {self} is closed", "open it anew, or use it within its with block")
        return self._engine

    def close(self) -> None:
        self._is_open = False
        self._opened.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self._engine.name)

    def __repr__(self) -> str:
        return f"<xqe model {self}{'' if self._is_open else ', closed'}>"


def open_model(name: str | None = None, *, store: str | None = None, quiet: bool = False, **options: Any) -> Model:
    """Load a model once, for many calls.

    name: of `xqe models list`, a GGUF file, openai:NAME with base_url, "fake"; without one XQE_MODEL, else "tiny".
    store: the file of finished generations, by default xqe's own; no_store=True for none. Other options are those of
    xqe translate about the model, the machine, the server and the store: lora, threads, gpu_layers, ctx, batch,
    base_url, api, timeout … A re-ranker can be opened, too, for `rerank`. Raises XqeError.

        with xqe.open_model("tiny", threads=4) as model:
            xqe.translate("nom du mercure", "en", lang="fr", model=model)
    """
    for drawn in DRAWN:
        if drawn in options:
            raise XqeError(f"{drawn} is no option of a model, but of each call", f"give it to translate: {drawn}=")
    with silent(quiet):
        said = Options("translate", {"model": name, "store": store, **options}, only=OPENED_WITH)
        return Model(said.group(Generation))


def generation_of(model: Model | str | None, options: Options) -> Generation:
    """How texts are generated. Raises XqeError for an option of a model that is open already."""
    asked = options.group(Generation)
    if not isinstance(model, Model):
        return asked
    if late := sorted(options.given & OPENED_WITH - {"model"}):
        raise XqeError(f"{late[0]} has no effect on a model that is open", f"give it to open_model: {late[0]}=")
    return replace(model.generation, **{name: getattr(asked, name) for name in DRAWN})


def named(model: Model | str | None) -> str | None:
    """What the option of a command would say of a model."""
    return model.name if isinstance(model, Model) else model


@contextmanager
def _running(
    model: Model | str | None, generation: Generation, opening: Callable[[Generation], Engine]
) -> Iterator[Engine]:
    if isinstance(model, Model):
        yield model.engine
        return
    with open_store(generation) as store, opening(generation) as engine:
        yield keeping(engine, store)


def done(
    records: Sequence[Record],
    model: Model | str | None,
    generation: Generation,
    make: Callable[[Engine], Generating],
    over: Over | None = None,
    scores: bool = False,
    opening: Callable[[Generation], Engine] = open_engine,
    is_cross: bool = False,
) -> list[Record]:
    """The records after the stage that `make` builds for the engine; as `commands.generating.run_stage`, which writes
    them. is_cross: whether it needs a cross-encoder. No model is loaded for no records."""
    from xqe.stages.generation import Tally, run

    if not records:
        return []
    if isinstance(model, Model) and model.reranks != is_cross:
        does = "re-ranks, and writes nothing" if model.reranks else "writes, and is no re-ranker"
        raise XqeError(f"{model} {does}", "open another model for this step")
    tally = Tally(scores)
    with _running(model, generation, opening) as engine:
        stage = make(engine)
        try:
            return list(progress((over or run)(stage, engine, iter(records), tally), len(records), stage.name))
        finally:
            say(f"{stage.name}: {tally.line()}")
