"""A training run as a whole: pairs and a base in, a folder with an adapter in both forms and its record out.

    adapter_model.safetensors, adapter_config.json     the adapter, as peft has it
    adapter.gguf                                       the same for llama.cpp: xqe expand --lora
    training.json                                      the record: what it was made from, how, and what came of it
    checkpoints/                                       while the run is not at its end

Every file is whole or not there. The record is written when the run begins, which marks the folder, and at its end.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xqe import __version__
from xqe.errors import InputError, XqeError, why
from xqe.files.atomic import remove_parts, replace
from xqe.files.hashes import sha256
from xqe.files.locks import held
from xqe.files.times import now
from xqe.messages import plural
from xqe.training import adapters, training
from xqe.training.base import Base
from xqe.training.library import versions
from xqe.training.pairs import TRAIN, VALIDATION, Pair
from xqe.training.settings import Settings
from xqe.training.tokenizing import Encoded, Tokenizer, encode, open_tokenizer
from xqe.training.training import Step, Trained

RECORD, LOCK, GGUF = "training.json", "training.lock", "adapter.gguf"
_IN_ONE_PIECE = re.compile("|".join(map(re.escape, (RECORD, GGUF, *training.ADAPTER_FILES))))
_FORMAT = 1
_RUNNING, _DONE = "running", "done"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Data:
    """Pairs as tokens. files: path, sha256 and number of pairs of each file. long: how many were left out for their
    length."""

    train: list[Encoded]
    validation: list[Encoded]
    files: list[Json]
    long: int

    def json(self) -> Json:
        learnt = sum(len(pair.answer) for pair in self.train)
        read = sum(len(pair.prompt) for pair in self.train)
        return {
            "files": self.files,
            "train": len(self.train),
            "validation": len(self.validation),
            "left_out_for_length": self.long,
            "tokens_of_prompts": read,
            "tokens_learnt": learnt,
        }


def encoded(pairs: Sequence[Pair], files: Sequence[str], tokenizer: Tokenizer, settings: Settings) -> Data:
    """Encode the pairs of files. Raises InputError where none is short enough."""
    kept: dict[str, list[Encoded]] = {TRAIN: [], VALIDATION: []}
    counts = Counter(pair.where.rpartition(":")[0] for pair in pairs)
    for pair in pairs:
        tokens = encode(pair, tokenizer)
        if len(tokens) <= settings.max_length:
            kept[pair.split].append(tokens)
    if not kept[TRAIN]:
        raise InputError(
            f"{', '.join(files)}: every pair is longer than {settings.max_length} tokens", "raise --max-length"
        )
    described = [{"file": path, "sha256": sha256(Path(path)), "pairs": counts[path]} for path in files]
    return Data(kept[TRAIN], kept[VALIDATION], described, len(pairs) - sum(map(len, kept.values())))


def check_folder(folder: Path, resume: bool, force: bool) -> None:
    """Raise XqeError unless a run may write to this folder: what is asked before anything is read."""
    if folder.exists() and not folder.is_dir():
        raise XqeError(f"{folder}: is a file", "give a folder to --out")
    said = record_of(folder)
    holds = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if LOCK in holds:  # of a run that was refused, or killed before it began
        holds -= {LOCK, training.CHECKPOINTS}
    if said is not None and not {"format", "base", "settings"} <= said.keys():
        raise XqeError(f"{folder / RECORD}: not the record of a training run", "give another folder")
    if (folder / training.CHECKPOINTS).is_symlink():
        raise XqeError(
            f"{folder / training.CHECKPOINTS}: is a link, behind which nothing is removed", "give another folder"
        )
    if said is None and holds:
        raise XqeError(f"{folder}: holds other files, so it is not the folder of a training run", "give another folder")
    if said is not None and not resume and not force:
        what = "an adapter" if said.get("state") == _DONE else "a run that is not at its end"
        way = "" if said.get("state") == _DONE else "go on with it by --resume, "
        raise XqeError(f"{folder}: holds {what}", f"{way}begin anew with --force, or give another folder")


def record_of(folder: Path) -> Json | None:
    """The record in a folder; None where there is none. Raises InputError for a damaged one."""
    path = folder / RECORD
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "begin anew in another folder") from None
    return said if isinstance(said, dict) else {}


def train(
    base: Base,
    pairs: Sequence[Pair],
    files: Sequence[str],
    settings: Settings,
    folder: Path,
    force: bool,
    on_step: Callable[[Step, int], None],
    tell: Callable[[str], None] = lambda _text: None,
) -> Json:
    """Train in a folder that `check_folder` has allowed, going on with what is there unless `force`; return the record.

    files: where the pairs are from, whose hashes are recorded. tell: called with what is trained on, in a line, once
    nothing speaks against the run; only then the folder is its.
    Raises XqeError for what cannot be trained, as early as it is known, and for a run that was begun with other data,
    another base or other settings.
    """
    tokenizer = open_tokenizer(base)
    try:
        data = encoded(pairs, files, tokenizer, settings)
    finally:
        tokenizer.close()
    begun = {
        "format": _FORMAT,
        "xqe": __version__,
        "base": {"name": base.name, "kind": base.kind.value, "place": base.place, "sha256": base.hashes()},
        "data": data.json(),
        "settings": settings.json(),
    }
    with held(folder / LOCK, "training here"):
        remove_parts(folder, _IN_ONE_PIECE)
        before = None if force else record_of(folder)
        if before is not None:
            _check_same(before, begun, settings, folder)
            if before.get("state") == _DONE:
                return before
        elif (folder / training.CHECKPOINTS).exists():
            shutil.rmtree(folder / training.CHECKPOINTS)
        started = (before or {}).get("started") or now()

        def begin(fresh: Path) -> None:
            _check_export(base, fresh)
            if before is None:
                for name in (*training.ADAPTER_FILES, GGUF):
                    (folder / name).unlink(missing_ok=True)  # of the run that was here
            _write(folder, {**begun, "state": _RUNNING, "started": started})
            tell(describe(data.json()))

        trained = training.run(base, data.train, data.validation, settings, folder, begin, on_step)
        record = {**begun, "state": _DONE, "started": started, **_came_of(trained)}
        record["files"] = _exported(base, folder)
        _write(folder, record)
        shutil.rmtree(folder / training.CHECKPOINTS)
    return record


def _check_same(before: Json, begun: Json, settings: Settings, folder: Path) -> None:
    """Raise XqeError if the run in the folder was begun with anything else that decides what is learnt."""
    parts = {
        "the base": [_identity(said.get("base", {})) for said in (before, begun)],
        "the data": [_contents(said.get("data", {})) for said in (before, begun)],
    }
    for name, (old, new) in parts.items():
        if old != new:
            raise XqeError(f"{folder}: was begun with other contents of {name}", "begin anew with --force")
    for name, new in settings.deciding().items():
        old = before.get("settings", {}).get(name)
        if (tuple(old) if isinstance(old, list) else old) != new:
            raise XqeError(
                f"{folder}: was begun with {name.replace('_', ' ')} {old}, not {new}",
                "give the same options, or begin anew with --force",
            )


def _identity(base: Json) -> Any:
    """What a base is known by: its hashes, or its name on the hub, whose files are not hashed."""
    return base.get("sha256") or base.get("place")


def _contents(data: Json) -> list[Any]:
    """The hashes of the files, and how many pairs are on each side: the same files may be given for either."""
    return [[one["sha256"] for one in data.get("files", [])], *(data.get(side) for side in (TRAIN, VALIDATION))]


def _came_of(trained: Trained) -> Json:
    validation = [entry["validation_loss"] for entry in trained.log if "validation_loss" in entry]
    needed = trained.shape.needed
    losses = [entry["loss"] for entry in trained.log if "loss" in entry]
    return {
        "finished": now(),
        "seconds": round(trained.seconds, 1),
        "resumed_from": trained.resumed_from or None,
        "steps": trained.steps,
        "loss": {"first": losses[0], "last": losses[-1]} if losses else None,
        "validation_loss": {"first": validation[0], "last": validation[-1], "least": min(validation)}
        if validation
        else None,
        "log": trained.log,
        "trained_weights": trained.shape.trainable,
        "device": trained.place.device,
        "dtype": trained.place.dtype,
        "micro_batch": trained.shape.micro_batch,
        "gradient_checkpointing": trained.shape.recompute,
        "memory": {"estimated": needed.total, "peak": trained.peak, **asdict(needed)},
        "versions": {"python": platform.python_version(), **versions()},
    }


def _check_export(base: Base, fresh: Path) -> None:
    """Raise XqeError if the adapter that is about to be trained could not be had for llama.cpp in the end."""
    adapters.export(fresh, fresh / GGUF, base.place)


def _exported(base: Base, folder: Path) -> list[Json]:
    """Write the GGUF adapter; return name, size and sha256 of the adapter's files."""
    adapters.export(folder, folder / GGUF, base.place)
    names = (*training.ADAPTER_FILES, GGUF)
    return [{"file": name, "bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names]


def _write(folder: Path, record: Json) -> None:
    try:
        replace(folder / RECORD, f"{json.dumps(record, ensure_ascii=False, indent=1)}\n".encode())
    except OSError as error:
        raise XqeError(f"{folder / RECORD}: {why(error)}", "check the disk") from None


def describe(data: Json) -> str:
    """What is trained on, in one line."""
    left = data["left_out_for_length"]
    return (
        f"{plural(data['train'], 'pair')} to train on, {data['validation']:,} to validate"
        f"{f', {left:,} left out for their length' if left else ''}"
    )
