"""From options to what guides a generating command by an encoder: what it shows a model, and what judges its texts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.options.guiding import Choosing, Guiding
from xqe.commands.searching import names_encoder
from xqe.commands.streams import Queries
from xqe.errors import XqeError
from xqe.stages.librarian.choices import NEARBY
from xqe.text.languages import Language, name_of

if TYPE_CHECKING:
    from xqe.commands.options.encoding import Encoding
    from xqe.files.records import Record
    from xqe.models.encoders.base import Encoder
    from xqe.models.engines.base import Engine
    from xqe.stages.generation import Generating, Tally
    from xqe.stages.judging.choices import Judging
    from xqe.stages.judging.judge import Judge
    from xqe.stages.librarian.guide import Guide
    from xqe.stages.librarian.nearby import Nearby


@dataclass(frozen=True, slots=True)
class Guided:
    """What guides a command. guide: None where it shows nothing chosen. judge: None where nothing is judged."""

    guide: Guide | None = None
    judge: Judge | None = None

    def over(self, stage: Generating, engine: Engine, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        """Run a stage over records, as `generation.run` does, which are looked at ahead, and judged then."""
        from xqe.stages.generation import run

        if self.guide is not None:
            records = self.guide.ahead(records)
        done = run(stage, engine, records, tally)
        if self.judge is None:
            yield from done
            return
        yield from self.judge.over(done)
        tally.failed += self.judge.failed


def check_guiding(options: Guiding, encoding: Encoding, has_examples: bool) -> None:
    """Raise XqeError for options that have no effect, before anything is opened."""
    if options.index is None:
        for option, given in (("--nearby", options.nearby is not None), ("--drop-self", options.drop_self)):
            if given:
                raise XqeError(f"{option} has no effect without --index", "add --index DIR, or leave it out")
    if options.choose is Choosing.NEAREST and not has_examples:
        raise XqeError(
            f"--choose {options.choose} has no effect without --examples", "there are but five built-in ones"
        )
    if names_encoder(encoding) and not _encodes(options):
        raise XqeError("--encoder has no effect: nothing is encoded", "add --judge, --index or --choose nearest")


def _encodes(options: Guiding) -> bool:
    return options.index is not None or options.judge is not None or options.choose is Choosing.NEAREST


@contextmanager
def open_guide(
    options: Guiding, encoding: Encoding, field: str, written: Language | None = None, threads: int | None = None
) -> Iterator[Guided]:
    """Open the encoder that the options need, that of the index where there is one, and what guides with it.

    field: of a worked example, what is held to the query. written: the language that documents have to be in, None for
    any.
    """
    if not _encodes(options):
        yield Guided()
        return
    from xqe.commands.encoding import open_encoder
    from xqe.models.encoders.remembering import Remembering
    from xqe.stages.librarian.choosing import Choice
    from xqe.stages.librarian.guide import Guide

    with ExitStack() as stack:
        nearby: Nearby | None = None
        encoder: Encoder
        if options.index is not None:
            nearby, encoder = _open_nearby(options, options.index, encoding, written, threads, stack)
        else:
            encoder = stack.enter_context(Remembering(open_encoder(encoding)))
        choice = Choice(encoder, field) if options.choose is Choosing.NEAREST else None
        guide = Guide(choice, nearby) if choice is not None or nearby is not None else None
        judge = stack.enter_context(open_judge(options.judge, encoding, encoder))
        yield Guided(guide, judge)


@contextmanager
def open_judge(judging: Judging | None, encoding: Encoding, encoder: Encoder | None = None) -> Iterator[Judge | None]:
    """What judges texts, None where nothing is to. encoder: one that is open already; None for the one of the options,
    which is opened."""
    from xqe.commands.encoding import open_encoder
    from xqe.stages.judging.judge import Judge

    if judging is None:
        yield None
    elif encoder is not None:
        yield Judge(encoder, judging)
    else:
        with open_encoder(encoding) as own:
            yield Judge(own, judging)


class JudgedQueries:
    """Records as they arrive, judged. place: where the one that was read last came from."""

    def __init__(self, queries: Queries, judge: Judge | None) -> None:
        self._queries, self._judge = queries, judge
        self.total, self.place = queries.total, ""

    def __iter__(self) -> Iterator[Record]:
        places: deque[str] = deque()

        def read() -> Iterator[Record]:
            for record in self._queries:
                places.append(self._queries.place)
                yield record

        for record in self._judge.over(read()) if self._judge is not None else read():
            self.place = places.popleft()
            yield record


@contextmanager
def open_nearby(
    nearby: int | None, directories: Sequence[Path], drop_self: bool, encoding: Encoding, written: Language | None
) -> Iterator[Guide | None]:
    """What shows so many documents of the index that a command searches anyway; None for none."""
    if nearby is None:
        yield None
        return
    if len(directories) > 1:
        raise XqeError("--nearby shows documents of one index", "name one, or leave it out")
    options = Guiding(index=directories[0], nearby=nearby, drop_self=drop_self)
    with open_guide(options, encoding, "query", written) as guided:
        yield guided.guide


def _open_nearby(
    options: Guiding,
    directory: Path,
    encoding: Encoding,
    written: Language | None,
    threads: int | None,
    stack: ExitStack,
) -> tuple[Nearby, Encoder]:
    """What finds documents of an index to show, and the encoder of its vectors."""
    from xqe.commands.encoding import encoder_for
    from xqe.models.encoders.remembering import Remembering
    from xqe.retrieval.dense import open_vectors
    from xqe.retrieval.lexical import open_index
    from xqe.retrieval.nearest import Dense
    from xqe.stages.librarian.nearby import Nearby

    folder = _folder(directory, written)
    index = open_index(folder)
    if not index.documents.has_texts:
        raise XqeError(f"{folder}: the index keeps no texts", "build it without --no-texts")
    vectors = open_vectors(folder, index.documents, encoding.encoder, threads)
    encoder = stack.enter_context(Remembering(encoder_for(folder, vectors.description, encoding)))
    code = index.manifest.language
    dense: Dense = Dense(index.name, code, index.documents, vectors, encoder)
    return Nearby(dense, index.name, code, options.nearby or NEARBY, options.drop_self), encoder


def _folder(directory: Path, written: Language | None) -> Path:
    """The folder of the index, of several languages the one that is asked for."""
    from xqe.commands.searching import by_language

    folders: dict[str, Any] = by_language([directory])
    there = ", ".join(map(name_of, folders))
    if written is not None and written.code not in folders:
        raise XqeError(
            f"{directory}: its documents are in {there}, and what is written is in {written.name}",
            f"--index shows how things are called there: name an index of {written.name} documents",
        )
    if written is None and len(folders) > 1:
        raise XqeError(f"{directory}: is of several languages ({there})", f"name one of them: {directory}/LANG")
    [folder] = folders[written.code] if written is not None else next(iter(folders.values()))
    return Path(folder)
