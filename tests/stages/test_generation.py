"""The generating commands, as a user runs them: records in, records out, and what happens when something is wrong."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
from conftest import Run, command, jsonl, records, summary
from small_models import SAID, SAID_TOKENS

from xqe.files.hashes import sha256
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Sampling
from xqe.models.examples import Chooser
from xqe.models.prompts import Text
from xqe.stages.expand import Expand
from xqe.stages.generation import Tally, request, run
from xqe.stages.strategies import Strategy

QUERY = {"id": "q7", "query": "nom d'origine du mercure", "lang": "fr", "mine": {"deep": [1, 2.5, None, "é"]}}


def test_translate_then_expand_makes_the_record_of_the_documentation(xqe: Run) -> None:
    translated = xqe("translate", "--to", "en", "--model", "fake", stdin=jsonl(QUERY))
    expanded = xqe("expand", "--strategy", "rar", "--model", "fake", stdin=translated.stdout)
    (record,) = records(expanded)
    assert record["id"] == "q7"
    assert record["lang"] == "en"
    assert record["source"] == {"query": "nom d'origine du mercure", "lang": "fr"}
    assert record["mine"] == QUERY["mine"]
    assert [step["step"] for step in record["steps"]] == ["translate", "expand"]
    assert record["steps"][0].items() >= {"from": "fr", "to": "en", "model": "fake", "finish": "stop"}.items()
    assert record["steps"][1].items() >= {"strategy": "rar", "model": "fake"}.items()
    assert len(record["passages"]) == 1
    assert (summary(translated), summary(expanded), expanded.returncode) == (
        "translate: 1 records, 1 generated, 0 reused, 0 failed, 5 tokens",
        "expand: 1 records, 1 generated, 0 reused, 0 failed, 6 tokens",
        0,
    )


def test_expand_then_translate_translates_the_query_and_every_passage(xqe: Run) -> None:
    expanded = xqe("expand", "-n", "3", "--temperature", "1", "--model", "fake", stdin=jsonl(QUERY))
    translated = xqe("translate", "--to", "en", "--model", "fake", stdin=expanded.stdout)
    (before,), (after,) = records(expanded), records(translated)
    assert [step["step"] for step in after["steps"]] == ["expand", "translate"]
    assert after["source"] == {"query": QUERY["query"], "lang": "fr"}
    assert len(before["passages"]) == len(after["passages"]) == 3
    assert len(set(before["passages"])) == 3, "each sample has a seed of its own"
    for old, new in zip(before["passages"], after["passages"], strict=True):
        assert new.startswith(old)
        assert new != old, "the fake engine marks what went through it"


def test_order_is_kept_and_nothing_is_dropped_when_some_records_fail(xqe: Run) -> None:
    queries = [
        {"id": str(i), "query": f"fake:error {i}" if i % 3 == 1 else f"query {i}", "lang": "de"} for i in range(10)
    ]
    queries[5]["query"] = "fake:empty"
    done = xqe("translate", "--to", "fr", "--model", "fake", stdin=jsonl(*queries))
    out = records(done)
    assert [record["id"] for record in out] == [str(i) for i in range(10)]
    assert [i for i, record in enumerate(out) if "error" in record] == [1, 4, 5, 7]
    assert out[1]["query"] == "fake:error 1", "it keeps its last good state"
    assert out[1]["lang"] == "de"
    assert out[1]["error"] == {"step": "translate", "message": "the fake engine was asked to fail"}
    assert out[5]["error"]["message"] == "the model answered nothing"
    assert done.returncode == 1
    assert summary(done) == "translate: 10 records, 7 generated, 0 reused, 4 failed, 19 tokens"
    again = xqe("expand", "--model", "fake", stdin=done.stdout)
    assert again.returncode == 1
    assert records(again)[1] == out[1], "a failed record goes on down the pipe untouched"
    assert "passages" in records(again)[2]


def test_a_record_in_the_target_language_passes_unchanged(xqe: Run) -> None:
    english = {"id": "1", "query": "mercury", "lang": "en"}
    done = xqe("translate", "--to", "en", "--model", "fake", stdin=jsonl(english))
    assert records(done) == [english]


def test_one_query_on_the_command_line(xqe: Run) -> None:
    done = xqe("expand", "nom d'origine du mercure", "--lang", "fr", "--model", "fake")
    (record,) = records(done)
    assert (record["id"], record["query"], record["lang"]) == ("q1", "nom d'origine du mercure", "fr")
    dash = xqe("translate", "-", "--from", "fr", "--to", "de", "--model", "fake", stdin='{"id":"1","query":"q"}')
    assert records(dash)[0]["source"] == {"query": "q", "lang": "fr"}


def test_input_files_and_gz_on_standard_input(xqe: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl.gz"
    one.write_text(jsonl(QUERY), "utf-8")
    two.write_bytes(gzip.compress(jsonl({**QUERY, "id": "q8"}).encode()))
    done = xqe("translate", "--to", "en", "--model", "fake", "--input", str(one), "--input", str(two))
    assert [record["id"] for record in records(done)] == ["q7", "q8"]
    piped = xqe("translate", "--to", "en", "--model", "fake", stdin=two.read_bytes())
    assert [record["id"] for record in records(piped)] == ["q8"]


BAD = [
    (
        ("translate", "--to", "xx", "--model", "fake"),
        jsonl(QUERY),
        '--to: unknown language "xx"; give a code',
    ),
    (
        ("translate", "--to", "en", "--model", "fake"),
        jsonl({"id": "1", "query": "q"}),
        '<stdin>:1: missing "lang"; add it',
    ),
    (
        ("translate", "--to", "en", "--model", "fake"),
        jsonl({**QUERY, "lang": "tlhx"}),
        '<stdin>:1: unknown language "tlhx"',
    ),
    (("expand", "--model", "fake"), jsonl(QUERY, {"id": "2", "lang": "fr"}), '<stdin>:2: missing "query"'),
    (("expand", "--model", "fake"), jsonl({**QUERY, "error": {"step": "x"}}), '<stdin>:1: an "error" that is none of'),
    (
        ("expand", "--model", "fake"),
        jsonl(*({**QUERY, "id": n} for n in range(11))) + "{oops\n",
        "<stdin>:12: broken JSON",
    ),
    (("expand", "--shots", "9"), jsonl(QUERY), "--shots 9: there are 5 built-in examples"),
    (("expand", "--shots", "3", "--model", "fake"), jsonl(QUERY), "--examples and --shots have no effect"),
    (("expand", "-n", "3", "--model", "fake"), jsonl(QUERY), "--samples 3 at temperature 0"),
    (("expand", "--strategy", "magic"), "", "invalid value for '--strategy'"),
    (("expand", "--model", "none-such"), jsonl(QUERY), 'unknown model "none-such"'),
    (("expand", "--model", "./none.gguf"), jsonl(QUERY), "none.gguf"),
    (("expand", "--prompt", "none.toml", "--model", "fake"), jsonl(QUERY), "none.toml: no such file"),
    (("translate", "q", "--to", "en", "--from", "fr", "-i", "x.jsonl"), "", "both a QUERY and --input"),
    (("translate",), "", "missing option '--to'"),
    (("translate", "--to"), "", "option '--to' requires an argument; see xqe translate --help"),
    (("expand", " ", "--lang", "de"), "", "the QUERY is empty; give one, or leave it out and give records"),
    (("expand", "--batch", "0"), "", "invalid value for '--batch'"),
    (("expand", "--batch", "many"), "", "'many' is neither a whole number nor auto"),
    (("expand", "--ctx", "-3"), "", "-3 is not a number of at least 1"),
    (("expand", "--lora", "none.gguf"), jsonl(QUERY), "--lora none.gguf: no such file"),
    (("expand", "--tensor-split", "a,b"), jsonl(QUERY), '--tensor-split "a,b" is not a list of numbers'),
    (("expand", "--deterministic", "--batch", "4"), jsonl(QUERY), "--deterministic decodes one text at a time"),
    (("expand", "--cache-type", "q8_0", "--flash-attention", "off"), jsonl(QUERY), "--cache-type q8_0 needs flash"),
    (("frobnicate",), "", "no such command 'frobnicate'"),
]


@pytest.mark.parametrize(("arguments", "stdin", "said"), BAD, ids=[said[:30] for *_, said in BAD])
def test_bad_input_is_one_line_and_status_2(xqe: Run, arguments: tuple[str, ...], stdin: str, said: str) -> None:
    done = xqe(*arguments, stdin=stdin)
    assert done.returncode == 2
    *before, error = done.stderr.splitlines()
    assert error.startswith("xqe: ")
    assert said in error
    if done.stdout:  # of what came before in a pipe
        count = done.stdout.count("\n")
        expected = f"expand: {count} records, 1 generated, {count - 1} reused, 0 failed, "
        assert summary("\n".join(before)).startswith(expected), "it is the same query each time"
    else:
        assert before == []


def test_what_came_before_a_broken_line_of_a_pipe_is_written(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("translate", "--to", "en", "--model", "fake"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, err = process.communicate(jsonl(QUERY, QUERY) + "{oops\n", timeout=60)
    assert process.returncode == 2
    assert len(out.splitlines()) == 2
    assert "<stdin>:3: broken JSON" in err


def test_a_terminal_on_standard_input_is_not_waited_for() -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        command("translate", "--to", "en"), stdin=follower, capture_output=True, text=True, timeout=60, check=False
    )
    os.close(leader)
    os.close(follower)
    assert done.returncode == 2
    assert "standard input is a terminal" in done.stderr


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_first_record_leaves_before_standard_input_closes() -> None:
    with start("translate", "--to", "en", "--model", "fake") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(jsonl({**QUERY, "id": str(number)}))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == str(number)
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize("is_fake", [True, False], ids=["fake", "a model"])
def test_a_closed_pipe_ends_it_quietly_and_leaves_nothing_behind(is_fake: bool, certain_path: Path) -> None:
    model = "fake" if is_fake else str(certain_path)
    translate = " ".join(command("translate", "--to", "en", "--model", model))
    query = json.dumps({**QUERY, "id": "&", "query": "nom d’origine du mercure &"})
    shell = f"seq 1000000 | sed 's/.*/{query}/' | {translate} | head -3; echo ${{PIPESTATUS[2]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=200, check=True)
    *lines, status = done.stdout.splitlines()
    assert status == "141"
    assert len(lines) == 3
    assert done.stderr == ""


def test_ctrl_c_writes_what_is_finished_and_exits_130() -> None:
    with start("translate", "--to", "en", "--model", "fake") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        slow = [{**QUERY, "id": str(i), "query": f"fake:slow {i}"} for i in range(1, 60)]
        queries = [{**QUERY, "id": "0"}, *slow]
        process.stdin.write(jsonl(*queries))
        process.stdin.flush()
        assert [json.loads(process.stdout.readline())["id"] for _ in range(2)] == ["0", "1"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    written = [json.loads(line)["id"] for line in out.splitlines()]
    assert written == [str(i) for i in range(2, 2 + len(written))]
    assert len(written) < 58, "it ended before its work did"
    count = len(written) + 2
    assert summary(err).startswith(f"translate: {count} records, {count} generated, 0 reused, 0 failed, ")


def test_ctrl_c_while_a_model_generates(endless_path: Path) -> None:
    with start("expand", "--model", str(endless_path), "--batch", "2", "--max-tokens", "200") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(jsonl(*({**QUERY, "id": str(i), "query": f"mercure {i}"} for i in range(200))))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == "0"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()  # communicate() leaves out what is read ahead
    assert process.returncode == 130
    said = (ascii_lowercase * 8)[:200]
    assert all(json.loads(line)["passages"] == [said] for line in out.splitlines())
    count = len(out.splitlines()) + 1
    assert count < 200, "it ended before its work did"
    assert summary(err) == f"expand: {count} records, {count} generated, 0 reused, 0 failed, {count * 200} tokens"


def test_ctrl_c_in_the_middle_of_a_long_prompt_does_not_wait_for_it(tiny_path: Path) -> None:
    query = {**QUERY, "query": "mot " * 8000}
    with start("expand", "--model", str(tiny_path), "--no-store", "--verbose") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(jsonl(query))
        process.stdin.close()
        for line in process.stderr:  # the context is there, and half a minute of decoding begins
            if "sched_reserve: reserve took" in line:
                break
        process.stdin = None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1].startswith("xqe: expand: 0 records, 0 generated")


def test_what_llama_cpp_logs_is_shown_only_on_demand(xqe: Run, certain_path: Path) -> None:
    arguments = ("expand", "mercure", "--lang", "fr", "--model", str(certain_path), "--no-store")
    assert xqe(*arguments).stderr.count("\n") == 1
    verbose = xqe(*arguments, "--verbose").stderr.splitlines()
    assert any(line.startswith("xqe: llama.cpp: ") and "n_ctx" in line for line in verbose)
    assert all(line.startswith("xqe: ") for line in verbose)


def test_a_full_disk_under_standard_output_is_said_in_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("expand", "q", "--lang", "fr", "--model", "fake", "--quiet"),
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "xqe: standard output: no space left on device; what was written before is whole\n"


def test_too_little_memory_is_said_with_the_sizes(tiny_path: Path) -> None:
    shell = f"ulimit -v 300000; exec {' '.join(command('expand', 'q', '--lang', 'fr', '--model', str(tiny_path)))}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "253 MB" in done.stderr
    assert "of memory are free" in done.stderr


@pytest.mark.usefixtures("tiny_path")
def test_show_prompt_prints_what_the_model_would_see_and_generates_nothing(xqe: Run) -> None:
    done = xqe("expand", "--strategy", "fewshot", "--show-prompt", "--model", "tiny", stdin=jsonl(QUERY))
    assert done.returncode == 0
    assert done.stdout.startswith("<bos>Please write a passage that answers the given query:\n\nQuery: ")
    assert done.stdout.count("<bos>") == 1
    assert done.stdout.endswith("Query: nom d'origine du mercure\nPassage:\n")
    assert done.stdout.count("Passage:") == 6
    chat = xqe("translate", "--to", "en", "--show-prompt", "--model", "fake", stdin=jsonl(QUERY))
    assert "from French to English" in chat.stdout


def test_a_bug_is_status_2_and_a_traceback_only_on_demand(
    xqe_alone: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from xqe.stages import generation\ndef broken(*a):\n    raise RuntimeError('boom')\ngeneration.run = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = xqe_alone("expand", "q", "--lang", "fr", "--model", "fake")
    assert done.returncode == 2
    assert (
        done.stderr == "xqe: internal error: RuntimeError: boom; set XQE_DEBUG=1 to see where, and please report it\n"
    )
    monkeypatch.setenv("XQE_DEBUG", "1")
    assert "Traceback" in xqe_alone("expand", "q", "--lang", "fr", "--model", "fake").stderr


# -- models of llama.cpp ------------------------------------------------------------------------------------------


def test_a_model_translates_expands_and_says_which_it_is(xqe: Run, certain_path: Path) -> None:
    queries = [
        {"id": "1", "query": "Die Hauptstadt von Frankreich", "lang": "de"},
        {"id": "2", "query": "la maison rouge", "lang": "fr"},
        {"id": "3", "query": "el perro y el gato", "lang": "es"},
    ]
    model = ("--model", str(certain_path))
    translated = xqe("translate", "--to", "en", *model, stdin=jsonl(*queries))
    tokens = 3 * SAID_TOKENS
    assert summary(translated) == f"translate: 3 records, 3 generated, 0 reused, 0 failed, {tokens} tokens"
    for record, query in zip(records(translated), queries, strict=True):
        assert (record["id"], record["query"], record["lang"]) == (query["id"], SAID, "en")
        assert record["source"] == {"query": query["query"], "lang": query["lang"]}
    expanded = xqe("expand", "-s", "fewshot", "--max-tokens", "5", *model, stdin=translated.stdout)
    assert summary(expanded) == "expand: 3 records, 1 generated, 2 reused, 0 failed, 5 tokens", "it is one query now"
    for record in records(expanded):
        assert record["passages"] == [SAID[:5]]
        assert [(step["finish"], step["tokens"]) for step in record["steps"]] == [("stop", SAID_TOKENS), ("length", 5)]
        assert {step["sha256"] for step in record["steps"]} == {sha256(certain_path)}


def test_the_real_model_writes_what_it_writes_in_any_process(xqe: Run, tiny_path: Path) -> None:
    """To the bit on one machine: what it writes is another matter, and differs between CPUs."""
    digest = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    asked = [{"id": "1", "query": "la maison rouge", "lang": "fr"}, {"id": "2", "query": "the red house", "lang": "en"}]
    same = ("--shots", "0", "--max-tokens", "4", "--deterministic", "--threads", "1")
    done = xqe("expand", *same, stdin=jsonl(*asked))
    notice, line = done.stderr.splitlines()
    assert 'no --model and no XQE_MODEL: using "tiny"' in notice
    with LlamaEngine("tiny", str(tiny_path), digest, Settings(deterministic=True, threads=1)) as engine:
        tally = Tally()
        stage = Expand(engine, Strategy.ZEROSHOT.template, Chooser(None, 0), max_tokens=4)
        expected: list[Any] = list(run(stage, engine, asked, tally))
    assert records(done) == expected
    assert summary(line) == f"expand: {tally.line().rpartition(',')[0]}"
    assert tally.generated == 2


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    def seed(run: int, identifier: str, number: int) -> int:
        return request(Text("p", ("\n",)), "p", 4, Sampling(1.0, seed=run), {"id": identifier}, number).seed

    assert seed(3, "a", 0) == seed(3, "a", 0)
    assert len({seed(3, "a", 0), seed(3, "b", 0), seed(3, "a", 1), seed(4, "a", 0)}) == 4
