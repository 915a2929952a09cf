"""Steps that a model does: translating and expanding queries."""

from __future__ import annotations

from typing import Any, overload

from xqe.api.models import Model, done, generation_of, named
from xqe.api.options import Options
from xqe.api.records import Many, One, answered, queries
from xqe.commands import steps
from xqe.commands.guiding import check_guiding, open_guide
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.guiding import Guiding
from xqe.commands.options.steps import Expansion, Worked
from xqe.files.records import Record
from xqe.messages import silent
from xqe.text.languages import language


@overload
def translate(
    queries: One,
    to: str,
    *,
    lang: str | None = ...,
    model: Model | str | None = ...,
    samples: int | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> Record: ...
@overload
def translate(
    queries: Many,
    to: str,
    *,
    lang: str | None = ...,
    model: Model | str | None = ...,
    samples: int | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> list[Record]: ...
def translate(
    queries: One | Many,
    to: str,
    *,
    lang: str | None = None,
    model: Model | str | None = None,
    samples: int | None = None,
    quiet: bool = False,
    **options: Any,
) -> Record | list[Record]:
    """Translate queries, and their passages where they have any, as `xqe translate` does.

    queries: a text or a record, for which a record is returned, or several, for which a list is. to: a language, "en".
    lang: of queries that name none ("auto" tells it from each text). model: one of `open_model`, or a name; a name is
    loaded for this call alone. samples: translations of each query, of which "translations" has those that differ.
    Other options are those of the command: max_tokens, examples, shots, index, judge, temperature, seed … quiet: say
    nothing on standard error.

    A record has "query", "lang" and perhaps "passages" in the new language, "source" as they first came, "steps", and
    "error" where it could not be done. Raises XqeError for what a command would end with status 2 for.
    """
    with silent(quiet):
        said = Options(
            "translate", {"to": to, "model": named(model), "samples": samples, **options}, ("documents", "from")
        )
        generation, guiding, worked = generation_of(model, said), said.group(Guiding), said.group(Worked)
        encoding = beside(said.group(Encoding), generation)
        check_guiding(guiding, encoding, worked.examples is not None)
        make = steps.translation(to, generation, said["max_tokens"], said["samples"], worked)
        records = _queries(queries, lang)
        with open_guide(guiding, encoding, "source", language(to), generation.threads) as guided:
            out = done(records, model, generation, lambda engine: make(engine, guided.guide), guided.over)
        return answered(out, queries)


@overload
def expand(
    queries: One,
    *,
    strategy: str | None = ...,
    lang: str | None = ...,
    to: str | None = ...,
    model: Model | str | None = ...,
    samples: int | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> Record: ...
@overload
def expand(
    queries: Many,
    *,
    strategy: str | None = ...,
    lang: str | None = ...,
    to: str | None = ...,
    model: Model | str | None = ...,
    samples: int | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> list[Record]: ...
def expand(
    queries: One | Many,
    *,
    strategy: str | None = None,
    lang: str | None = None,
    to: str | None = None,
    model: Model | str | None = None,
    samples: int | None = None,
    quiet: bool = False,
    **options: Any,
) -> Record | list[Record]:
    """Write passages that could answer each query, as `xqe expand` does.

    queries, lang, model, quiet: as of `translate`. strategy: of `xqe strategies`, the paper's zeroshot if none is
    named. to: a language to write the passages in, with no translation. samples: passages of each query. Other options
    are those of the command: max_tokens, prompt, examples, shots, index, judge, temperature, seed …

    A record has "passages", a list of texts, and perhaps "combine", by which `search` heeds the strategy; "error" where
    it could not be done. A strategy that reads documents wants hits with texts: `search` with k=10, texts=True.
    """
    with silent(quiet):
        said = Options(
            "expand",
            {"strategy": strategy, "to": to, "model": named(model), "samples": samples, **options},
            ("lang",),
        )
        generation, guiding, expansion = generation_of(model, said), said.group(Guiding), said.group(Expansion)
        encoding = beside(said.group(Encoding), generation)
        check_guiding(guiding, encoding, expansion.examples is not None)
        chosen = said["strategy"]
        make = steps.expansion(chosen, expansion, generation, said["max_tokens"], to)
        records = _queries(queries, lang, steps.hits_check(chosen, expansion))
        written = language(to) if to is not None else None
        with open_guide(guiding, encoding, "query", written, generation.threads) as guided:
            out = done(records, model, generation, lambda engine: make(engine, guided.guide), guided.over)
        return answered(out, queries)


def _queries(given: One | Many, lang: str | None, check: Any = None) -> list[Record]:
    return queries(given, lang, spoken=True, check=check)
