"""Encoders of sentence-transformers: small ones of random weights, and what transformers alone makes of the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from xqe.commands.encoding import encoder_for, open_encoder
from xqe.commands.options.encoding import Encoding
from xqe.errors import InputError, ModelError
from xqe.models.encoders.base import Side

pytestmark = [pytest.mark.xdist_group("model"), pytest.mark.filterwarnings("ignore")]

LIMIT = 16
WORDS = ["house", "garden", "the", "in", "query", "passage", ":", "mercury", "river"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights with mean pooling, as sentence-transformers saves it, without prompts."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    place = tmp_path_factory.mktemp("model")
    bert = place / "bert"
    bert.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (bert / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(str(bert))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.8,
    )  # fmt: skip
    BertModel(config).save_pretrained(str(bert))
    model = SentenceTransformer(modules=[Transformer(str(bert), max_seq_length=LIMIT), Pooling(24, "mean")])
    model.save(str(place / "plain"))
    model.prompts = {"query": "query : ", "document": "passage : "}
    model.save(str(place / "prompts"))
    return place


def by_hand(folder: Path, text: str) -> numpy.ndarray:
    """The mean of a text's tokens, by transformers alone, one text at a time."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder / "bert"))
    with torch.inference_mode():
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=LIMIT)
        row = AutoModel.from_pretrained(str(folder / "bert"))(**ids).last_hidden_state[0].mean(0).numpy()
    return numpy.asarray(row / numpy.sqrt((row**2).sum()))


TEXTS = ["the house in the garden", "mercury", "", "the river " * 20, "unknown words of a text", "half a \ud800 pair"]


def test_vectors_are_the_means_of_tokens(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_encoder(Encoding(encoder=f"sentence-transformers:{folder}/plain", encode_batch=2)) as encoder:
        capfd.readouterr()
        made = encoder.encode(TEXTS, Side.PASSAGE)
        alone = encoder.encode(TEXTS[:1], Side.QUERY)
        none = encoder.encode([], Side.QUERY)
        assert capfd.readouterr() == ("", "")
        assert encoder.making() == {"device": "cpu", "dtype": "float32"}
        assert encoder.name == f"sentence-transformers:{folder}/plain"
    assert made.vectors.dtype == numpy.float32
    assert (made.truncated, dict(made.errors)) == (1, {})
    for text, vector in zip(TEXTS, made.vectors, strict=True):
        numpy.testing.assert_allclose(vector, by_hand(folder, text.replace("\ud800", "?")), atol=2e-6)
    numpy.testing.assert_allclose(alone.vectors[0], made.vectors[0], atol=1e-5)
    assert none.vectors.shape == (0, 24)


def test_prompts_are_the_prefixes_unless_others_are_given(folder: Path) -> None:
    encoder_name = f"sentence-transformers:{folder}/prompts"
    with open_encoder(Encoding(encoder=encoder_name)) as encoder:
        contract = encoder.contract.as_json()
        queries, passages = (encoder.encode(["the house"], side).vectors[0] for side in Side)
    digest = contract.pop("model")
    assert list(digest) == ["sha256"]
    assert contract == {
        "pooling": "mean", "query_prefix": "query : ", "passage_prefix": "passage : ", "dimension": 24, "limit": LIMIT,
    }  # fmt: skip
    numpy.testing.assert_allclose(queries, by_hand(folder, "query : the house"), atol=2e-6)
    numpy.testing.assert_allclose(passages, by_hand(folder, "passage : the house"), atol=2e-6)
    given = Encoding(encoder=encoder_name, query_prefix="", passage_prefix="river ")
    with open_encoder(given) as encoder:
        queries, passages = (encoder.encode(["the house"], side).vectors[0] for side in Side)
    numpy.testing.assert_allclose(queries, by_hand(folder, "the house"), atol=2e-6)
    numpy.testing.assert_allclose(passages, by_hand(folder, "river the house"), atol=2e-6)


def test_a_model_without_prompts_has_those_of_its_family(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "plain", tmp_path / "multilingual-e5-tiny")
    with open_encoder(Encoding(encoder=f"sentence-transformers:{tmp_path}/multilingual-e5-tiny")) as encoder:
        assert (encoder.contract.query_prefix, encoder.contract.passage_prefix) == ("query: ", "passage: ")


def test_a_limit_cuts_and_is_no_more_than_the_model_has(folder: Path) -> None:
    name = f"sentence-transformers:{folder}/plain"
    texts = ["the house in the garden in the house", "the house in the garden", "the house"]
    with open_encoder(Encoding(encoder=name, limit=8)) as encoder:
        made = encoder.encode(texts, Side.QUERY)
        assert encoder.contract.limit == 8
    assert made.truncated == 1  # 8, 5 and 2 words, and two that every text has
    numpy.testing.assert_allclose(made.vectors[0], by_hand(folder, "the house in the garden in"), atol=2e-6)
    with open_encoder(Encoding(encoder=name, limit=5000)) as encoder:
        assert encoder.contract.limit == LIMIT


def test_windows(folder: Path) -> None:
    with open_encoder(Encoding(encoder=f"sentence-transformers:{folder}/plain")) as encoder:
        made = encoder.windows(["The house in  the garden: mercury", "river", ""], 3, 1)
    assert made == [["The house in", "in  the garden", "garden: mercury"], ["river"], [""]]


def test_an_index_is_searched_with_the_weights_that_made_it(folder: Path, tmp_path: Path) -> None:
    name = f"sentence-transformers:{folder}/plain"
    with open_encoder(Encoding(encoder=name, limit=9)) as encoder:
        made = Described(name, encoder.contract.as_json())
    with encoder_for("DIR", made, Encoding()) as encoder:
        assert encoder.contract.as_json() == made.contract
    moved = tmp_path / "moved"
    shutil.copytree(folder / "plain", moved)
    encoder_for("DIR", made, Encoding(encoder=f"sentence-transformers:{moved}")).close()
    weights = moved / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(InputError, match=r"made by another encoder \(model sha256 [0-9a-f]{12}, now sha256 [0-9a-f]"):
        encoder_for("DIR", made, Encoding(encoder=f"sentence-transformers:{moved}"))


class Described:
    def __init__(self, encoder: str, contract: dict[str, Any]) -> None:
        self.encoder = encoder
        self.contract = contract
        self.making: dict[str, Any] = {}


def test_what_is_no_model_is_one_line(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "plain", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    rows = {
        folder / "bert": "no model of sentence-transformers, for it has no modules.json; give a folder that it saved",
        tmp_path / "none": "no such folder; ",
        tmp_path / "damaged": "sentence-transformers cannot load it: ",
    }
    for place, said in rows.items():
        with pytest.raises(ModelError) as caught:
            open_encoder(Encoding(encoder=f"sentence-transformers:{place}"))
        assert str(caught.value).startswith(f"{place}: {said}")


def test_without_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sentence_transformers.py").write_text("raise ModuleNotFoundError('no', name=__name__)")
    program = (
        "from xqe.commands.encoding import open_encoder\n"
        "from xqe.commands.options.encoding import Encoding\n"
        "from xqe.errors import MissingExtraError\n"
        "try:\n    open_encoder(Encoding(encoder='sentence-transformers:m'))\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == (
        "an encoder of sentence-transformers needs sentence_transformers; "
        'install it with: pip install "xqe[encoders]"\n'
    )
