"""Training: on small models of random weights whose every number can be checked, and on the real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from conftest import Run, records
from forks import Forks
from random_models import AUTO, COMMON, KINDS, WINDOW, make
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from xqe.errors import XqeError
from xqe.models.engines.llama.chat import Turn
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.settings import Settings as LlamaSettings
from xqe.models.gguf import check_gguf, read_metadata
from xqe.training import conduct, training
from xqe.training.base import find_base
from xqe.training.comparing import llama_logits
from xqe.training.library import quiet
from xqe.training.pairs import Pair, read_pairs
from xqe.training.settings import Device, Settings
from xqe.training.tokenizing import Encoded, encode

pytestmark = pytest.mark.xdist_group("training")  # one worker loads torch, once for itself and once for its forks

SPECIAL = ("<pad>", "<s>", "</s>", "<|user|>", "<|system|>", "<|assistant|>")
TEMPLATE = (
    "<s>{% for turn in messages %}<|{{ turn['role'] }}|>{{ turn['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PASSAGES = [
    "tea is drunk hot", "a cat sleeps long", "rain falls on hills", "bread needs some salt", "ships sail at dawn",
    "stars shine at night", "the river runs south", "wool keeps out cold", "birds sing early on", "gold does not rust",
]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of random weights with a tokenizer of bytes and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate((*SPECIAL, *alphabet))}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(list(SPECIAL))
    folder = make("llama", tmp_path_factory.mktemp("base"), vocab_size=len(SPECIAL) + len(alphabet)).checkpoint
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=TEMPLATE
    ).save_pretrained(folder)
    return folder


def chat(number: int, split: str = "train") -> dict[str, Any]:
    turns = [
        {"role": "system", "content": "Write."},
        {"role": "user", "content": f"Question: {PASSAGES[number].split()[0]}"},
        {"role": "assistant", "content": PASSAGES[number]},
    ]
    return {"id": str(number), "messages": turns, "split": split}


def write(path: Path, lines: Sequence[Any]) -> str:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return str(path)


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """Eight pairs to train on, two to validate."""
    return write(tmp_path / "pairs.jsonl", [chat(n, "train" if n < 8 else "validation") for n in range(10)])


@pytest.fixture(scope="module")
def one_step(checkpoint: Path, forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one step on what `pairs` has."""
    folder = tmp_path_factory.mktemp("one-step")
    lines = write(folder / "pairs.jsonl", [chat(n, "train" if n < 8 else "validation") for n in range(10)])
    assert forks(*arguments(lines, checkpoint, folder / "out", "--steps", "1", "--quiet")).status == 0
    return folder / "out"


@pytest.fixture
def done(one_step: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(one_step, tmp_path / "done"))


def arguments(pairs: str, base: Path, out: Path, *more: str) -> list[str]:
    fixed = ("--batch", "4", "--learning-rate", "0.01", "--device", "cpu", "--threads", "1")
    return ["finetune", "train", pairs, "--model", str(base), "--out", str(out), *fixed, *more]


def log_of(out: Path, key: str) -> list[float]:
    record = json.loads((out / conduct.RECORD).read_text())
    return [entry[key] for entry in record["log"] if key in entry]


def reference_loss(checkpoint: Path, numbers: Sequence[int]) -> float:
    """The mean loss over the answers and their ends, one pair at a time, with nothing of xqe's."""
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    words = transformers.AutoTokenizer.from_pretrained(checkpoint)
    losses = []
    for number in numbers:
        query, passage = PASSAGES[number].split()[0], PASSAGES[number]
        prompt = f"<s><|system|>Write.</s><|user|>Question: {query}</s><|assistant|>"
        ids = words(f"{prompt}{passage}</s>", add_special_tokens=False).input_ids
        start = len(words(prompt, add_special_tokens=False).input_ids)
        with torch.no_grad():
            chances = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        losses += [-float(chances[at - 1, ids[at]]) for at in range(start, len(ids))]
    return sum(losses) / len(losses)


# ---------------------------------------------------------------- what is learnt


def test_a_run_learns_and_leaves_the_adapter_in_both_forms(
    xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = xqe(*arguments(pairs, checkpoint, out, "--epochs", "8", "--eval-steps", "4", "--warmup", "0"))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert {path.name for path in out.iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "adapter.gguf", "training.json", "training.lock",
    }  # fmt: skip
    losses = log_of(out, "loss")
    assert len(losses) == summary["steps"] == 16
    assert losses[-1] < 0.6 * losses[0]
    assert "step 16 of 16" in done.stderr
    check_gguf(out / "adapter.gguf")
    assert read_metadata(out / "adapter.gguf", "general.architecture")["general.architecture"] == "llama"
    record = json.loads((out / "training.json").read_text())
    assert record["settings"]["seed"] == 0
    assert record["versions"]["torch"] == torch.__version__
    assert (record["data"]["train"], record["data"]["validation"]) == (8, 2)
    assert [entry["step"] for entry in record["log"] if "validation_loss" in entry] == [0, 4, 8, 12, 16]


def test_the_loss_is_that_of_the_passages_alone(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    """A fresh adapter changes nothing, so the loss before the first step is the base model's own."""
    out = tmp_path / "out"
    done = xqe(*arguments(pairs, checkpoint, out, "--steps", "1", "--dropout", "0", "--batch", "8", "--quiet"))
    assert done.returncode == 0, done.stderr
    assert log_of(out, "validation_loss")[0] == pytest.approx(reference_loss(checkpoint, [8, 9]), abs=1e-4)
    assert log_of(out, "loss") == [pytest.approx(reference_loss(checkpoint, range(8)), abs=1e-4)]
    assert done.stderr == ""


FOUR_STEPS = ("--steps", "4", "--dropout", "0", "--quiet")


@pytest.fixture(scope="module")
def four_losses(checkpoint: Path, forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of four steps, two pairs at once."""
    folder = tmp_path_factory.mktemp("four-steps")
    lines = write(folder / "pairs.jsonl", [chat(n, "train" if n < 8 else "validation") for n in range(10)])
    assert forks(*arguments(lines, checkpoint, folder / "out", *FOUR_STEPS, "--micro-batch", "2")).status == 0
    return log_of(folder / "out", "loss")


@pytest.mark.parametrize(
    "more",
    [("--micro-batch", "1", "--save-steps", "1"), ("--micro-batch", "4", "--gradient-checkpointing", "on")],
    ids=lambda more: " ".join(more),
)
def test_how_a_step_is_computed_changes_nothing(
    more: tuple[str, ...], xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path, four_losses: list[float]
) -> None:
    other = xqe(*arguments(pairs, checkpoint, tmp_path / "other", *FOUR_STEPS, *more))
    assert other.returncode == 0, other.stderr
    assert log_of(tmp_path / "other", "loss") == pytest.approx(four_losses, abs=2e-4)


def test_plain_texts_are_trained_on_as_they_are(xqe: Run, checkpoint: Path, tmp_path: Path) -> None:
    lines = [{"prompt": f"Question: {text.split()[0]}\nPassage:", "completion": f" {text}\n"} for text in PASSAGES]
    out = tmp_path / "out"
    pairs = write(tmp_path / "texts.jsonl", lines)
    done = xqe(*arguments(pairs, checkpoint, out, "--steps", "2", "--validation", write(tmp_path / "v", lines[:1])))
    assert done.returncode == 0, done.stderr
    data = json.loads((out / "training.json").read_text())["data"]
    assert data["tokens_learnt"] == sum(len(line["completion"]) for line in lines)  # a token a byte, and no more
    assert data["validation"] == 1


def test_the_embedded_model_is_trained_from_its_gguf_file(xqe: Run, few_path: Path, tmp_path: Path) -> None:
    """The losses before and after are those that llama.cpp's own logits make, without and with the adapter."""
    prompt, passage = (
        "The people of the world",
        " are in the same place as the other people\n",
    )  # whole words are tokens
    line = {"prompt": prompt, "completion": passage}
    pairs, seen = write(tmp_path / "pairs.jsonl", [line]), write(tmp_path / "seen.jsonl", [{**line, "id": "again"}])
    out = tmp_path / "out"
    options = ("--steps", "2", "--batch", "1", "--learning-rate", "0.0005", "--warmup", "0", "--dropout", "0")
    begun = ("finetune", "train", pairs, "--validation", seen, "--model", str(few_path), "--out", str(out))
    done = xqe(*begun, *options, "--quiet")
    assert done.returncode == 0, done.stderr
    with closing(Model(str(few_path), LlamaSettings(cache_type="f32"), gpu_layers=0)) as model:
        start = len(model.vocabulary.tokenize(prompt, True, False))
        ids = [int(token) for token in model.vocabulary.tokenize(prompt + passage, True, False)]
        adapter = model.adapter(str(out / "adapter.gguf"))
        expected = []
        for adapters in ([], [(adapter, 1.0)]):
            [logits] = llama_logits(model, [ids], adapters, threads=1)
            chances = torch.tensor(logits).log_softmax(-1)
            expected.append(-sum(float(chances[at - 1, ids[at]]) for at in range(start, len(ids))) / (len(ids) - start))
    losses = log_of(out, "validation_loss")
    # llama.cpp rounds activations to 8 bits
    assert [losses[0], losses[-1]] == pytest.approx(expected, abs=0.1)
    assert log_of(out, "loss")[0] == pytest.approx(losses[0], abs=1e-3)
    assert losses[-1] < losses[0] - 0.3
    asked = ("expand", "what is tea", "--lang", "en", "--model", str(few_path), "--shots", "0", "--max-tokens", "2")
    adapted = xqe(*asked, "--lora", str(out / "adapter.gguf"))
    assert "trained on another" not in adapted.stderr
    assert records(adapted)[0]["steps"][-1]["lora"][0]["sha256"] == json.loads(done.stdout)["sha256"]


@pytest.mark.parametrize("kind", [*KINDS, "mistral with a window", "gemma3 with images"])
def test_packed_pairs_do_not_see_each_other(kind: str) -> None:
    """The summed loss of a pack is that of the pairs one by one, without positions or choice of logits."""
    numbers = torch.Generator().manual_seed(0)
    with quiet():
        model = training.adapted(large(kind, numbers), Settings(dropout=0.0)).train()
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.1, generator=numbers)
    lengths = ((9, 7), (3, 12), (WINDOW, 1), (1, WINDOW + 3))
    pairs = [Encoded(*(torch.randint(3, 259, (n,), generator=numbers).tolist() for n in both)) for both in lengths]
    with torch.no_grad():
        total, count = training.answer_loss(model, training.pack(pairs))
        alone = 0.0
        for pair in pairs:
            ids = torch.tensor([[*pair.prompt, *pair.answer]])
            images = {"token_type_ids": torch.zeros_like(ids)} if kind == "gemma3 with images" else {}
            chances = model(input_ids=ids, **images).logits[0].log_softmax(-1)
            alone -= sum(float(chances[at - 1, ids[0, at]]) for at in range(len(pair.prompt), len(pair)))
    assert count == sum(len(pair.answer) for pair in pairs)
    assert float(total) == pytest.approx(alone, rel=1e-4)


def large(kind: str, numbers: torch.Generator) -> Any:
    """A model whose random weights are large enough that what a token sees changes what it predicts."""
    row = KINDS.get(kind, KINDS["mistral" if kind.startswith("mistral") else "gemma3_text"])
    options = {**COMMON, **row.options, **({"sliding_window": WINDOW} if kind == "mistral with a window" else {})}
    config = getattr(transformers, row.config)(**options)
    if kind == "gemma3 with images":
        sees = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        sees |= {"image_size": 28, "patch_size": 14}
        config = transformers.Gemma3Config(text_config=config.to_dict(), vision_config=sees, mm_tokens_per_image=1)
    model = AUTO.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "norm" not in name:
                values.normal_(0.0, 0.15, generator=numbers)
    return model


def test_one_step_is_not_lost_to_the_warm_up(one_step: Path) -> None:
    assert log_of(one_step, "learning_rate") == [0.01]


class Switching:
    """A tokenizer of characters whose template trims texts and ends the prompt in a switch that answers do not have."""

    name, is_chat = "switching", True

    def tokens(self, text: str, begins: bool, special: bool) -> list[int]:
        return [ord(character) for character in text]

    def rendered(self, turns: Sequence[Turn], answered: bool) -> str:
        return "".join(f"[{turn['content'].strip()}]" for turn in turns) + ("" if answered else "<quick>")

    def is_end(self, token: int) -> bool:
        return token == ord("]")

    def close(self) -> None:
        """Nothing to give back."""


def test_a_template_whose_prompt_ends_in_a_switch() -> None:
    turns = ({"role": "user", "content": "tea?"}, {"role": "assistant", "content": " hot\n"})
    encoded = encode(Pair("here", "train", turns), Switching())
    assert "".join(map(chr, encoded.prompt)) == "[tea?]<quick>"
    assert "".join(map(chr, encoded.answer)) == "hot]"


# ---------------------------------------------------------------- stopping and going on


def test_a_killed_run_goes_on_to_the_same_end(checkpoint: Path, pairs: str, tmp_path: Path, forks: Forks) -> None:
    """Killed as soon as its second checkpoint is whole."""
    options = ("--steps", "8", "--save-steps", "2", "--eval-steps", "3", "--quiet")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = forks(*arguments(pairs, checkpoint, whole, *options), record=True)
    assert done.status == 0
    steps = [place for place, (_, path) in enumerate(done.events) if f"checkpoint-4/.{training.WHOLE}" in path]
    assert forks(*arguments(pairs, checkpoint, killed, *options), at=steps[-1] + 1).status == -signal.SIGKILL
    assert (killed / "checkpoints" / "checkpoint-4" / training.WHOLE).exists()
    assert not (killed / "adapter.gguf").exists()

    refused = forks(*arguments(pairs, checkpoint, killed, *options))
    assert refused.status == 2
    assert "--resume" in refused.stderr
    done = forks(*arguments(pairs, checkpoint, killed, *options, "--resume"))
    assert done.status == 0, done.stderr
    assert json.loads((killed / "training.json").read_text())["resumed_from"] == 4
    for key in ("loss", "validation_loss", "grad_norm", "learning_rate"):
        assert log_of(killed, key) == pytest.approx(log_of(whole, key), abs=1e-6)
    again = forks(*arguments(pairs, checkpoint, killed, *options, "--resume"))
    assert (again.status, again.stdout) == (0, done.stdout)


def test_a_checkpoint_that_was_not_written_to_its_end_is_not_gone_on_from(tmp_path: Path) -> None:
    for number, is_whole in ((2, True), (10, True), (12, False)):
        folder = tmp_path / "checkpoints" / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text("{}")
        if is_whole:
            (folder / training.WHOLE).touch()
    assert training.last_checkpoint(tmp_path) == tmp_path / "checkpoints" / "checkpoint-10"


def test_a_run_goes_on_only_as_it_was_begun(xqe: Run, checkpoint: Path, pairs: str, done: Path) -> None:
    other = xqe(*arguments(pairs, checkpoint, done, "--steps", "1", "--rank", "8", "--resume", "--quiet"))
    assert other.returncode == 2
    assert "begun with rank 16, not 8" in other.stderr
    write(Path(pairs), [chat(number) for number in range(3)])
    other = xqe(*arguments(pairs, checkpoint, done, "--steps", "1", "--resume", "--quiet"))
    assert other.returncode == 2
    assert "other contents of the data" in other.stderr
    assert xqe(*arguments(pairs, checkpoint, done, "--steps", "1", "--force", "--quiet")).returncode == 0
    assert json.loads((done / "training.json").read_text())["data"]["train"] == 3


def test_the_same_files_on_other_sides_are_other_data(xqe: Run, checkpoint: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", write(tmp_path / "seen.jsonl", [chat(0), chat(1)])
    unseen, steps = write(tmp_path / "unseen.jsonl", [chat(2)]), ("--steps", "1", "--quiet")
    assert xqe(*arguments(seen, checkpoint, out, "--validation", unseen, *steps)).returncode == 0
    other = xqe(*arguments(seen, checkpoint, out, unseen, *steps, "--resume"))
    assert other.returncode == 2
    assert "other contents of the data" in other.stderr


def test_a_base_of_the_hub_is_known_by_its_name() -> None:
    """Its files are not hashed."""
    one, other = ({"base": {"sha256": {}, "place": f"someone/{name}"}} for name in ("one", "other"))
    with pytest.raises(XqeError, match="other contents of the base"):
        conduct._check_same(one, other, Settings(), Path("out"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for record in ("{}", "[]", '{"learning_rate": 0.1}'):
        (tmp_path / "training.json").write_text(record)
        with pytest.raises(XqeError, match=r"training\.json: not the record of a training run; give another folder"):
            conduct.check_folder(tmp_path, resume=False, force=True)
    (tmp_path / "training.json").write_text('{"format": 1, "base": {}, "settings": {}}')
    conduct.check_folder(tmp_path, resume=False, force=True)
    (tmp_path / "checkpoints").rename(tmp_path / "elsewhere")
    (tmp_path / "checkpoints").symlink_to("elsewhere")
    with pytest.raises(XqeError, match="checkpoints: is a link, behind which nothing is removed"):
        conduct.check_folder(tmp_path, resume=False, force=True)


def test_a_refusal_takes_nothing_away(xqe: Run, checkpoint: Path, pairs: str, done: Path, tmp_path: Path) -> None:
    """Neither the adapter that is there, nor the folder from the next run."""
    new = tmp_path / "new"
    before = {path.name: path.read_bytes() for path in done.iterdir() if path.name != conduct.LOCK}
    for out, more in ((done, ("--force",)), (new, ())):
        refused = xqe(*arguments(pairs, checkpoint, out, "--steps", "1", "--targets", "nothing", *more))
        assert refused.returncode == 2
    assert {path.name: path.read_bytes() for path in done.iterdir() if path.name in before} == before
    assert xqe(*arguments(pairs, checkpoint, new, "--steps", "1", "--quiet")).returncode == 0


def test_a_run_begun_anew_leaves_no_other_adapter_beside_its_record(
    checkpoint: Path, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, base = tmp_path / "out", find_base(str(checkpoint))
    settings = Settings(steps=1, device=Device.CPU, threads=1)
    conduct.train(base, read_pairs([pairs]), [pairs], settings, out, False, lambda *_: None)
    assert (out / conduct.GGUF).exists()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conduct.train(base, read_pairs([pairs]), [pairs], settings, out, True, stop)
    assert json.loads((out / conduct.RECORD).read_text())["state"] == "running"
    assert not (out / conduct.GGUF).exists()


@pytest.mark.parametrize("blocks", [40, 250])
def test_a_disk_that_is_full(blocks: int, xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    """The adapter does not fit, or what the optimiser remembers; for a limit on files' sizes, which is as good."""
    options = ("--steps", "2", "--save-steps", "1", "--quiet")
    done = xqe(*arguments(pairs, checkpoint, tmp_path / "out", *options), file_size=1024 * blocks)
    assert f"{tmp_path / 'out'}: " in refusal(done)
    assert "make room" in done.stderr


# ---------------------------------------------------------------- what is refused


def test_what_is_left_out_for_its_length_is_said(xqe: Run, checkpoint: Path, tmp_path: Path) -> None:
    long = chat(8, "validation")
    long["messages"][-1]["content"] = "a " * 100
    pairs = write(tmp_path / "pairs.jsonl", [chat(0), long])
    done = xqe(*arguments(pairs, checkpoint, tmp_path / "out", "--steps", "1", "--max-length", "100"))
    assert "1 pair to train on, 0 to validate, 1 left out for their length" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--epochs", "nan"), "'--epochs': 'nan' is not a number"),
        (("--learning-rate", "nan"), "'--learning-rate': 'nan' is not a number"),
        (("--alpha", "inf"), "'--alpha': 'inf' is not a number"),
        (("--seed", str(2**31)), "2147483648 is not from -2147483647 to 2147483647"),
        (("--targets", ","), "--targets names no layer"),
        (("--targets", "all-linear,q_proj"), "give it alone"),
        (("--targets", "q_proj,nonsense"), "--targets nonsense: the model has no such layer"),
        (("--validation", "-"), "-: pairs are read from files"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else None,
)
def test_options_that_make_no_run(
    options: tuple[str, ...], said: str, xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path
) -> None:
    assert said in refusal(xqe(*arguments(pairs, checkpoint, tmp_path / "out", *options)))


def test_a_file_that_is_given_twice(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    """What is validated on must not be trained on."""
    line = refusal(xqe(*arguments(pairs, checkpoint, tmp_path / "out", "--validation", pairs)))
    assert f"{pairs}: given twice" in line


def test_a_pipe_of_pairs(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "read from files" in refusal(xqe(*arguments(str(tmp_path / "pipe"), checkpoint, tmp_path / "out")))


def test_an_adapter_as_the_base(xqe: Run, pairs: str, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((1, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    line = refusal(xqe(*arguments(pairs, tmp_path / "adapter.gguf", tmp_path / "out")))
    assert "is no model but of the type adapter" in line


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"cut off", "transformers cannot load it"),
        ("tokenizer.json", b"{}", "its tokenizer cannot be loaded"),
        ("config.json", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "transformers cannot load it"),
    ],
)
def test_a_checkpoint_that_cannot_be_loaded(
    name: str, content: Any, said: str, xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(checkpoint, base)
    if isinstance(content, dict):
        content = json.dumps(json.loads((base / name).read_text()) | content).encode()
    (base / name).write_bytes(content)
    assert said in refusal(xqe(*arguments(pairs, base, tmp_path / "out")))


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if "loading torch" not in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_an_empty_passage(xqe: Run, checkpoint: Path, tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", [chat(0), {"prompt": "a", "completion": " \n"}])
    assert f"{pairs}:2: the passage is empty" in refusal(xqe(*arguments(pairs, checkpoint, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_base_of_another_architecture(xqe: Run, pairs: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "mamba"}')
    (base / "model.safetensors").touch()
    line = refusal(xqe(*arguments(pairs, base, tmp_path / "out")))
    assert 'no adapter of "mamba"' in line
    assert "gemma3_text" in line


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no config.json"),
        ({"config.json": '{"model_type": "llama"}'}, "no weights"),
        ({"config.json": "["}, "read"),
    ],
)
def test_a_folder_that_is_no_checkpoint(files: dict[str, str], said: str, xqe: Run, pairs: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name, text in files.items():
        (base / name).write_text(text)
    assert said in refusal(xqe(*arguments(pairs, base, tmp_path / "out")))


def test_turns_for_a_model_without_a_chat_template(xqe: Run, certain_path: Path, pairs: str, tmp_path: Path) -> None:
    line = refusal(xqe(*arguments(pairs, certain_path, tmp_path / "out")))
    assert f"{certain_path.stem} has no chat template" in line
    assert f"xqe finetune data --model {certain_path.stem}" in line


def test_targets_that_are_not_there(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    assert "--targets nothing" in refusal(xqe(*arguments(pairs, checkpoint, tmp_path / "out", "--targets", "nothing")))


def test_an_adapter_that_llama_cpp_could_not_have(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    """It is said before the training, not after it."""
    out = tmp_path / "out"
    line = refusal(xqe(*arguments(pairs, checkpoint, out, "--targets", "embed_tokens")))
    assert "embeddings" in line
    assert not list(out.glob("checkpoints/checkpoint-*"))


def test_a_folder_with_other_files(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    assert "holds other files" in refusal(xqe(*arguments(pairs, checkpoint, out, "--force")))


def test_memory_that_cannot_suffice(
    checkpoint: Path, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(training, "available_memory", lambda: 300_000_000)
    monkeypatch.setattr(training, "load_model", load)
    with pytest.raises(XqeError, match=r"training takes about .* of memory .*, and 300 MB are free"):
        conduct.train(
            find_base(str(checkpoint)),
            read_pairs([pairs]),
            [pairs],
            Settings(),
            tmp_path / "out",
            False,
            lambda *_: None,
        )


def test_a_gradient_that_is_no_number(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    wild = ("--learning-rate", "1", "--alpha", "1e38", "--steps", "8", "--warmup", "0")
    line = refusal(xqe(*arguments(pairs, checkpoint, tmp_path / "out", *wild, "--quiet")))
    assert "step 1: the gradient is no number any more; lower --learning-rate" in line


def test_a_base_with_damaged_weights(xqe: Run, checkpoint: Path, pairs: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(checkpoint, base)
    weights = safetensors.torch.load_file(base / "model.safetensors")
    weights["model.embed_tokens.weight"][:] = float("nan")
    safetensors.torch.save_file(weights, base / "model.safetensors", {"format": "pt"})
    line = refusal(xqe(*arguments(pairs, base, tmp_path / "out", "--steps", "1", "--quiet")))
    assert "the base's own loss is no number" in line


def test_a_missing_library(checkpoint: Path, pairs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from xqe.commands.finetune import train as module
    from xqe.errors import MissingExtraError

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else found(name))
    with pytest.raises(MissingExtraError, match="training needs peft") as caught:
        module._check_libraries()
    assert 'pip install "xqe[finetune]"' in str(caught.value)
