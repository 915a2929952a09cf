"""The process from its first line to its last: interrupts, streams that are closed or full, folders that are gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, command

from xqe.cli import run

INTERRUPTED = {
    "when the command line is imported": "sys.addaudithook(lambda e, a: e == 'import' and a[0] == 'xqe.cli' and hit())",
    "when typer is": "sys.addaudithook(lambda e, a: e == 'import' and a[0] == 'typer' and hit())",
    "when the command is": "sys.addaudithook(lambda e, a: e == 'import' and a[0] == 'xqe.models.registry' and hit())",
    "at exit": "import atexit; atexit.register(hit)",
    "twice": "import xqe.cli; xqe.cli.run = lambda: [hit, hit][1]() or time.sleep(5)",
    "where nothing can be raised": (
        "import xqe.cli\n"
        "class Closing:\n def __del__(self): hit(); hit()\n"
        "def run():\n Closing(); time.sleep(5)\n"
        "xqe.cli.run = run"
    ),
}


@pytest.mark.parametrize("code", INTERRUPTED.values(), ids=INTERRUPTED)
def test_an_interrupt_is_quiet_at_any_moment(code: str) -> None:
    program = (
        "import os, signal, sys, time\n"
        "def hit(*_): os.kill(os.getpid(), signal.SIGINT)\n"
        f"{code}\n"
        "from xqe.__main__ import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "models", "list"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_interrupts_that_are_to_be_ignored_are() -> None:
    program = "import os, signal\nfrom xqe.__main__ import main\nimport xqe.cli\n"
    program += "xqe.cli.run = lambda: os.kill(os.getpid(), signal.SIGINT) or 7\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    assert done.returncode == 7


WRITTEN = (["--version"], ["--help"], ["completion", "bash"])


@pytest.mark.parametrize("arguments", WRITTEN, ids=" ".join)
def test_what_is_no_record_is_written_as_records_are(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "xqe: standard output: no space left on device; what was written before is whole\n"
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(command(*arguments), stdout=writes, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "os.close(0); os.close(2)\n"
        "from xqe.__main__ import _fill_closed_streams\n"
        "_fill_closed_streams()\n"
        "print(os.open('index', os.O_CREAT | os.O_WRONLY))\n"
        "os.write(2, b'a library complains')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path, check=True)
    assert int(done.stdout) > 2
    assert (tmp_path / "index").read_bytes() == b""


def test_a_process_without_a_folder_or_a_home_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expand = ("expand", "q", "--lang", "fr", "--model", "fake")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run([*expand, "--store", "kept.sqlite"]) == 2
    assert capsys.readouterr().err.startswith("xqe: kept.sqlite: is no place for a store (")
    assert run(["expand", "q", "--lang", "fr", "--model", "m.gguf", "--no-store"]) == 2
    assert capsys.readouterr().err == "xqe: the current folder is not there any more; change to one that is\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    assert run([*expand, "--store", "circle"]) == 2
    assert capsys.readouterr().err.startswith("xqe: circle: is no place for a store (")
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XQE_STORE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user whom no file knows
    assert run(["store", "info"]) == 2
    assert capsys.readouterr().err.startswith("xqe: could not determine home directory; set HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run(["expand", "q", "--lang", "fr", "--model", "~/m.gguf", "--no-store"]) == 2
    assert capsys.readouterr().err.startswith('xqe: no home folder is known for a path with "~"; ')


def test_a_width_that_is_none_leaves_the_help(xqe: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("0", "1"):
        monkeypatch.setenv("COLUMNS", columns)
        done = xqe("store", "--help")
        assert done.returncode == 0
        assert "prune" in done.stdout


def test_a_name_that_no_file_can_have_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["data", "convert", "trec", __file__, "--lang", "en", "--queries", __file__, "--out", str(tmp_path / "new")]
    assert run([*words, "--qrels", "a" * 5000]) == 2
    said = capsys.readouterr().err
    assert said.startswith("xqe: aaaa")
    assert said.endswith(": file name too long; check the path\n")
