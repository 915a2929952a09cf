"""What a grid file says, checked: the paper's Table 1 as TOML.

Every key is optional but [[collections]] with its path. What is wrong is told by file and key, before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.evaluation import measures as measure_names
from xqe.evaluation.measures import Measure
from xqe.experiments.grid import pairs as wanted
from xqe.experiments.grid.pairs import Wanted
from xqe.experiments.grid.tables import Json, Table, shown, told_at
from xqe.files import toml
from xqe.files.numbers import GREATEST
from xqe.models.encoders import SENTENCE_TRANSFORMERS
from xqe.models.engines import FAKE, SERVER
from xqe.models.engines.requests import Sampling
from xqe.models.examples import Chooser
from xqe.models.prompts import Template
from xqe.retrieval.choices import GREATEST_WEIGHT, By, Encode, Use
from xqe.stages.judging.choices import Judging
from xqe.stages.librarian.choices import NEARBY
from xqe.stages.presets import Preset
from xqe.stages.rerank.kinds import DOCUMENT_TOKENS, FIRST_WEIGHT, HITS, Asked, Kind, usual_kind
from xqe.stages.strategies import PAPER, PASSAGE_TOKENS, RECIPES, Strategy
from xqe.text.languages import language

BASELINES = ("original", "translation", "human", "source-expansion", "direct")
"""The untranslated query; the translated query alone; the query as people wrote it in the documents' language;
passages in the query's language; passages in the documents' language without a translation step."""
DOCUMENTS = "documents"
"""A baseline that is made only where it is named, since it costs the most: documents that are translated into the
language of the queries, searched with these as they are."""
ORDERS = {"te": "T+E", "et": "E+T"}
BUILTIN, TRAIN = "builtin", "train"
DEFAULT_DEPTH = 1000
_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_+-]*")


class Guidance(StrEnum):
    """What prompts show besides, chosen for each query by the encoder: nothing, the documents that are nearest to it,
    the worked examples of the train split that are, or both."""

    PLAIN = "plain"
    NEARBY = "nearby"
    EXAMPLES = "examples"
    BOTH = "both"

    @property
    def has_nearby(self) -> bool:
        return self in (Guidance.NEARBY, Guidance.BOTH)

    @property
    def has_examples(self) -> bool:
        return self in (Guidance.EXAMPLES, Guidance.BOTH)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of the grid. name: in results. model: as --model takes it. lora: adapters, for the expansion only."""

    name: str
    model: str
    lora: tuple[str, ...] = ()
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """The encoder of the grid. model: as --encoder takes it."""

    model: str
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class CollectionRow:
    """A collection of the grid. pairs: by name or pattern, None for all that are
    judged of two languages. queries: how many are drawn for
    a pair, None for all. drop_self: whether hits with the query's own id are left out; None for what the collection
    says of itself. questions: by the language of documents, a file of them with questions, as `xqe augment` writes
    it."""

    path: Path
    where: str
    split: str
    pairs: tuple[Wanted, ...] | None
    languages: tuple[str, ...] | None
    queries: int | None
    drop_self: bool | None = None
    questions: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuestionsRow:
    """How much the questions of documents count. weights: among words, and shares: among vectors, each above 0 and a
    system of its own. languages: of questions, None for all. systems: patterns of the names of systems, None for
    those without passages."""

    where: str
    weights: tuple[float, ...]
    shares: tuple[float, ...]
    languages: tuple[str, ...] | None
    systems: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class RerankRow:
    """A way to re-rank the hits of systems. name: in results. model: what reads them. depths: how many hits are read, a
    system for each. first_weights: of the first stage's score, a system for each; empty where a kind gives no scores.
    systems: patterns of the names of systems, None for the translated query alone. prompt: a file, None for xqe's own.
    """

    name: str
    where: str
    kind: Kind
    model: ModelRow
    depths: tuple[int, ...]
    first_weights: tuple[float, ...]
    asked: Asked
    document_tokens: int
    systems: tuple[str, ...] | None
    prompt: str | None

    @property
    def template(self) -> Template:
        """Raises XqeError for a file that is no prompt of this kind."""
        return self.kind.template(self.prompt)


@dataclass(frozen=True, slots=True)
class Gate:
    """When a run is a failure. fail_under, max_drop: "MRR=0.30". systems: those that are looked at, None for all."""

    fail_under: tuple[str, ...] = ()
    max_drop: tuple[str, ...] = ()
    systems: tuple[str, ...] | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """All that a grid file says. encoder: None where nothing is encoded. dense_weight: what vectors count in a hybrid
    search, where words count 1; None is automatic. source_weights: of the untranslated query, by words and in a hybrid
    search; None is automatic. guides: of prompts, the first none; nearby: how many documents these show. judges: of
    what is searched with, the first none. presets: whole ways, which heed nothing of the grid but its models and
    retrievers. translations: of each query. raw: as it was written."""

    file: Path
    name: str
    models: tuple[ModelRow, ...]
    collections: tuple[CollectionRow, ...]
    questions: QuestionsRow | None
    rerankers: tuple[RerankRow, ...]
    strategies: tuple[Strategy, ...]
    orders: tuple[str, ...]
    uses: tuple[Use, ...]
    baselines: tuple[str, ...]
    retrievers: tuple[By, ...]
    encoder: EncoderRow | None
    encode: Encode
    dense_weight: float | None
    source_weights: Mapping[By, float | None]
    guides: tuple[Guidance, ...]
    nearby: int
    judges: tuple[Judging | None, ...]
    presets: tuple[Preset, ...]
    query_weights: tuple[float | None, ...]
    samples: tuple[int, ...]
    translations: int
    measures: tuple[Measure, ...]
    rel: int
    depth: int
    sampling: Sampling
    passage_tokens: int
    examples: str
    shots: int | None
    gate: Gate
    raw: Json = field(repr=False)

    def retriever_of(self, preset: Preset) -> By:
        """What a preset is searched by, as xqe search does it where documents have vectors."""
        return preset.choices.by or (By.HYBRID if By.HYBRID in self.retrievers else self.retrievers[0])

    def samples_of(self, strategy: Strategy) -> tuple[int, ...]:
        """How many texts of each kind a strategy has a model write: its own number where the file names none."""
        is_own = "samples" not in self.raw and strategy in RECIPES
        return (strategy.recipe.samples,) if is_own else self.samples

    def sampling_of(self, strategy: Strategy | None) -> Sampling:
        """How the texts of a strategy are drawn, or translations."""
        is_own = "temperature" not in self.raw and strategy in RECIPES
        return replace(self.sampling, temperature=strategy.recipe.temperature) if strategy and is_own else self.sampling

    def tokens_of(self, strategy: Strategy) -> int:
        """The most tokens of a text of a strategy."""
        is_own = "passage_tokens" not in self.raw and strategy in RECIPES
        return strategy.recipe.max_tokens if is_own else self.passage_tokens


def read_grid(path: Path, default_model: str = "tiny", default_encoder: str = "e5-small") -> Grid:
    """Return what a grid file says; where it names no model or encoder, it is the default one.

    Raises InputError that names the file and the key of the first mistake.
    """
    raw = toml.load(path, "give a grid file", "see docs/cli.md, xqe grid")
    return _grid(path, raw, default_model, default_encoder)


def _grid(path: Path, raw: Json, default_model: str, default_encoder: str) -> Grid:
    top = Table(str(path), raw)
    retrievers = tuple(By(by) for by in top.choices("retrievers", list(By), default=[By.BM25]))
    guides = tuple(map(Guidance, top.choices("guides", list(Guidance)[1:], may_be_empty=True, default=[])))
    judges = tuple(map(Judging, top.choices("judges", list(Judging), may_be_empty=True, default=[])))
    encodes = bool(guides or judges)
    _check_effect(path, raw, retrievers, encodes)
    if "nearby" in raw and not any(guide.has_nearby for guide in guides):
        raise InputError(f"{path}: nearby has no effect", 'leave it out, or add "nearby" to guides')
    sampling = Sampling(
        top.number("temperature", 0.0, 0.0),
        top.optional_number("top_p", 0.0, 1.0),
        top.optional_whole("top_k"),
        top.optional_number("repeat_penalty", 1.0),
        top.whole("seed", 0, 0, 2**31 - 1),
    )
    models = _models(path, top.tables("models") or [{"model": default_model}])
    grid = Grid(
        file=path,
        name=top.text("name", path.stem) or path.stem,
        models=models,
        collections=_collections(path, top.tables("collections")),
        questions=_questions(path, top, retrievers),
        rerankers=_rerankers(path, top.tables("rerank"), models),
        strategies=tuple(
            Strategy(s)
            for s in top.choices(
                "strategies", [str(s) for s in Strategy], may_be_empty=True, default=list(map(str, PAPER))
            )
        ),
        orders=tuple(top.choices("orders", list(ORDERS))),
        uses=tuple(Use(u) for u in top.choices("uses", [str(Use.DOC), str(Use.QUERY_DOC)])),
        baselines=tuple(top.choices("baselines", [*BASELINES, DOCUMENTS], may_be_empty=True, default=BASELINES)),
        retrievers=retrievers,
        encoder=_encoder(path, top, default_encoder)
        if encodes or _EFFECTIVE["encoder"].intersection(retrievers)
        else None,
        encode=Encode(top.choice("encode", Encode.BOTH, list(Encode))),
        dense_weight=_weight_from_0(top, "dense_weight", top.take("dense_weight", "auto")),
        source_weights=_source_weights(top),
        guides=(Guidance.PLAIN, *guides),
        nearby=top.whole("nearby", NEARBY, 1),
        judges=(None, *judges),
        presets=_presets(top, retrievers),
        query_weights=tuple(_weight(top, value) for value in top.list_of("query_weights", ["auto"])),
        samples=tuple(_samples(top, value) for value in top.list_of("samples", [1])),
        translations=top.whole("translations", 1, 1),
        measures=_measures(top),
        rel=top.whole("rel", 1, 1),
        depth=top.whole("depth", DEFAULT_DEPTH, 1),
        sampling=sampling,
        passage_tokens=top.whole("passage_tokens", PASSAGE_TOKENS, 1),
        examples=top.choice("examples", BUILTIN, [BUILTIN, TRAIN]),
        shots=top.optional_whole("shots", 0),
        gate=_gate(path, top),
        raw=_public(raw),
    )
    top.done()
    _check_questions(grid)
    grid = replace(grid, rerankers=(*grid.rerankers, *_of_presets(grid)))
    for row in grid.rerankers:
        if max(row.depths) > grid.depth:
            raise InputError(f"{row.where}: n = {max(row.depths)}, and a run has {grid.depth} hits", "see depth")
    if any(max(grid.samples_of(one)) > 1 and not grid.sampling_of(one).temperature for one in grid.strategies):
        raise InputError(f"{path}: samples: at temperature 0 all of them would be the same", "add temperature = 0.7")
    if grid.examples == BUILTIN and grid.shots is not None:
        with told_at(f"{path}: shots"):
            Chooser(None, grid.shots)
    if grid.examples == TRAIN and grid.shots == 0:
        raise InputError(f'{path}: examples = "{TRAIN}" has no effect with shots = 0', "leave one out")
    for collection in grid.collections:
        shows_train = grid.examples == TRAIN or any(guide.has_examples for guide in grid.guides)
        if shows_train and collection.split == TRAIN:
            raise InputError(
                f'{collection.where}.split: "{TRAIN}" is evaluated, and examples of "{TRAIN}" would show the answers',
                'evaluate another split, or take examples = "builtin", and guides without examples',
            )
    return grid


def _models(path: Path, rows: Sequence[Json]) -> tuple[ModelRow, ...]:
    models: dict[str, ModelRow] = {}
    for number, row in enumerate(rows, 1):
        table = Table(f"{path}: models[{number}]", row)
        model = table.text("model")
        lora = tuple(table.texts("lora", []))
        name = table.text("name", _called(model, lora))
        url = table.text("base_url", "") or None
        table.done()
        _check_row(f"{path}: models[{number}]", model, lora, url)
        _check_name(f"{path}: models[{number}]", name)
        if name in models:
            raise InputError(f'{path}: models[{number}]: the name "{name}" again', "give each model a name of its own")
        models[name] = ModelRow(name, _beside(path, model), tuple(_beside(path, one) for one in lora), url)
    return tuple(models.values())


def _rerankers(path: Path, rows: Sequence[Json], models: Sequence[ModelRow]) -> tuple[RerankRow, ...]:
    """The ways to re-rank, each by a model of the grid without its adapters, the first if none is named, or another."""
    named = {row.name: row for row in models}
    found: dict[str, RerankRow] = {}
    for number, raw in enumerate(rows, 1):
        where = f"{path}: rerank[{number}]"
        table = Table(where, raw)
        own = table.text("model", models[0].name)
        url = table.text("base_url", "") or None
        model = named.get(own) if url is None else None
        if model is None:
            _check_server(where, own, url)
            model = ModelRow(_called(own), _beside(path, own), (), url)
        kind = Kind(table.choice("kind", usual_kind(model.model), list(Kind)))
        with told_at(where):
            kind.check_effect({key: key for key in ("first_weight", "prompt") if key in raw})
        name = table.text("name", str(kind) if model == models[0] else f"{kind}-{model.name}")
        _check_name(where, name)
        if name in found:
            raise InputError(f'{where}: the name "{name}" again', "give each way to re-rank a name of its own")
        weights = table.numbers("first_weight", [FIRST_WEIGHT] if kind.gives_scores else [], 0.0, 1.0)
        prompt = table.text("prompt", "")
        found[name] = RerankRow(
            name,
            where,
            kind,
            replace(model, lora=()),
            table.wholes("n", [HITS], 1),
            weights,
            Asked(table.choice("query", Asked.SOURCE, list(Asked))),
            table.whole("document_tokens", DOCUMENT_TOKENS, 1),
            tuple(table.some("systems")) or None,
            _beside(path, prompt) if prompt else None,
        )
        table.done()
    return tuple(found.values())


def _of_presets(grid: Grid) -> Iterator[RerankRow]:
    """How the hits of presets are re-ranked: by the model that translated the query."""
    taken = {row.name for row in grid.rerankers}
    for preset in grid.presets:
        by = grid.retriever_of(preset)
        for model in grid.models if preset.choices.rerank else ():
            where = f"{grid.file}: presets: {preset}"
            if model.lora:
                continue
            name = str(preset) if model == grid.models[0] else f"{preset}-{model.name}"
            if name in taken:
                raise InputError(f'{where}: a way to re-rank has the name "{name}"', "call that one otherwise")
            system = ".".join([model.name, preset, *([by] if by is not By.BM25 else [])])
            depths, weights = (preset.choices.rerank,), (FIRST_WEIGHT,)
            kind, asked = Kind.LIKELIHOOD, Asked.SOURCE
            yield RerankRow(name, where, kind, model, depths, weights, asked, DOCUMENT_TOKENS, (system,), None)


def _called(model: str, lora: Sequence[str] = ()) -> str:
    """The name of a model in results, where its row gives none."""
    name = re.sub(r"[^A-Za-z0-9_+-]+", "-", Path(model.removeprefix(SERVER)).stem).strip("-")
    return f"{name}+{Path(lora[0]).stem}" if lora else name


def _check_row(where: str, model: str, lora: Sequence[str], url: str | None) -> None:
    """Raise InputError for what does not go together in a row."""
    if lora and (model.startswith(SERVER) or model == FAKE):
        raise InputError(f"{where}: lora has no effect on {model}", "leave it out, or give it to the server")
    _check_server(where, model, url)


def _check_server(where: str, model: str, url: str | None) -> None:
    """Raise InputError for a model of a server without its address, and for an address without such a model."""
    is_served = model.startswith(SERVER)
    if url is not None and not is_served:
        raise InputError(f"{where}: base_url without a model of a server", f'write model = "{SERVER}NAME"')
    if is_served and (not url or not _is_address(url)):
        said = "base_url is no address" if url else "base_url is missing"  # which may hold a password
        raise InputError(f"{where}: {said}", 'such as base_url = "http://localhost:8080/v1"')


def _is_address(url: str) -> bool:
    from xqe.models.engines.exchange import shown_url

    with suppress(XqeError):
        return bool(shown_url(url))
    return False


def _public(raw: Json) -> Json:
    """A checked grid file's content, with the addresses of servers as they may be shown."""
    return {**raw, **{key: _row_shown(raw[key]) for key in ("models", "encoder", "rerank") if key in raw}}


def _row_shown(row: Any) -> Any:
    if isinstance(row, list):
        return list(map(_row_shown, row))
    if not isinstance(row, dict) or not row.get("base_url"):
        return row
    from xqe.models.engines.exchange import shown_url

    return {**row, "base_url": shown_url(row["base_url"])}


_EFFECTIVE = {
    "encoder": frozenset({By.DENSE, By.HYBRID}),
    "encode": frozenset({By.DENSE, By.HYBRID}),
    "dense_weight": frozenset({By.HYBRID}),
    "source_weight": frozenset({By.BM25, By.HYBRID}),
}
"""Keys that not every search heeds, and where each has an effect."""


def _check_effect(path: Path, raw: Json, retrievers: Sequence[By], encodes: bool) -> None:
    """Raise InputError for a key that has no effect on any search of the grid. encodes: whether it is guided."""
    for key, where in _EFFECTIVE.items():
        if key == "encoder" and encodes:
            continue
        if key in raw and not where.intersection(retrievers):
            raise InputError(
                f"{path}: {key} has no effect on searches by {' and '.join(retrievers)}",
                f"leave it out, or add {' or '.join(sorted(where))} to retrievers",
            )


def _encoder(path: Path, top: Table, default: str) -> EncoderRow:
    """The encoder: its name, or a table of its name and its server."""
    raw = top.take("encoder", default)
    where = f"{path}: encoder"
    table = Table(where, raw if isinstance(raw, dict) else {"model": raw})
    model, url = table.text("model"), table.text("base_url", "") or None
    table.done()
    _check_server(where, model, url)
    if model in (SERVER, SENTENCE_TRANSFORMERS):
        raise InputError(f"{where}: {model} names no model", f'write "{model}NAME"')
    own = model.removeprefix(SENTENCE_TRANSFORMERS)
    kind = model.removesuffix(own)
    beside = path.parent / Path(own).expanduser()
    return EncoderRow(f"{kind}{beside}" if kind and beside.is_dir() else _beside(path, model), url)


def _beside(grid: Path, name: str) -> str:
    """A file that is named as if from the grid file's folder, and is there, by its path; all else as it is."""
    there = grid.parent / Path(name).expanduser()
    return str(there) if there.is_file() else name


def _collections(path: Path, rows: Sequence[Json]) -> tuple[CollectionRow, ...]:
    if not rows:
        raise InputError(f"{path}: no [[collections]]", 'add [[collections]] with path = "DIR"')
    found = []
    for number, row in enumerate(rows, 1):
        where = f"{path}: collections[{number}]"
        table = Table(where, row)
        pairs = table.some("pairs")
        languages = table.some("languages")
        if pairs and languages:
            raise InputError(f"{where}: both pairs and languages", "languages means all their pairs; give one of them")
        one = CollectionRow(
            path.parent / Path(table.text("path")).expanduser(),
            where,
            table.text("split", "test"),
            wanted.read(where, pairs) or None,
            tuple(language(code, f"{where}.languages").code for code in languages) or None,
            table.optional_whole("queries", 1),
            table.optional_flag("drop_self"),
            _files_of_questions(path, where, table.take("questions", {})),
        )
        table.done()
        found.append(one)
    return tuple(found)


def _files_of_questions(path: Path, where: str, raw: Any) -> dict[str, Path]:
    """The files of documents with questions, by the language of the documents."""
    if not isinstance(raw, dict):
        raise InputError(
            f"{where}: questions is not a table", 'write questions = {en = "FILE"}, as xqe augment made it'
        )
    table = Table(f"{where}.questions", raw)
    files = {language(code, table.where).code: path.parent / Path(table.text(code)).expanduser() for code in raw}
    if len(files) < len(raw):
        raise InputError(f"{table.where} names one language twice", "name each once")
    for file in files.values():
        if not file.is_file():
            what = "is no file" if file.exists() else "no such file"
            raise InputError(f"{table.where}: {file}: {what}", "xqe augment writes documents with questions")
    return files


def _questions(path: Path, top: Table, retrievers: Sequence[By]) -> QuestionsRow | None:
    raw = top.take("questions")
    if raw is None:
        return None
    where = f"{path}: questions"
    if not isinstance(raw, dict):
        raise InputError(f"{where} is not a table", "write [questions]")
    table = Table(where, raw)
    row = QuestionsRow(
        where,
        table.numbers("weights", [], 0.0, GREATEST_WEIGHT),
        table.numbers("shares", [], 0.0, 1.0),
        tuple(language(code, f"{where}.languages").code for code in table.some("languages")) or None,
        tuple(table.some("systems")) or None,
    )
    table.done()
    for key, values, able in (
        ("weights", row.weights, {By.BM25, By.HYBRID}),
        ("shares", row.shares, {By.DENSE, By.HYBRID}),
    ):
        if values and not able.intersection(retrievers):
            raise InputError(
                f"{where}: {key} has no effect on searches by {' and '.join(retrievers)}",
                f"leave it out, or add {' or '.join(sorted(able))} to retrievers",
            )
        if 0.0 in values:
            raise InputError(f"{where}: {key} = 0", "systems in which questions count nothing are there anyway")
    if not row.weights and not row.shares:
        raise InputError(f"{where}: neither weights nor shares", "say how much questions count: shares = [0.1, 0.25]")
    return row


def _check_questions(grid: Grid) -> None:
    """Raise InputError where there are questions that nothing asks for, or the other way round."""
    there = [row for row in grid.collections if row.questions]
    if grid.questions is not None and not there:
        raise InputError(
            f"{grid.questions.where}: no collection has questions", 'add questions = {en = "FILE"} to [[collections]]'
        )
    if grid.questions is None and there:
        raise InputError(f"{there[0].where}: questions have no effect", "add [questions] with weights or shares")


def _gate(path: Path, top: Table) -> Gate:
    raw = top.take("gate", {})
    if not isinstance(raw, dict):
        raise InputError(f"{path}: gate is not a table", "write [gate]")
    table = Table(f"{path}: gate", raw)
    gate = Gate(
        tuple(table.texts("fail_under", [])),
        tuple(table.texts("max_drop", [])),
        tuple(table.some("systems")) or None,
        table.flag("strict"),
    )
    table.done()
    return gate


def _measures(top: Table) -> tuple[Measure, ...]:
    texts = top.texts("measures", list(map(str, measure_names.DEFAULT)))
    return measure_names.parse_all(texts, f"{top.where}: measures")


def _weight(top: Table, value: Any) -> float | None:
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= GREATEST_WEIGHT:
        raise InputError(f"{top.where}: query_weights: {shown(value)} is no weight", 'give "auto" or a number above 0')
    return float(value)


def _presets(top: Table, retrievers: Sequence[By]) -> tuple[Preset, ...]:
    presets = tuple(map(Preset, top.choices("presets", [*Preset], may_be_empty=True, default=())))
    for preset in presets:
        by = preset.choices.by
        if by is not None and by not in retrievers:
            raise InputError(f"{top.where}: presets: {preset} searches by {by}", f"add {by} to retrievers")
    return presets


def _source_weights(top: Table) -> dict[By, float | None]:
    """Where none is given, words alone search with the translation alone, as the paper's do."""
    value = top.take("source_weight", None)
    if value is None:
        return {By.BM25: 0.0, By.HYBRID: None}
    return dict.fromkeys((By.BM25, By.HYBRID), _weight_from_0(top, "source_weight", value))


def _weight_from_0(top: Table, key: str, value: Any) -> float | None:
    """None where it is automatic."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= GREATEST_WEIGHT:
        raise InputError(f"{top.where}: {key}: {shown(value)} is no weight", 'give "auto" or a number from 0')
    return float(value)


def _samples(top: Table, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= GREATEST:
        raise InputError(f"{top.where}: samples: {shown(value)} is no number of passages", "give whole numbers from 1")
    return value


def _check_name(where: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(f'{where}: the name "{name}" cannot be part of a file name', "use letters, digits, - _ +")
