"""What a process reads of the beginning that prompts share is kept for the next, which makes the same texts."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import stat
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, command

from xqe.cluster.shares import Share
from xqe.models import prompts
from xqe.models.away import making_generator
from xqe.models.engines.jobs import Job
from xqe.models.engines.llama.cached import CachedContext
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Completion, Request
from xqe.models.prompts import Chat, Prompt, Text
from xqe.models.store.place import prefixes_of
from xqe.models.store.prefixes import Prefixes, kept
from xqe.models.verification import model_sha256

EXAMPLES = "".join(f"Query: what is number {i}?\nPassage: It is the number {i}, after {i - 1}.\n\n" for i in range(18))
OTHERS = EXAMPLES.replace("number", "river")
ASKED = ("where do bees sleep", "who was the king", "what is bread made of", "why", "when does the winter end")


def requests(beginning: str = EXAMPLES, count: int = len(ASKED), head: bool = True) -> list[Request]:
    prefix = f"{beginning}Query: "
    texts = (f"{prefix}{asked}\nPassage:" for asked in ASKED[:count])
    return [Request(Text(text, (), len(prefix) if head else 0), "", 12) for text in texts]


def prefixes(folder: Path, most: int = 1 << 30) -> Prefixes:
    return Prefixes(folder / "prefixes", most)


def said(path: Path, asked: Sequence[Request], where: Prefixes | None, **settings: Any) -> tuple[list[str], int]:
    """The texts that an engine of its own makes, and how many tokens of prompts it decoded."""
    options = Settings(**{"batch": 8, "threads": 1, **settings})
    with LlamaEngine("m", str(path), "ab", options, prefixes=where) as engine:
        jobs = list(engine.generate(Job(None, [request]) for request in asked))
        done: list[Completion] = [job.results()[0] for job in jobs]
        assert not any(completion.has_failed for completion in done)
        return [completion.text for completion in done], engine.counts.prompt_decoded


@pytest.mark.parametrize("settings", [{}, {"deterministic": True, "batch": None}, {"flash_attention": "off"}])
def test_texts_are_the_same_with_a_beginning_that_is_kept(
    random_path: Path, few_path: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Of a model with windows that are shorter than the beginning, and of real weights in 4 bits."""
    for path, asked in ((random_path, requests()), (few_path, requests(EXAMPLES[:290], 2)))[: 1 if settings else 2]:
        where = prefixes(tmp_path / path.stem)
        alone, whole = said(path, asked, None, **settings)
        first, decoded = said(path, asked, where, **settings)
        [file] = kept(where.folder)
        again, rest = said(path, asked[::-1], where, **settings)
        assert alone == first == again[::-1]
        assert decoded == whole
        tokens = json.loads(file.path.read_bytes().partition(b"\n")[0])["tokens"]
        assert tokens > 64
        assert tokens - 64 < decoded - rest <= tokens, "prompts begin alike a little longer than they say"
        assert kept(where.folder)[0].path == file.path


def test_cells_are_the_same_read_or_restored_whatever_is_the_number_of_sequences(random_path: Path) -> None:
    model = Model(str(random_path))
    tokens = model.vocabulary.tokenize(EXAMPLES, add_special=True, parse_special=False)[:200]

    def opened(sequences: int) -> CachedContext:
        return CachedContext(model, 512 * sequences, sequences, 1)

    with closing(opened(8)) as read, closing(opened(1)) as one, closing(opened(3)) as three:
        read.token[:200], read.position[:200] = tokens, np.arange(200)
        read.sequence[:200], read.wants_logits[:200] = 5, 0
        assert read.decode(200) == 0
        state = read.state(5)
        assert state is not None
        assert one.restore(0, state) and three.restore(2, state)
        elsewhere = three.state(2)
        assert elsewhere is not None and len(elsewhere) == len(state)
        assert read.restore(5, elsewhere)
        assert read.state(5) == state, "but for the numbers of sequences"
        assert not three.restore(1, state[:400]), "half a state"
    model.close()


def test_only_what_prompts_say_they_share_is_kept_and_each_by_all_that_it_depends_on(
    random_path: Path, tmp_path: Path
) -> None:
    where = prefixes(tmp_path)
    said(random_path, requests(head=False), where)
    said(random_path, requests("A few words.\n"), where)
    assert kept(where.folder) == []
    runs: list[tuple[list[Request], dict[str, Any]]] = [
        (requests(count=1), {}),
        (requests(OTHERS, 1), {}),
        (requests(count=1), {"cache_type": "f32"}),
        (requests(count=1), {"deterministic": True, "batch": None}),
    ]
    for number, (asked, settings) in enumerate(runs):
        said(random_path, asked, where, **settings)
        assert len(kept(where.folder)) == number + 1
    said(random_path, [*requests(), *requests(OTHERS)], where, batch=4)
    assert len(kept(where.folder)) == 4


def test_two_beginnings_in_turn_are_each_restored(random_path: Path, tmp_path: Path) -> None:
    asked = [request for pair in zip(requests(), requests(OTHERS), strict=True) for request in pair]
    where = prefixes(tmp_path)
    first, decoded = said(random_path, asked, where)
    again, rest = said(random_path, asked, where)
    assert first == again
    assert decoded - rest > 1000


def damage(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def test_a_damaged_file_is_made_again(random_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = prefixes(tmp_path)
    first, whole = said(random_path, requests(), where)
    [file] = kept(where.folder)
    content = file.path.read_bytes()
    for harm in (
        lambda: damage(file.path, -1),
        lambda: damage(file.path, 20),
        lambda: damage(file.path, len(content) // 2),
        lambda: file.path.write_bytes(content[:-5000]),
        lambda: file.path.write_bytes(b""),
    ):
        harm()
        assert said(random_path, requests(), where) == (first, whole)
        assert capsys.readouterr().err.splitlines() == [f"xqe: {file.path}: damaged; it is made again"]
        assert file.path.read_bytes() == content
    other = file.path.with_name(f"{'0' * 64}.prefix")
    file.path.rename(other)
    said(random_path, requests(OTHERS), where)
    [of_others] = {each.path for each in kept(where.folder)} - {other}
    of_others.write_bytes(content)
    assert said(random_path, requests(OTHERS), where)[0] == said(random_path, requests(OTHERS), None)[0]


def test_what_was_used_longest_ago_goes_and_nothing_else(tmp_path: Path) -> None:
    where = prefixes(tmp_path, most=3_600)
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
    where.folder.mkdir()
    (where.folder / "notes.txt").write_text("mine")
    stale, young = (where.folder / f".{keys[0]}.{number}.part" for number in (1, 2))
    for part in (stale, young):
        part.write_bytes(b"half")
    os.utime(stale, (0, 0))
    for number, key in enumerate(keys[:3]):
        where.put(key, bytes(1000), model="m", tokens=7)
        os.utime(where.folder / f"{key}.prefix", (number, number))
    assert where.get(keys[0]) == bytes(1000), "used now"
    where.put(keys[3], bytes(1000))
    assert [where.get(key) is not None for key in keys] == [True, False, True, True, False]
    where.put(keys[4], bytes(2000))
    assert where.get(keys[4]) is None, "more than half of all the room"
    assert sorted(path.name for path in where.folder.iterdir() if path.suffix != ".prefix") == [young.name, "notes.txt"]


def test_files_are_for_their_user_alone_where_the_store_is(tmp_path: Path) -> None:
    for is_private, mode in ((True, 0o600), (False, 0o644)):
        where = Prefixes(tmp_path / str(is_private), 1 << 20, is_private)
        before = os.umask(0o022)
        try:
            where.put("a" * 64, b"state")
        finally:
            os.umask(before)
        [file] = kept(where.folder)
        assert stat.S_IMODE(file.path.stat().st_mode) == mode


def test_a_folder_that_cannot_be_written_costs_one_line(
    random_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prefixes").write_text("a file")
    said(random_path, [*requests(), *requests(OTHERS)], prefixes(tmp_path))
    assert capsys.readouterr().err.count("beginnings of prompts are not kept") == 1


def test_a_prompt_says_how_much_of_it_is_every_records() -> None:
    shown = [{"query": "a", "passage": "b"}]
    template = prompts.builtin("expand-fewshot")
    for chat in (False, True):
        variables = {"query": "zinc", "language": "English", "target_language": "English"}
        prompt = template.render(chat, variables, shown)
        whole, head = said_by(prompt)
        assert whole[head:] == "zinc\nPassage:"
        own = template.render(chat, variables, shown, own_examples=True)
        assert "Query" not in whole[: said_by(own)[1]]
        assert prompt == own, "it is of no account to what the prompt is"
    asked = prompts.builtin("relevance").render(False, {"query": "zinc", "document": "ore", "language": "English"})
    whole, head = said_by(asked)
    assert whole[head:].startswith("zinc")


def said_by(prompt: Prompt) -> tuple[str, int]:
    assert isinstance(prompt, Chat | Text)
    return prompt.user if isinstance(prompt, Chat) else prompt.text, prompt.head


def test_the_head_of_a_chat_prompt_is_the_same_for_every_question(few_path: Path) -> None:
    chat = "{% for m in messages %}<start_of_turn>{{ m['content'] | trim }}<end_of_turn>{% endfor %}<start_of_turn>"
    from xqe.models.engines.llama.chat import ChatTemplate

    with LlamaEngine("m", str(few_path), vocabulary_only=True) as engine, ChatTemplate(chat, {}, "m") as template:
        engine._template = template
        begun = f"{EXAMPLES}Query: "
        made = [Chat("Be brief.", f"{begun}{asked}\nPassage:", len(begun)) for asked in (*ASKED, " x", "\n")]
        heads = {engine._head(prompt, engine._tokens(prompt)) for prompt in made}
        engine._template = None
    assert len(heads) == 1
    assert max(heads) > 500


QUERY = (
    "expand",
    "nom du mercure",
    "--lang",
    "fr",
    "--strategy",
    "fewshot",
    "--shots",
    "2",
    "--max-tokens",
    "4",
    "--model",
)


def test_commands_keep_beside_their_store_and_say_so(
    xqe: Run, tmp_path: Path, endless_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "my.sqlite"
    asked = (*QUERY, str(endless_path), "--store", str(store))
    first = xqe(*asked)
    assert first.returncode == 0, first.stderr
    [file] = kept(tmp_path / "my.sqlite-prefixes")
    told = json.loads(xqe("store", "info", "--store", str(store)).stdout)
    assert told["prefixes"] == {"path": str(file.path.parent), "files": 1, "size": file.size}
    xqe("store", "prune", "--all", "--store", str(store))
    assert kept(file.path.parent) == []
    monkeypatch.setenv("XQE_PREFIXES", "0")
    xqe(*asked)
    assert kept(file.path.parent) == []
    monkeypatch.setenv("XQE_PREFIXES", "much")
    refused = xqe(*asked)
    assert refused.returncode == 2
    assert "XQE_PREFIXES=much is no number of megabytes" in refused.stderr


def test_processes_that_read_the_same_at_once_write_one_whole_file(endless_path: Path, tmp_path: Path) -> None:
    asked = command(*QUERY, str(endless_path), "--store", str(tmp_path / "s.sqlite"))
    running = [subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(3)]
    texts = {process.communicate()[0] for process in running}
    assert len({json.loads(text)["passages"][0] for text in texts}) == 1
    folder = tmp_path / "s.sqlite-prefixes"
    assert len(list(folder.iterdir())) == len(kept(folder)) == 1
    [file] = kept(folder)
    assert Prefixes(folder, 1 << 30).get(file.path.stem) is not None


def test_workers_of_a_cluster_keep_it_in_the_cache_folder_of_their_machine(
    random_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked, settings, share = requests(), Settings(batch=8), Share(2, 1)
    made = []
    for keeps in (False, True):
        make = making_generator("m", "m", random_path, model_sha256(random_path), settings, (), keeps, share)
        opened = pickle.loads(pickle.dumps(make))()
        made.append([completion.text for completion in opened.run(asked)])
        assert len(kept(prefixes_of(None))) == keeps
    assert made[0] == made[1] == said(random_path, asked, None)[0]
