"""All that is true of this machine as far as it concerns xqe."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection
from dataclasses import dataclass

from xqe import __version__
from xqe.doctor.hardware import Cores, Memory, cores_here, gpus_here, memory_here
from xqe.doctor.llama import Llama, library_here
from xqe.doctor.models import Chosen, ModelFile, model_chosen, models_here
from xqe.doctor.packages import Extra, Package, packages_here
from xqe.doctor.places import Place, place_at
from xqe.doctor.store import StoreState, store_at, store_path
from xqe.doctor.variables import Variable, public, variables_here
from xqe.files.cache import cache_folder
from xqe.models.folder import models_folder


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. gpus: makers of GPUs of which one seems to be in this machine."""

    xqe: str
    python: str
    executable: str
    platform: str
    packages: list[Package]
    extras: list[Extra]
    llama: Llama
    gpus: list[str]
    cores: Cores
    memory: Memory
    places: list[Place]
    model: Chosen
    models: list[ModelFile]
    models_error: str | None
    store: StoreState
    server: str | None
    variables: list[Variable]


def examine(known: Collection[str], verify: bool = False) -> Facts:
    """Gather the facts. known: the variables that options read. verify: read all models and the whole store.

    Raises XqeError where there is no folder that anything could lie in.
    """
    variables = variables_here(known)  # before anything sets its own
    cache, models, store = cache_folder(), models_folder(), store_path()
    packages, extras = packages_here()
    chosen = model_chosen(extras)
    files, models_error = models_here(chosen, verify)
    return Facts(
        xqe=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        platform=platform.platform(),
        packages=packages,
        extras=extras,
        llama=library_here(),
        gpus=gpus_here(),
        cores=cores_here(),
        memory=memory_here(),
        places=[place_at(cache, "cache"), place_at(models, "models"), place_at(store, "store", is_file=True)],
        model=chosen,
        models=files,
        models_error=models_error,
        store=store_at(store, verify),
        server=public(url) if (url := os.environ.get("XQE_BASE_URL")) else None,
        variables=variables,
    )
