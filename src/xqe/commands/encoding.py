"""What the encoding commands share: opening the encoder that is asked for, or the one that vectors were made by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from xqe.commands.spreading import check_placed, encoder_on_workers, refuse_placed
from xqe.errors import InputError, XqeError
from xqe.messages import say
from xqe.models.encoders import SENTENCE_TRANSFORMERS
from xqe.models.engines import FAKE, SERVER
from xqe.models.registry import DEFAULT_ENCODER

if TYPE_CHECKING:
    from xqe.cluster.opened import Make
    from xqe.cluster.shares import Share
    from xqe.commands.options.encoding import Encoding
    from xqe.models.encoders.base import Encoder

# Options that some encoders have no use for. Those that a variable of the environment gives are not here: it is set
# once, for models of all kinds.
_SPELLINGS = {
    "pooling": "--pooling",
    "query_prefix": "--query-prefix",
    "passage_prefix": "--passage-prefix",
    "limit": "--max-text-tokens",
    "runtime": "--runtime",
    "encode_batch": "--encode-batch",
}
_OF_A_CONTRACT = ("pooling", "query_prefix", "passage_prefix", "limit")
_SHOWN = 12  # characters of a hash


class Made(Protocol):
    """What is kept beside vectors about how they were made. encoder: the name of the encoder; contract: its Contract,
    as JSON; making: how it was run."""

    @property
    def encoder(self) -> str: ...

    @property
    def contract(self) -> Mapping[str, Any]: ...

    @property
    def making(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class _Kind:
    """Encoders that are opened alike. takes: which options of _SPELLINGS have an effect. open: from what follows the
    beginning of the name, and the options."""

    called: str
    takes: frozenset[str]
    open: Callable[[str, Encoding], Encoder]


def open_encoder(options: Encoding) -> Encoder:
    """The encoder that --encoder names. Raises XqeError for what does not go together, before anything is loaded."""
    name = options.encoder
    if name is None:
        if options.base_url is not None:
            raise XqeError("--base-url names a server but no encoder of it", f"add --encoder {SERVER}NAME")
        name = DEFAULT_ENCODER
        announce_default()
    check_placed(options)
    kind, rest = _kind(name)
    for option, spelling in _SPELLINGS.items():
        if option not in kind.takes and getattr(options, option) != _default(options, option):
            raise XqeError(f"{spelling} has no effect on {kind.called}", "leave it out")
    return kind.open(rest, options)


def can_be_cut(options: Encoding) -> bool:
    """Whether the encoder that --encoder names can be told how many tokens of a text count."""
    kind, _ = _kind(options.encoder or DEFAULT_ENCODER)
    return "limit" in kind.takes


def encoder_for(place: object, made: Made, options: Encoding) -> Encoder:
    """The encoder that made the vectors in a place, for queries to be compared with them.

    Its name and its contract are those of then, unless options give others; what queries begin with may differ, as no
    vector there depends on it. Raises InputError where it would make other vectors now.
    """
    name = options.encoder or made.encoder
    kind, _ = _kind(name)
    kept = {
        option: made.contract[option]
        for option in _OF_A_CONTRACT
        if option in kind.takes and getattr(options, option) is None
    }
    encoder = open_encoder(replace(options, encoder=name, **kept))
    try:
        check_made(place, made, encoder)
    except XqeError:
        encoder.close()
        raise
    return encoder


@cache
def announce_default() -> None:
    """Say, once in a process, that no encoder was configured and which one is used."""
    say(f'no --encoder and no XQE_ENCODER: using "{DEFAULT_ENCODER}"; see xqe models list for others')


def check_made(place: object, made: Made, encoder: Encoder) -> None:
    """Raise InputError unless an encoder makes the vectors that are in a place."""
    now = encoder.contract.as_json()
    differing = [
        f"{field} {_brief(made.contract.get(field))}, now {_brief(value)}"
        for field, value in now.items()
        if field != "query_prefix" and made.contract.get(field) != value
    ]
    then, current = made.making.get("listed"), encoder.making().get("listed")  # by servers that tell their model
    if then and current and then != current:
        differing.append(f"{_brief(then)}, now {_brief(current)}")
    if differing:
        hint = "give the encoder and the options that they were made with, or make them anew"
        if encoder.name != made.encoder:
            hint = f"leave out --encoder and XQE_ENCODER to search with {made.encoder}, or make them anew"
        raise InputError(
            f"{place}: its vectors of {made.encoder} were made by another encoder ({'; '.join(differing)})", hint
        )


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text[:_SHOWN]}" if key == "sha256" else str(text) for key, text in value.items())
    return f'"{value}"' if isinstance(value, str) else str(value)


def _default(options: Encoding, name: str) -> Any:
    return next(field.default for field in fields(options) if field.name == name)


def _kind(name: str) -> tuple[_Kind, str]:
    """The kind of an encoder, and its name without what tells the kind."""
    for beginning, kind in _KINDS.items():
        if name.startswith(beginning) if beginning.endswith(":") else name == beginning:
            return kind, name.removeprefix(beginning)
    return _LOCAL, name


def _fake(_: str, options: Encoding) -> Encoder:
    from xqe.models.encoders.fake import FakeEncoder

    if options.on is not None:
        return encoder_on_workers(options, _anywhere(lambda share: FakeEncoder), uses_gpus=False)
    return FakeEncoder()


def _anywhere(make: Callable[[Share], Callable[[], Encoder]]) -> Callable[[Share], Make]:
    """What opens an encoder without a file of ours in a worker."""
    from xqe.models.away import any_encoder

    return lambda share: partial(any_encoder, make(share))


def _served(name: str, options: Encoding) -> Encoder:
    refuse_placed(options, "the encoder of a server", "leave it out: a server shares out requests by itself")
    if options.base_url is None:
        raise XqeError(
            f"--encoder {SERVER}{name} names no server", "add --base-url URL, such as http://localhost:8080/v1"
        )
    if not name:
        raise XqeError(f"--encoder {SERVER} names no model", f"give --encoder {SERVER}NAME")
    from xqe.models.encoders.openai import OpenAIEncoder, Settings

    settings = Settings(options.base_url, options.encode_batch, options.timeout, options.retries, options.verbose)
    return OpenAIEncoder(name, settings, options.query_prefix, options.passage_prefix)


def _sentence_transformers(name: str, options: Encoding) -> Encoder:
    if not name:
        raise XqeError(f"--encoder {SENTENCE_TRANSFORMERS} names no model", "give a folder, or a name of the hub")
    from xqe.models.encoders.sentence_transformers import SentenceTransformersEncoder

    asked = (name, options.query_prefix, options.passage_prefix, options.limit, options.encode_batch)
    if options.on is not None:
        return encoder_on_workers(
            options, _anywhere(lambda share: partial(SentenceTransformersEncoder, *asked, threads=share.cpus))
        )
    return SentenceTransformersEncoder(*asked, options.threads)


def _local(name: str, options: Encoding) -> Encoder:
    from xqe.models.encoders.local import ONNX, find_encoder
    from xqe.models.engines.llama.settings import Hardware

    hardware = Hardware(threads=options.threads, gpu_layers=options.gpu_layers, verbose=options.verbose)
    pooling = None if options.pooling is None else str(options.pooling)
    asked = (pooling, options.query_prefix, options.passage_prefix, options.limit, str(options.runtime))
    found = find_encoder(name, *asked)
    if options.on is not None:
        from xqe.models.away import making_encoder

        return encoder_on_workers(options, partial(making_encoder, found, hardware), found.runtime != ONNX)
    return found.open(hardware)


_PREFIXES = frozenset({"query_prefix", "passage_prefix"})
_LOCAL = _Kind("an encoder in this process", frozenset({"pooling", "limit", "runtime"}) | _PREFIXES, _local)
_KINDS = {
    FAKE: _Kind("the fake encoder", frozenset(), _fake),
    SERVER: _Kind("the encoder of a server", frozenset({"encode_batch"}) | _PREFIXES, _served),
    SENTENCE_TRANSFORMERS: _Kind(
        "an encoder of sentence-transformers", frozenset({"limit", "encode_batch"}) | _PREFIXES, _sentence_transformers
    ),
}
"""By what the name of an encoder begins with, or is."""
