"""Nothing is generated twice: what is kept, what finds it again, and what may happen to the file meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import re
import signal
import sqlite3
import stat
import subprocess
import time
from calendar import timegm
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from conftest import Run, command, jsonl, records, summary

from xqe.files.hashes import sha256
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.jobs import Feed, Job, Ticket
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.engines.stored import StoredEngine
from xqe.models.folder import models_folder
from xqe.models.prompts import Chat, Text
from xqe.models.store import access, database
from xqe.models.store.database import Database, StoreError
from xqe.models.store.generation import Asked, Generation
from xqe.models.store.pages import is_ours
from xqe.models.store.rows import Row
from xqe.models.store.run import Store

T = TypeVar("T")

ASKED = Asked({"sha256": "ab"}, {"temperature": 0.0}, 24, "Query: é\n", ("\n",), None)
MADE = Generation("un texte", "stop", 3, "tiny", {"batch": 8})


def queries(count: int, text: str = "question") -> list[dict[str, str]]:
    return [{"id": str(i), "query": f"{text} {i}", "lang": "fr"} for i in range(count)]


def kept(path: Path) -> int:
    """How many generations a store has, as SQLite itself counts them while others write."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        try:
            (count,) = connection.execute("SELECT count(*) FROM generation").fetchone()
        except sqlite3.OperationalError:  # the table is not there yet
            return 0
        return int(count)


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


def counts(text: str) -> tuple[int, int]:
    """The texts that a run generated and reused, as its summary says."""
    words = summary(text.splitlines()[-1]).replace(",", "").split()
    return int(words[words.index("generated") - 1]), int(words[words.index("reused") - 1])


def start(*arguments: str, stdin: Any = subprocess.PIPE, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


# -- what finds a text again -------------------------------------------------------------------------------------


def test_the_key_is_the_sha256_of_all_that_was_asked() -> None:
    text = (
        '{"identity":{"sha256":"ab"},"max_tokens":24,"parameters":{"temperature":0.0},'
        '"prompt":"Query: \\u00e9\\n","seed":null,"stop":["\\n"]}'
    )
    assert ASKED.key.hex() == hashlib.sha256(text.encode()).hexdigest()
    reordered = Asked({"sha256": "ab"}, {"b": 1, "a": 2}, 24, "")
    assert reordered.key == replace(reordered, parameters={"a": 2, "b": 1}).key


OTHERS = {
    "model": {"identity": {"sha256": "cd"}},
    "adapters": {"identity": {"sha256": "ab", "lora": [{"sha256": "ef", "scale": 1.0}]}},
    "parameters": {"parameters": {"temperature": 0.0, "repeat_penalty": 1.1}},
    "max_tokens": {"max_tokens": 25},
    "prompt": {"prompt": "Query: e\n"},
    "stop": {"stop": ("\n", "Query:")},
    "chat": {"stop": None},
    "seed": {"seed": 0},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_what_was_asked_otherwise_is_not_found(store: Path, change: dict[str, Any]) -> None:
    with Store(store) as opened:
        opened.put(ASKED, MADE)
        assert opened.get(ASKED.key) == MADE
        assert opened.get(replace(ASKED, **change).key) is None


class Recorder(FakeEngine):
    """The fake engine with an identity and parameters like a real one's; remembers what it was given to generate."""

    def __init__(self, name: str = "recorder", sha256: str = "ab", batch: int = 1) -> None:
        super().__init__(name)
        self.sha256 = sha256
        self.batch = batch
        self.generated: list[Request] = []

    def identity(self) -> dict[str, Any]:
        return {"sha256": self.sha256}

    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        return {name: value for name, value in asdict(sampling).items() if name != "seed"}

    def making(self) -> dict[str, Any]:
        return {"batch": self.batch}

    def _answer(self, request: Request) -> Completion:
        self.generated.append(request)
        return super()._answer(request)


def answers(engine: StoredEngine, *requests: Request) -> list[Completion]:
    """What the engine answers to the requests, each in a job of its own."""
    return [
        result for job in engine.generate([Job(None, [request]) for request in requests]) for result in job.results()
    ]


PROMPT = Chat("system", "user")
REQUEST = Request(PROMPT, "subject", 5, Sampling(temperature=0.7, top_p=0.9, top_k=40, repeat_penalty=1.1), seed=7)
OTHER_REQUESTS = {
    "prompt": replace(REQUEST, prompt=Chat("system", "another")),
    "stop": replace(REQUEST, prompt=Text("text", ("\n",))),
    "max_tokens": replace(REQUEST, max_tokens=6),
    "seed": replace(REQUEST, seed=8),
    "temperature": replace(REQUEST, sampling=replace(REQUEST.sampling, temperature=0.8)),
    "top_p": replace(REQUEST, sampling=replace(REQUEST.sampling, top_p=0.8)),
    "top_k": replace(REQUEST, sampling=replace(REQUEST.sampling, top_k=41)),
    "repeat_penalty": replace(REQUEST, sampling=replace(REQUEST.sampling, repeat_penalty=1.2)),
}


def test_each_parameter_of_a_request_counts_and_nothing_else_does(store: Path) -> None:
    with Store(store) as opened:
        first = Recorder()
        made = answers(StoredEngine(first, opened), REQUEST, *OTHER_REQUESTS.values())
        assert len(first.generated) == 9
        assert not any(completion.reused for completion in made)
        again = Recorder("moved elsewhere", batch=64)
        reused = answers(StoredEngine(again, opened), REQUEST, *OTHER_REQUESTS.values())
        assert again.generated == []
        assert [completion.text for completion in reused] == [completion.text for completion in made]
        assert all(completion.reused and completion.made_by == {"batch": 1} for completion in reused)
        other_model = Recorder(sha256="cd")
        answers(StoredEngine(other_model, opened), REQUEST)
        assert len(other_model.generated) == 1


def test_what_a_text_says_of_its_making_is_kept_rather_than_what_the_engine_says(store: Path) -> None:
    class Server(Recorder):
        def _answer(self, request: Request) -> Completion:
            return replace(super()._answer(request), made_by={"fingerprint": request.subject})

    asked = [Request(Chat("", subject), subject, 5) for subject in ("one", "two", "one")]
    with Store(store) as opened:
        made = answers(StoredEngine(Server(), opened), *asked)
        reused = answers(StoredEngine(Recorder(), opened), *asked)
    told = [{"fingerprint": "one"}, {"fingerprint": "two"}, {"fingerprint": "one"}]
    assert [completion.made_by for completion in made] == [completion.made_by for completion in reused] == told


def test_a_seed_counts_only_where_something_is_drawn(store: Path) -> None:
    greedy = replace(REQUEST, sampling=Sampling())
    with Store(store) as opened:
        engine = Recorder()
        answers(StoredEngine(engine, opened), greedy, replace(greedy, seed=8))
        assert engine.generated == [greedy]
        drawn = [REQUEST, replace(REQUEST, seed=8), REQUEST]
        first, second, third = answers(StoredEngine(engine, opened), *drawn)
        assert engine.generated == [greedy, *drawn[:2]]
        assert first.text == third.text != second.text


def test_the_engine_of_llama_cpp_reuses_what_it_generated_with_the_same_parameters(
    endless_path: Path, store: Path
) -> None:
    def asked(max_tokens: int = 3, seed: int = 1, **sampling: float) -> Request:
        return Request(Text("The capital of France is", ("\n",)), "", max_tokens, Sampling(**sampling), seed)  # type: ignore[arg-type]

    greedy = [asked(), asked(4), asked(repeat_penalty=1.5)]
    drawn = [
        asked(temperature=1.0),
        asked(temperature=0.9),
        asked(temperature=1.0, seed=2),
        asked(temperature=1.0, top_k=5),
    ]
    with LlamaEngine("m", str(endless_path), settings=Settings(batch=8, threads=1)) as model, Store(store) as opened:
        engine = StoredEngine(model, opened)
        made = answers(engine, *greedy, *drawn)
        assert [completion.reused for completion in made] == [False] * 7
        again = answers(engine, *reversed([*greedy, *drawn]))
        assert [completion.reused for completion in again] == [True] * 7
        assert [completion.text for completion in reversed(again)] == [completion.text for completion in made]
        (with_other_seed,) = answers(engine, asked(seed=9))
        assert with_other_seed.reused, "nothing is drawn"


# -- as a user runs it -------------------------------------------------------------------------------------------


def test_a_second_run_reuses_everything_and_writes_the_same_bytes(xqe: Run, xqe_alone: Run, tmp_path: Path) -> None:
    place = str(tmp_path / "kept.sqlite")
    run = ("expand", "--model", "fake", "-n", "2", "--temperature", "1", "--seed", "5")
    first = xqe(*run, "--store", place, stdin=jsonl(*queries(3)))
    second = xqe_alone(*run, "--store", place, stdin=jsonl(*queries(3)))
    assert (counts(first.stderr), counts(second.stderr)) == ((6, 0), (0, 6))
    assert first.stdout == second.stdout
    with_another = xqe(*run[:-1], "6", "--store", place, stdin=jsonl(*queries(3)))
    assert counts(with_another.stderr) == (6, 0)
    assert with_another.stdout != first.stdout
    more = xqe(*run, "--store", place, stdin=jsonl(*queries(4)))
    assert counts(more.stderr) == (2, 6)
    assert more.stdout.startswith(first.stdout)


def test_no_store_neither_reads_nor_writes_and_wins_over_store(xqe: Run, store: Path, tmp_path: Path) -> None:
    place = tmp_path / "kept.sqlite"
    for arguments in (("--no-store",), ("--no-store", "--store", str(place))):
        done = xqe("expand", "--model", "fake", *arguments, stdin=jsonl(*queries(2)))
        assert counts(done.stderr) == (2, 0)
    assert not place.exists()
    assert not store.exists()
    xqe("expand", "--model", "fake", "--store", str(place), stdin=jsonl(*queries(2)))
    before = place.read_bytes()
    done = xqe("expand", "--model", "fake", "--no-store", "--store", str(place), stdin=jsonl(*queries(2)))
    assert counts(done.stderr) == (2, 0)
    assert place.read_bytes() == before


def test_show_prompt_opens_no_store(xqe: Run, tmp_path: Path) -> None:
    done = xqe(
        "expand",
        "q",
        "--lang",
        "fr",
        "--model",
        "fake",
        "--show-prompt",
        "--store",
        str(tmp_path / "none" / "kept.sqlite"),
    )
    assert done.returncode == 0
    assert not (tmp_path / "none").exists()


def test_the_default_store_lies_in_the_cache_folder_and_fake_needs_a_named_one(
    xqe: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certain_path: Path
) -> None:
    monkeypatch.delenv("XQE_STORE")
    monkeypatch.setenv("XQE_MODELS", str(models_folder()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    xqe("expand", "--model", "fake", stdin=jsonl(*queries(2)))
    assert list(tmp_path.iterdir()) == []
    run = ("expand", "--model", str(certain_path), "--max-tokens", "2")
    first, second = (xqe(*run, stdin=jsonl(*queries(2))) for _ in range(2))
    assert (counts(first.stderr), counts(second.stderr)) == ((2, 0), (0, 2))
    assert first.stdout == second.stdout
    assert kept(tmp_path / "xqe" / "generations.sqlite") == 2
    (tmp_path / "xqe" / "generations.sqlite").write_bytes(b"what is here is ours, whatever it is")
    third = xqe(*run, stdin=jsonl(*queries(2)))
    assert counts(third.stderr) == (2, 0)
    assert "generations.sqlite.damaged-1" in third.stderr
    assert third.stdout == first.stdout


def test_failures_and_empty_answers_are_not_kept(xqe: Run, store: Path) -> None:
    asked = queries(4)
    asked[1]["query"], asked[2]["query"] = "fake:error", "fake:empty"
    first = xqe("expand", "--model", "fake", stdin=jsonl(*asked))
    assert kept(store) == 2
    second = xqe("expand", "--model", "fake", stdin=jsonl(*asked))
    assert summary(second) == "expand: 4 records, 1 generated, 2 reused, 2 failed, 1 tokens"
    assert second.stdout == first.stdout
    assert (first.returncode, second.returncode) == (1, 1)


def test_what_is_asked_twice_in_a_run_is_generated_once(xqe: Run) -> None:
    same = [{**query, "query": "fake:slow"} for query in queries(20)]
    done = xqe("expand", "--model", "fake", stdin=jsonl(*same))
    assert counts(done.stderr) == (1, 19)
    assert [record["id"] for record in records(done)] == [str(i) for i in range(20)]
    assert len({record["passages"][0] for record in records(done)}) == 1
    failing = [{**query, "query": "fake:error"} for query in queries(3)]
    done = xqe("expand", "--model", "fake", stdin=jsonl(*failing))
    assert summary(done) == "expand: 3 records, 0 generated, 0 reused, 3 failed, 0 tokens"
    assert {record["error"]["message"] for record in records(done)} == {"the fake engine was asked to fail"}


def test_what_came_before_a_broken_line_is_kept(xqe: Run, store: Path) -> None:
    done = xqe("expand", "--model", "fake", stdin=jsonl(*queries(3)) + "{oops\n")
    assert done.returncode == 2
    assert "<stdin>:4: broken JSON" in done.stderr
    assert kept(store) == 3
    mended = xqe("expand", "--model", "fake", stdin=jsonl(*queries(4)))
    assert counts(mended.stderr) == (1, 3)
    assert mended.stdout.startswith(done.stdout)


def test_the_provenance_of_a_reused_text_is_that_of_the_run_that_made_it(xqe: Run, certain_path: Path) -> None:
    run = ("expand", "--max-tokens", "3", "--model", str(certain_path))
    first = xqe(*run, "--batch", "3", stdin=jsonl(*queries(2)))
    second = xqe(*run, "--batch", "2", "--threads", "1", stdin=jsonl(*queries(2)))
    assert counts(second.stderr) == (0, 2)
    assert records(first)[0]["steps"][0]["batch"] == 3
    assert second.stdout == first.stdout


# -- a run that is killed ----------------------------------------------------------------------------------------


def killed(store: Path, source: Path, at: int, arguments: tuple[str, ...]) -> str:
    """Run until the store has `at` generations, kill it there, and return what it had written."""
    with source.open() as stdin, start(*arguments, "--store", str(store), stdin=stdin) as process:
        deadline = time.monotonic() + 120
        while kept(store) < at:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert "records, " not in err, "it was not at its end"
    return out


def killed_three_times(xqe: Run, tmp_path: Path, asked: list[dict[str, str]], *arguments: str) -> tuple[str, list[str]]:
    """Kill a run at three moments and let it finish; return what it wrote then, and before each end.

    Nothing may be generated twice: what the store had before the last run and what that one generated are all.
    """
    place, source = tmp_path / "killed.sqlite", tmp_path / "asked.jsonl"
    source.write_text(jsonl(*asked), "utf-8")
    chance = random.Random(f"{arguments}")
    cut = [killed(place, source, at, arguments) for at in sorted(chance.sample(range(1, len(asked) - 3), 3))]
    before = kept(place)
    assert 0 < before < len(asked)
    done = xqe(*arguments, "--store", str(place), "--input", str(source))
    assert done.returncode == 0
    assert counts(done.stderr) == (len(asked) - before, before)
    assert kept(place) == len(asked)
    assert is_whole(place)
    assert not list(tmp_path.glob("*damaged*"))
    assert [record["id"] for record in records(done)] == [query["id"] for query in asked]
    return done.stdout, cut


def test_a_run_that_was_killed_goes_on_where_it_was(xqe: Run, tmp_path: Path) -> None:
    asked = queries(8, "fake:slow")
    run = ("expand", "--model", "fake")
    whole, cut = killed_three_times(xqe, tmp_path, asked, *run)
    assert whole == xqe(*run, "--no-store", stdin=jsonl(*asked)).stdout
    assert all(whole.startswith(part) for part in cut)


def long_texts(folder: Path) -> tuple[str, ...]:
    """Options for texts that end at their limit and take a fraction of a second each."""
    prompt = folder / "endless.toml"
    prompt.write_text('[chat]\nuser = "{query}"\n[completion]\ntext = "{query}:"\nstop = ["\u2042"]\n', "utf-8")
    return ("expand", "--prompt", str(prompt), "--max-tokens", "600")


def test_a_run_of_a_model_that_was_killed_ends_with_the_bytes_of_one_that_was_not(
    xqe: Run, tmp_path: Path, random_path: Path
) -> None:
    asked = queries(12, "qui a découvert le mercure, planète ou métal numéro")
    run = (*long_texts(tmp_path), "--model", str(random_path), "--deterministic")
    whole, cut = killed_three_times(xqe, tmp_path, asked, *run)
    assert whole == xqe(*run, "--store", str(tmp_path / "whole.sqlite"), stdin=jsonl(*asked)).stdout
    assert all(whole.startswith(part) for part in cut)


def test_a_run_in_batches_that_was_killed_keeps_what_it_had(xqe: Run, tmp_path: Path, random_path: Path) -> None:
    asked = queries(12, "la rivière")
    run = (*long_texts(tmp_path), "--model", str(random_path), "--batch", "4")
    whole, cut = killed_three_times(xqe, tmp_path, asked, *run)
    assert all(whole.startswith(part) for part in cut)


def test_texts_are_kept_when_they_are_finished_not_when_their_record_is(xqe: Run, tmp_path: Path) -> None:
    source, place = tmp_path / "asked.jsonl", tmp_path / "kept.sqlite"
    source.write_text(jsonl(*queries(1, "fake:slow")))
    run = ("expand", "--model", "fake", "-n", "4", "--temperature", "1")
    assert killed(place, source, 2, run) == ""
    before = kept(place)
    assert before in (2, 3)
    done = xqe(*run, "--store", str(place), "-i", str(source))
    assert counts(done.stderr) == (4 - before, before)


# -- several at once ---------------------------------------------------------------------------------------------


def test_two_processes_share_a_store(xqe: Run, store: Path) -> None:
    asked = queries(60)
    with start("expand", "--model", "fake") as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdin.write(jsonl(*asked[:30]))
        one.stdin.flush()
        head = "".join(one.stdout.readline() for _ in range(30))
        with start("expand", "--model", "fake") as two:
            one.stdin.write(jsonl(*asked[30:]))
            one.stdin.flush()
            out_two, err_two = two.communicate(jsonl(*asked), timeout=60)
            out_one, err_one = one.communicate(timeout=60)
    expected = xqe("expand", "--model", "fake", "--no-store", stdin=jsonl(*asked)).stdout
    assert head + out_one == out_two == expected
    assert counts(err_one)[0] + counts(err_two)[0] <= 90, "the second found the thirty of the first"
    assert counts(err_two)[1] >= 30
    assert kept(store) == 60
    assert is_whole(store)


def test_processes_that_start_at_once_make_one_store(xqe: Run, store: Path) -> None:
    processes = [start("expand", "--model", "fake") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda process: process.communicate(jsonl(*queries(50)), timeout=60), processes))
    expected = xqe("expand", "--model", "fake", "--no-store", stdin=jsonl(*queries(50))).stdout
    for out, err in done:
        assert out == expected
        assert sum(counts(err)) == 50
    assert kept(store) == 50
    assert is_whole(store)


class Pool(Recorder):
    """An engine that completes texts in many threads and in any order, as one for a server would."""

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        chance = random.Random(4)
        feed = Feed(jobs, 16)
        with ThreadPoolExecutor(8) as pool:
            while not feed.is_empty:
                for ticket in feed.arrivals(0.001):
                    pool.submit(self._complete, ticket, chance.random() / 200)
                yield from feed.finished()
        feed.check()
        feed.close()

    def _complete(self, ticket: Ticket, pause: float) -> None:
        time.sleep(pause)
        ticket.done(self._answer(ticket.request))


def test_threads_neither_lose_a_request_nor_answer_one_twice(store: Path) -> None:
    chance = random.Random(11)

    def request() -> Request:
        subject = chance.choice(["fake:error", *(f"subject {i}" for i in range(150))])
        return Request(Chat("", subject), subject, 5)

    jobs = [Job(i, [request() for _ in range(chance.randrange(4))]) for i in range(1500)]
    engine = Pool()
    with Store(store) as opened:
        done = list(StoredEngine(engine, opened).generate(jobs))
        assert [job.item for job in done] == list(range(1500))
        for job in done:
            for asked, result in zip(job.requests, job.results(), strict=True):
                assert result.has_failed == (asked.subject == "fake:error")
                assert result.has_failed or result.text.startswith(asked.subject)
        times = Counter(asked.subject for asked in engine.generated)
        assert times.pop("fake:error") > 1, "a failure is tried again"
        assert set(times.values()) == {1}
        assert len(times) == kept(store)


# -- a file that is damaged --------------------------------------------------------------------------------------


def filled(path: Path, count: int = 400) -> dict[bytes, Generation]:
    """Make a store with so many generations, and return what is to be found in it."""
    made = {}
    with Store(path) as opened:
        for i in range(count):
            asked = replace(ASKED, prompt=f"A prompt that is one of several: {i}")
            made[asked.key] = Generation(f"text {i} " * 20, "stop", i, "tiny", {"batch": 8})
            opened.put(asked, made[asked.key])
    return made


def damage(content: bytes, how: str, chance: random.Random) -> bytes:
    """Damage a file anywhere but in its header."""
    at = chance.randrange(100, len(content) - 20_000)
    size = chance.choice([16, 512, 4096, 20_000])
    if how == "cut":
        return content[:at]
    if how == "bit":
        return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
    filling = bytes(size) if how == "zeros" else chance.randbytes(size)
    return content[:at] + filling + content[at + size :]


@pytest.mark.parametrize("how", ["cut", "bit", "zeros", "garbage"])
def test_a_damaged_store_never_gives_a_wrong_text_and_heals(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = filled(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    noticed = 0
    for trial in range(10):
        place = tmp_path / f"{trial}.sqlite"
        place.write_bytes(damage(content, how, random.Random(trial)))
        with Store(place) as opened:
            found = {key: opened.get(key) for key in made}
            assert all(found[key] in (None, made[key]) for key in made)
            opened.put(ASKED, MADE)
            assert opened.get(ASKED.key) == MADE
        said = capsys.readouterr().err
        if f"{place}.damaged-1" in said:
            noticed += 1
            assert said.count("\n") == 1
            assert f"xqe: {place}: damaged (" in said
            assert is_whole(place)
            assert Path(f"{place}.damaged-1").is_file()
        else:
            assert said == ""
            assert None not in found.values()
    assert noticed > 4


def test_what_is_whole_in_a_damaged_store_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "kept.sqlite"
    made = filled(place)
    content = bytearray(place.read_bytes())
    at = content.index(b"text 200 text 200")
    content[at : at + 6] = b"words "
    place.write_bytes(content)
    with Store(place) as opened:
        lost = [each for key, each in made.items() if opened.get(key) is None]
    assert lost == [made[replace(ASKED, prompt="A prompt that is one of several: 200").key]]
    assert "with 399 generations of it" in capsys.readouterr().err


def test_a_store_that_is_damaged_in_the_middle_of_a_run_costs_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(database, "_CHECKED", 0)  # as if it were large: nothing of it is in memory yet
    place, garbage = tmp_path / "kept.sqlite", tmp_path / "garbage"
    filled(place, 4000)
    pages = place.stat().st_size // 4096 - 10
    garbage.write_bytes(random.Random(1).randbytes(4096 * pages))
    asked = [Request(Chat("", str(i)), f"subject {i}", 5) for i in range(50)]

    def jobs() -> Iterator[Job[int]]:
        for i, request in enumerate(asked):
            if i == 20:
                time.sleep(0.2)  # the first twenty are finished
                over = (f"if={garbage}", f"of={place}", "bs=4096", "seek=4", "conv=notrunc", "status=none")
                subprocess.run(["dd", *over], check=True)  # in this process it would drop the locks of the store
            yield Job(i, [request])

    with Store(place) as opened:
        done = list(StoredEngine(Recorder(), opened).generate(jobs()))
    assert [job.item for job in done] == list(range(50))
    assert [job.results()[0].text for job in done] == [FakeEngine()._answer(request).text for request in asked]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"xqe: {place}: damaged (" in said
    assert f"it is set aside as {place}.damaged-1" in said
    assert is_whole(place)
    engine = Recorder()
    with Store(place) as opened:
        answers(StoredEngine(engine, opened), *asked)
    assert set(engine.generated) <= set(asked[:20])


def test_processes_that_find_a_store_damaged_set_it_aside_once(xqe: Run, store: Path) -> None:
    filled(store)
    with store.open("r+b") as file:
        file.truncate(60_000)
    processes = [start("expand", "--model", "fake") for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda process: process.communicate(jsonl(*queries(50)), timeout=60), processes))
    assert sum("set aside as" in err for _, err in done) == 1
    assert [path.name for path in store.parent.glob("*damaged-?")] == [f"{store.name}.damaged-1"]
    assert len({out for out, _ in done}) == 1
    (saved,) = re.findall(r"begun with (\d+) generations", "".join(err for _, err in done))
    assert kept(store) == 50 + int(saved)
    assert is_whole(store)
    assert counts(xqe("expand", "--model", "fake", stdin=jsonl(*queries(50))).stderr) == (0, 50)


PAGE = 4096  # bytes; SQLite's default


def on_page(content: bytes, number: int, made: Mapping[bytes, Generation]) -> set[bytes]:
    """The keys of the rows that lie, or end, on a page: its bytes hold them, and it is one of rows (13) or a part."""
    page = content[number * PAGE : (number + 1) * PAGE]
    return {key for key in made if key in page or made[key].text.encode() in page}


def lost_of(made: Mapping[bytes, Generation], place: Path) -> set[bytes]:
    """What a store does not find any more; what it finds has to be right."""
    with Store(place) as opened:
        found = {key: opened.get(key) for key in made}
    assert all(found[key] in (None, made[key]) for key in made)
    return {key for key in made if found[key] is None}


def test_a_lost_page_costs_what_is_on_it_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = filled(tmp_path / "whole", 120)
    content = (tmp_path / "whole").read_bytes()
    assert len(content) // PAGE > 10
    for number in range(len(content) // PAGE):
        place = tmp_path / f"{number}.sqlite"
        place.write_bytes(content[: number * PAGE] + bytes(PAGE) + content[(number + 1) * PAGE :])
        assert lost_of(made, place) <= on_page(content, number, made)
        assert is_whole(place)
        with place.open("rb") as again, Path(f"{place}.damaged-1").open("rb") as aside:
            assert again.read(16) == b"SQLite format 3\0" != aside.read(16) or number
    assert capsys.readouterr().err.count("\n") == len(content) // PAGE, "one line for each"


def test_a_changed_header_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = filled(tmp_path / "whole", 12)
    content = (tmp_path / "whole").read_bytes()
    refused = []
    for at in range(100):
        place = tmp_path / f"{at}.sqlite"
        place.write_bytes(content[:at] + bytes([content[at] ^ 1 << random.Random(at).randrange(8)]) + content[at + 1 :])
        try:
            assert lost_of(made, place) == set(), at
        except StoreError as error:
            assert "update xqe" in str(error)
            refused.append(at)
    assert set(refused) <= {63}, "a number that may be a later version's"


def test_what_many_generations_refer_to_is_lost_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "kept.sqlite"
    made = {}
    with Store(place) as opened:
        for i in range(40):
            asked = replace(ASKED, prompt="what all prompts begin with " * 10 + str(i))
            made[asked.key] = Generation(f"text {i}", "stop", i, "tiny")
            opened.put(asked, made[asked.key])
    whole = place.read_bytes()
    for text, prompts in ((b'"model": "tiny"', 40), (b"what all prompts begin with what", 0)):
        # the first is on a page of two tables; the tables' first pages come in the order in which they were made
        at = whole.index(text) // PAGE * PAGE
        place.write_bytes(whole[:at] + bytes(PAGE) + whole[at + PAGE :])
        assert lost_of(made, place) == set()
        with access.opened(place) as looked:
            assert looked is not None
            assert sum(line["prompt"] is not None for line in looked.export()) == prompts
    assert capsys.readouterr().err.count("begun with 40 generations") == 2


def left_behind(folder: Path, count: int = 60) -> tuple[Path, dict[bytes, Generation]]:
    """A store as a killed process leaves it: nothing of it is in the file proper yet."""
    made = {}
    place = folder / "killed.sqlite"
    with Store(folder / "open.sqlite") as opened:
        for i in range(count):
            asked = replace(ASKED, prompt=f"another prompt {i}")
            made[asked.key] = Generation(f"text {i} " * 20, "stop", i, "tiny")
            opened.put(asked, made[asked.key])
        for suffix in ("", "-wal"):
            Path(f"{place}{suffix}").write_bytes(Path(f"{folder / 'open.sqlite'}{suffix}").read_bytes())
    return place, made


@pytest.mark.parametrize("at", [3, 17, 40, 20_000, 60_001, 150_000])
def test_what_follows_a_damaged_page_of_the_log_is_saved(
    at: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, made = left_behind(tmp_path)
    log = bytearray(Path(f"{place}-wal").read_bytes())
    log[at] ^= 16
    Path(f"{place}-wal").write_bytes(log)
    with access.opened(place) as looked:  # which, as any end of an SQLite process, removes the log
        assert looked is not None
    assert lost_of(made, place) == set()
    assert capsys.readouterr().err == ""


def test_a_run_says_what_it_saves_of_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, made = left_behind(tmp_path)
    log = bytearray(Path(f"{place}-wal").read_bytes())
    log[60_000] ^= 16
    Path(f"{place}-wal").write_bytes(log)
    assert lost_of(made, place) == set()
    said = capsys.readouterr().err
    assert re.fullmatch(rf"xqe: {place}-wal: a page of it is damaged; \d+ generations after that are saved\n", said)


def test_a_log_whose_file_is_gone_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, made = left_behind(tmp_path)
    log = Path(f"{place}-wal").read_bytes()
    place.unlink()
    assert lost_of(made, place) == set()
    assert Path(f"{place}.damaged-1-wal").read_bytes() == log
    assert "begun with 60 generations" in capsys.readouterr().err


def test_what_was_removed_does_not_come_back(tmp_path: Path) -> None:
    place = tmp_path / "kept.sqlite"
    filled(place, 100)
    with access.opened(place) as looked:
        assert looked is not None
        assert looked.prune() == 100
    content = place.read_bytes()
    assert b"text 5 text" not in content
    assert b"A prompt that is" not in content
    place.write_bytes(bytes(100) + content[100:])
    assert not is_ours(place)


def test_a_large_file_that_is_no_store_is_not_read_through(tmp_path: Path) -> None:
    place = tmp_path / "model.gguf"
    with place.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError, match="not a store of generations"):
        Store(place)


def test_salvage_takes_no_name_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "kept.sqlite"
    made = filled(place, 20)
    damaged = place.read_bytes()[:-PAGE]
    place.write_bytes(damaged)
    place.chmod(0o640)
    Path(f"{place}.damaged-1-wal").write_text("mine")
    Path(f"{place}.damaged-2").symlink_to("nowhere")
    assert len(lost_of(made, place)) < 20
    assert Path(f"{place}.damaged-1-wal").read_text() == "mine"
    assert Path(f"{place}.damaged-2").is_symlink()
    assert Path(f"{place}.damaged-3").read_bytes() == damaged
    assert {stat.S_IMODE(path.stat().st_mode) for path in (place, Path(f"{place}.damaged-3"))} == {0o640}
    assert len(list(tmp_path.iterdir())) == 4
    assert f"{place}.damaged-3" in capsys.readouterr().err


def test_a_store_that_cannot_be_made_anew_stays_where_it_is(xqe: Run, tmp_path: Path) -> None:
    place = tmp_path / "kept.sqlite"
    filled(place, 300)
    content = place.read_bytes()[:-PAGE]
    place.write_bytes(content)
    done = xqe("expand", "q", "--lang", "fr", "--model", "fake", "--store", str(place), file_size=len(content) // 2)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert place.read_bytes() == content
    assert list(tmp_path.iterdir()) == [place]
    assert xqe("expand", "q", "--lang", "fr", "--model", "fake", "--store", str(place)).returncode == 0
    assert kept(place) > 250


def test_only_its_user_reads_the_default_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = tmp_path / "xqe" / "generations.sqlite"
    before = os.umask(0o022)
    try:
        for _ in range(3):
            with Store(place) as opened:
                opened.put(ASKED, MADE)
                assert modes(place) == {"": 0o600, "-wal": 0o600, "-shm": 0o600}
            place.chmod(0o644)  # as an earlier version made it
        place.write_bytes(place.read_bytes()[:9000])
        with Store(place):
            assert {*modes(place).values()} == {0o600}
            assert modes(Path(f"{place}.damaged-1"))[""] == 0o600
        with Store(tmp_path / "named.sqlite") as opened:
            opened.put(ASKED, MADE)
            assert {*modes(tmp_path / "named.sqlite").values()} == {0o644}
    finally:
        os.umask(before)
    assert capsys.readouterr().err.count("\n") == 1


def modes(place: Path) -> dict[str, int]:
    files = {suffix: Path(f"{place}{suffix}") for suffix in ("", "-wal", "-shm")}
    return {suffix: stat.S_IMODE(file.stat().st_mode) for suffix, file in files.items() if file.exists()}


# -- a place that is none ----------------------------------------------------------------------------------------


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (important TEXT)")
        connection.commit()


def newer_store(path: Path) -> None:
    filled(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


def damaged_database_of_others(path: Path) -> None:
    """Its second page, which has the rows, is not one."""
    other_database(path)
    path.write_bytes(path.read_bytes()[:PAGE] + b"\xff" * PAGE)
    with path.open("r+b") as file:
        file.seek(101)  # where the table of tables begins
        file.write(b"\xff" * 60)


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "is a folder": lambda path: path.mkdir(),
    "not a store of generations": lambda path: path.write_text("my own notes\n" * 100),
    "a database, but not a store": other_database,
    "a store of version 2": newer_store,
    "not a store of generations; ": damaged_database_of_others,
    "is no file": os.mkfifo,
}


@pytest.mark.parametrize("said", UNUSABLE)
def test_what_is_no_store_is_refused_and_left_alone(xqe: Run, tmp_path: Path, said: str) -> None:
    place = tmp_path / "mine"
    UNUSABLE[said](place)
    before = place.read_bytes() if place.is_file() else b""
    for run in (("expand", "q", "--lang", "fr", "--model", "fake"), ("store", "info"), ("store", "prune", "--all")):
        done = xqe(*run, "--store", str(place))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"xqe: {place}: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
        assert (place.read_bytes() if place.is_file() else b"") == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_named_store_that_cannot_be_made_is_an_error_before_anything_is_loaded(xqe: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, said in (("none/kept", "there is no folder"), ("file/kept", "is not a folder")):
        done = xqe("expand", "q", "--lang", "fr", "--model", "no-such-model", "--store", str(tmp_path / place))
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_named_store_that_is_read_only_is_an_error(xqe: Run, tmp_path: Path) -> None:
    place = tmp_path / "folder" / "kept.sqlite"
    place.parent.mkdir()
    filled(place, 1)
    place.chmod(0o400)
    assert (
        "cannot be read and written"
        in xqe("expand", "q", "--lang", "fr", "--model", "fake", "--store", str(place)).stderr
    )
    place.parent.chmod(0o500)
    done = xqe("expand", "q", "--lang", "fr", "--model", "fake", "--store", str(place.with_name("other")))
    assert done.returncode == 2
    assert "its folder cannot be written" in done.stderr


def test_without_the_default_store_a_run_goes_on(
    xqe: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certain_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("XQE_STORE")
    monkeypatch.setenv("XQE_MODELS", str(models_folder()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    done = xqe("expand", "--model", str(certain_path), "--max-tokens", "2", stdin=jsonl(*queries(2)))
    assert done.returncode == 0
    warning, line = done.stderr.splitlines()
    assert warning.startswith(f"xqe: {tmp_path}/file/xqe/generations.sqlite: ")
    assert warning.endswith("; this run reuses and keeps no generations")
    assert counts(line) == (2, 0)


# -- a full disk -------------------------------------------------------------------------------------------------


def test_a_full_disk_costs_no_output_and_is_said_once(xqe: Run, store: Path) -> None:
    asked = queries(300)
    xqe("expand", "--model", "fake", stdin=jsonl(*asked[:40]))
    done = xqe("expand", "--model", "fake", stdin=jsonl(*asked), file_size=150_000)
    assert done.returncode == 0
    assert done.stdout == xqe("expand", "--model", "fake", "--no-store", stdin=jsonl(*asked)).stdout
    warning, line = done.stderr.splitlines()
    assert warning.startswith(f"xqe: {store}: ")
    assert "what it generates from here on is not kept; make room" in warning
    assert counts(line) == (260, 40)
    after = kept(store)
    assert 40 < after < 300
    assert is_whole(store)
    assert counts(xqe("expand", "--model", "fake", stdin=jsonl(*asked)).stderr) == (300 - after, after)


def test_what_a_full_store_has_is_still_read(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = filled(store, 50)
    connect = sqlite3.connect

    def connect_to_small_disk(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size for it
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_to_small_disk)
    with Store(store) as opened:
        for i in range(100):
            opened.put(replace(ASKED, prompt=str(i) * 500), MADE)
        assert [opened.get(key) for key in made] == list(made.values())
    said = capsys.readouterr().err
    assert said.startswith(f"xqe: {store}: database or disk is full; the run goes on")
    assert said.count("\n") == 1


# -- xqe store ---------------------------------------------------------------------------------------------------


def test_info_counts_by_model(xqe: Run, store: Path, certain_path: Path) -> None:
    nothing = json.loads(xqe("store", "info").stdout)
    prefixes = {"path": f"{store}-prefixes", "files": 0, "size": 0}
    empty = {"path": str(store), "size": 0, "generations": 0, "tokens": 0, "prefixes": prefixes, "models": []}
    assert nothing == empty
    assert not store.exists()
    xqe("expand", "--model", "fake", stdin=jsonl(*queries(3)))
    done = xqe("expand", "--model", str(certain_path), "--max-tokens", "2", stdin=jsonl(*queries(2)))
    assert [record["steps"][0]["tokens"] for record in records(done)] == [2, 2]
    now = time.time()
    info = json.loads(xqe("store", "info").stdout)
    assert (info["generations"], info["tokens"]) == (5, 9 + 4)
    assert info["size"] == store.stat().st_size
    by_name = {model["model"]: model for model in info["models"]}
    name = records(done)[0]["steps"][0]["model"]
    assert (by_name["fake"]["sha256"], by_name["fake"]["generations"], by_name["fake"]["tokens"]) == (None, 3, 9)
    assert (by_name[name]["sha256"], by_name[name]["generations"]) == (sha256(certain_path), 2)
    for model in info["models"]:
        oldest, newest = (time.strptime(model[field], "%Y-%m-%dT%H:%M:%SZ") for field in ("oldest", "newest"))
        assert now - 120 < timegm(oldest) <= timegm(newest) <= now + 1


def test_info_is_a_table_on_a_terminal(xqe: Run, store: Path) -> None:
    xqe("expand", "--model", "fake", stdin=jsonl(*queries(3)))
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "400"}
    subprocess.run(command("store", "info"), stdout=follower, check=True, timeout=60, env=environment)
    os.close(follower)
    first, headings, row = os.read(leader, 100_000).decode().splitlines()
    os.close(leader)
    assert first.startswith(f"{store}: 3 generations, 9 tokens, ")
    assert headings.split() == ["model", "sha256", "oldest", "newest", "generations", "tokens"]
    assert row.split()[0] == "fake"
    assert row.split()[-2:] == ["3", "9"]


def test_export_says_what_was_asked_and_what_came_of_it(xqe: Run, store: Path) -> None:
    run = ("expand", "--model", "fake", "--temperature", "0.5", "--max-tokens", "9")
    done = xqe(*run, stdin=jsonl(*queries(700)))
    exported = records(xqe("store", "export"))
    assert len(exported) == 700
    for record, line in zip(records(done), exported, strict=True):
        assert line["text"] == record["passages"][0]
        assert record["query"] in line["prompt"]
        asked = {field: line.get(field) for field in ("identity", "parameters", "max_tokens", "prompt", "stop", "seed")}
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        assert line["key"] == hashlib.sha256(text.encode()).hexdigest()
    assert exported[0].items() >= {"model": "fake", "finish": "stop", "tokens": 3, "max_tokens": 9}.items()
    assert exported[0]["parameters"] == {"temperature": 0.5}
    assert len({line["seed"] for line in exported}) == 700


def test_prompts_come_back_whole_whatever_they_share(store: Path) -> None:
    chance = random.Random(3)
    openings = [("é日本語" * chance.randrange(1, 40)) for _ in range(50)] + ["", "\ud800"]
    prompts = [chance.choice(openings) + chance.choice(openings)[: chance.randrange(40)] for _ in range(600)]
    for part in (prompts[:300], prompts[300:]):  # in two sittings
        with Store(store) as opened:
            for prompt in part:
                opened.put(replace(ASKED, prompt=prompt), Generation("\udfff", "length", 1, "m"))
    database = Database(store, create=False)
    assert [line["prompt"] for line in database.export()] == list(dict.fromkeys(prompts))
    assert {line["text"] for line in database.export()} == {"\udfff"}
    database.close()


def test_prompts_with_the_same_beginning_take_little_room(store: Path) -> None:
    shown = "".join(random.Random(5).choices("abcdefgh ", k=5000))
    with Store(store) as opened:
        for i in range(1000):
            opened.put(replace(ASKED, prompt=f"{shown} {i}"), MADE)
    assert store.stat().st_size < 400 * 1000


def test_prune_removes_what_was_named_and_the_file_shrinks(xqe: Run, store: Path) -> None:
    filled(store, 2000)
    xqe("expand", "--model", "fake", stdin=jsonl(*queries(3)))
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE generation SET created = created - 86400 * 3 WHERE id <= 500")
        connection.commit()
    size = store.stat().st_size
    with closing(sqlite3.connect(store)) as connection:  # their checksums are of the true time
        rows = connection.execute(f"SELECT {', '.join(Row._fields)}, id FROM generation WHERE id <= 500")
        for *row, identifier in rows.fetchall():
            sealed = Row(*row).sealed()
            connection.execute("UPDATE generation SET checksum = ? WHERE id = ?", (sealed.checksum, identifier))
        connection.commit()
    done = xqe("store", "prune", "--older-than", "4")
    assert done.stderr == f"xqe: {store}: removed 0 generations; 2003 are left, of fake, tiny\n"
    assert "removed 0 " in xqe("store", "prune", "--older-than", "2.5", "--model", "fake").stderr
    assert "removed 500 generations; 1503 are left" in xqe("store", "prune", "--older-than", "2.5").stderr
    assert store.stat().st_size < size * 0.85
    assert "removed 1500 generations; 3 are left, of fake" in xqe("store", "prune", "--model", "tiny").stderr
    assert counts(xqe("expand", "--model", "fake", stdin=jsonl(*queries(3))).stderr) == (0, 3)
    assert "removed 3 generations; 0 are left\n" in xqe("store", "prune", "--all").stderr
    assert store.stat().st_size < 40_000
    assert is_whole(store)
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute(
            "SELECT (SELECT count(*) FROM origin), (SELECT count(*) FROM opening)"
        ).fetchall() == [(0, 0)]


def test_prune_while_another_process_writes(xqe: Run, store: Path) -> None:
    with start("expand", "--model", "fake") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for i, query in enumerate(queries(60)):
            process.stdin.write(jsonl(query))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == str(i)
            if i % 20 == 10:
                assert xqe("store", "prune", "--all").returncode == 0
        _, err = process.communicate(timeout=60)
    assert counts(err) == (60, 0)
    assert kept(store) == 9
    assert is_whole(store)
    prompts = [line["prompt"] for line in records(xqe("store", "export"))]
    assert ["question 51" in prompts[0], "question 59" in prompts[-1]] == [True, True]


BAD = [
    (("store", "prune"), "which generations"),
    (("store", "prune", "--all", "--model", "tiny"), "give --all alone"),
    (("store", "prune", "--older-than", "-1"), "invalid value for '--older-than'"),
    (("store", "frobnicate"), "no such command"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[said for _, said in BAD])
def test_what_cannot_be_done_is_one_line_and_status_2(xqe: Run, arguments: tuple[str, ...], said: str) -> None:
    done = xqe(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_store_is_not_touched_by_looking_into_it(xqe: Run, store: Path) -> None:
    filled(store)
    content = store.read_bytes()[:50_000]
    for arguments in (("info",), ("export",), ("prune", "--all")):
        store.write_bytes(content)
        done = xqe("store", *arguments)
        assert done.returncode == 2
        assert f"xqe: {store}: damaged (database disk image is malformed)" in done.stderr
        assert store.read_bytes() == content
    assert not list(store.parent.glob("*damaged*"))
