"""Downloads models from the hub with huggingface_hub, whose variables and token file count here too.

hf_hub_download forgets an interrupted download: its two steps are here, the metadata and http_get, with a part of the
file that is kept from one process to the next. http_get is not documented, so the extra names a major release.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xqe import __version__
from xqe.errors import MissingExtraError, ModelError
from xqe.files.hashes import is_sha256, sha256
from xqe.files.parts import empty, part_of
from xqe.messages import amount, say
from xqe.models.assembly import assemble
from xqe.models.folder import file_errors, put_in_place, recorded_sha256
from xqe.models.gguf import DamagedError, check_gguf
from xqe.models.registry import Model
from xqe.models.split import named

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

_REFUSED, _NOT_FOUND = (401, 403), 404


def pull(model: Model, force: bool = False) -> Path:
    """Download a model, all files of it, going on with what an earlier try left; return the path of its (first) file.

    force: download although the files are there. Raises ModelError where the hub does not give a file, or what arrived
    is not what was announced; MissingExtraError without huggingface_hub.
    """
    if model.chunks:
        return assemble(model, force)
    target = model.path
    files = named(target)
    if target != files[0]:
        raise ModelError(
            f"{model.name}: is part {files.index(target) + 1} of a model in {len(files)} files",
            f"name the first: {Path(model.name).with_name(files[0].name)}",
        )
    if all(file.is_file() for file in files) and not force:
        say(f"{model.name} is there already; --force downloads it again")
        return target
    _prepare_library()
    parts = [_part(model, file) for file in files] if len(files) > 1 else [model]
    with file_errors(target):
        headers = _headers()
        found = [_metadata(part, headers) for part in parts]
        missing = [number for number, part in enumerate(parts) if force or not _has(part, found[number])]
        checked = True
        for number in missing:
            later = sum(found[other].size or 0 for other in missing if other > number)
            checked &= _bring(parts[number], found[number], headers, force, later)
    how = "sha256 checked" if checked else "structure checked (the hub gave no sha256)"
    several = f" in {len(files)} files" if len(files) > 1 else ""
    say(f"{model.name}: {amount(sum(file.stat().st_size for file in files))}{several}, {how}")
    return target


def _part(model: Model, file: Path) -> Model:
    """One file of a model in several as a model of its own."""
    place = Path(model.file).with_name(file.name).as_posix()
    return replace(model, name=f"{model.repository}/{place}", file=place, size=None, sha256=None)


def _has(part: Model, found: HfFileMetadata) -> bool:
    """Whether a file is there, and is the one that the hub has now: files of two uploads are not one model."""
    told = found.etag if is_sha256(found.etag) else None
    recorded = recorded_sha256(part.path)
    return part.path.is_file() and (None in (told, recorded) or told == recorded)


def _bring(model: Model, found: HfFileMetadata, headers: dict[str, str], force: bool, later: int) -> bool:
    """Download a file and put it in place; return whether its sha256 was known. later: bytes that are to come after
    it."""
    expected = _agreed_sha256(model, found)
    with _hub_errors(model), part_of(model.path, _version(found)) as part:
        if force or not _has(model, found):  # else the process that this one waited for was faster
            _fetch(model, part, found, headers, later)
            put_in_place(part, model.path, _check(model, part, expected))
    return expected is not None


def _prepare_library() -> None:
    """Import huggingface_hub, without what it would say and send unasked."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        with warnings.catch_warnings(action="ignore"):  # of its outdated variables
            import huggingface_hub.file_download  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError("downloading a model needs huggingface_hub", "hub") from None
    except ValueError as error:
        raise ModelError(f"huggingface_hub does not start: {error}", "check the HF_ variables") from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


@contextmanager
def _hub_errors(model: Model) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line that says what to do."""
    import httpx2
    from huggingface_hub import errors

    place = f"{model.repository}/{model.file}"
    refused = ModelError(
        f"{place}: the hub refuses the download",
        f"accept the licence at {model.page} and set HF_TOKEN to a token of that account",
    )
    not_found = ModelError(
        f"{place}: not found on the hub", "check the repository and the file; a private one needs HF_TOKEN"
    )
    try:
        yield
    except errors.GatedRepoError:
        raise refused from None
    except (errors.RepositoryNotFoundError, errors.RemoteEntryNotFoundError, errors.HFValidationError):
        raise not_found from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in _REFUSED and not error.response.history:  # by the hub, not by the storage that it sends to
            raise refused from None
        if status == _NOT_FOUND:
            raise not_found from None
        raise ModelError(f"{place}: the hub answers {status}", "run the same command later") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, errors.OfflineModeIsEnabled) as error:
        raise ModelError(
            f"{place}: no answer from the hub ({error})", "check the network and HF_ENDPOINT; what arrived is kept"
        ) from None


def _headers() -> dict[str, str]:
    from huggingface_hub import get_token

    headers = {"user-agent": f"xqe/{__version__}", "accept-encoding": "identity"}  # compressed answers have no ranges
    token = get_token()
    if token is None:
        return headers
    if not (token.isascii() and token.isprintable()):  # the HTTP library would quote it in its error
        raise ModelError("the token for the hub holds characters that no token has", "check HF_TOKEN")
    return headers | {"authorization": f"Bearer {token}"}


def _metadata(model: Model, headers: dict[str, str]) -> HfFileMetadata:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with _hub_errors(model):
        return get_hf_file_metadata(hf_hub_url(model.repository, model.file), headers=headers)


def _agreed_sha256(model: Model, found: HfFileMetadata) -> str | None:
    """What the file's sha256 must be, by the table or else by the hub, which must not contradict the table."""
    told = found.etag if is_sha256(found.etag) else None
    for what, known, said in (("sha256", model.sha256, told), ("size", model.size, found.size)):
        if None not in (known, said) and known != said:
            raise ModelError(
                f"{model.name}: on the hub its {what} is {said}, and xqe knows {known}",
                f"upgrade xqe, or take the file as it is with: xqe models pull hf:{model.repository}/{model.file}",
            )
    return model.sha256 or told


def _version(found: HfFileMetadata) -> str:
    return re.sub(r"\W", "", found.etag or "")[:16]


def _fetch(model: Model, part: BinaryIO, found: HfFileMetadata, headers: dict[str, str], later: int) -> None:
    """Append to the part what is missing of the file. later: bytes that there has to be room for, too."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get

    if not found.etag or part.tell() > (found.size or part.tell()):
        empty(part)
    missing = (found.size or 0) - part.tell() + later
    room = shutil.disk_usage(Path(part.name).parent).free
    if missing > room:
        raise ModelError(
            f"{part.name}: needs {amount(missing)} more, {amount(room)} are free",
            "make room, or set XQE_MODELS to a folder on another disk",
        )
    say(f"downloading {model.name} ({amount(found.size)}); licence: {model.licence.name}, {model.licence.url}")
    if part.tell() == found.size:
        return
    url = hf_hub_url(model.repository, model.file, revision=found.commit_hash)
    try:
        http_get(url, part, resume_size=part.tell(), headers=headers, displayed_filename=model.name)
    except KeyboardInterrupt:
        say(f"stopped; the first {amount(part.tell())} are kept, and the same command goes on from there")
        raise


def _check(model: Model, part: BinaryIO, expected: str | None) -> str:
    """Return the sha256 of the part if it is the whole file, and empty it if not."""
    part.flush()
    digest = sha256(Path(part.name))
    if expected not in (None, digest):
        empty(part)
        raise ModelError(
            f"{model.name}: what arrived has sha256 {digest} instead of {expected}",
            "try again; a proxy may have changed it",
        )
    try:
        check_gguf(Path(part.name))
    except DamagedError:
        empty(part)
        raise ModelError(
            f"{model.name}: what arrived is not a whole GGUF file", "a proxy or a login page may answer for the hub"
        ) from None
    return digest
