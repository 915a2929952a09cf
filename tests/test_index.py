"""The index: BM25 scores, the order of hits, and that what is on disk is whole or refused."""

from __future__ import annotations

import fcntl
import gzip
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.documents import Format, documents
from xqe.errors import InputError, XqeError
from xqe.index import Index, build, open_index
from xqe.index import manifest as manifest_module
from xqe.records import Document
from xqe.workers import Batch, analysed

K1, B = 0.82, 0.68  # the defaults


def built(directory: Path, texts: Sequence[str], code: str = "vi", ids: Sequence[str] = ()) -> Index:
    names = ids or [f"d{number}" for number in range(len(texts))]
    build(directory, code, placed(names, texts), replace=True)
    return open_index(directory)


def placed(ids: Sequence[str], texts: Sequence[str]) -> list[tuple[str, Document]]:
    return [(f"t:{n}", Document(i, text)) for n, (i, text) in enumerate(zip(ids, texts, strict=True), 1)]


def xqe(*arguments: str | Path, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xqe", *map(str, arguments)],
        input=stdin if isinstance(stdin, str) else stdin.decode(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def line(identifier: str, text: str, **fields: str) -> str:
    return json.dumps({"id": identifier, "text": text, **fields}) + "\n"


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


# ---------------------------------------------------------------- BM25


def bm25(collection: list[list[str]], weights: dict[str, float]) -> list[float]:
    average = sum(map(len, collection)) / len(collection) or 1.0
    scores = []
    for terms in collection:
        count, score = Counter(terms), 0.0
        for term, weight in weights.items():
            n = sum(term in other for other in collection)
            idf = math.log(1 + (len(collection) - n + 0.5) / (n + 0.5))
            norm = K1 * (1 - B + B * len(terms) / average)
            score += weight * idf * (K1 + 1) * count[term] / (count[term] + norm)
        scores.append(score)
    return scores


WORDS = ["ba", "bê", "bi", "bô", "bu", "by"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=90), min_size=1, max_size=12)
WEIGHTS = st.dictionaries(st.sampled_from([*WORDS, "absent"]), st.floats(0.125, 20), min_size=1)


@given(texts=TEXTS, weights=WEIGHTS)
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_bm25(texts: list[list[str]], weights: dict[str, float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = built(Path(folder) / "ix", [" ".join(text) for text in texts])
    expected = {f"d{i}": score for i, score in enumerate(bm25(texts, weights)) if score > 0}
    hits = index.search(weights, len(texts))
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_weight_counts_as_repetitions(tmp_path: Path) -> None:
    """Index.search takes weights, so the ten-line reference is asked with the term three times."""
    texts = [["ba", "bu"], ["ba", "ba", "bi"], ["bu", "bu", "bu"]]
    once = bm25(texts, {"ba": 1.0})
    thrice = built(tmp_path / "ix", [" ".join(text) for text in texts]).search({"ba": 3.0}, 3)
    assert {hit.id: hit.score for hit in thrice} == pytest.approx(
        {f"d{i}": sum([s] * 3) for i, s in enumerate(once) if s}
    )


def test_ties_are_ordered_and_cut_by_id_from_high_to_low(tmp_path: Path) -> None:
    ids = [f"d{number:02}" for number in (3, 30, 7, 12, 25, 1, 18)]
    index = built(tmp_path / "ix", ["ba bu"] * 6 + ["ba ba"], ids=ids)
    order = ["d18", *sorted(ids[:6], reverse=True)]
    for k in range(1, 9):
        assert [hit.id for hit in index.search({"ba": 1.0}, k)] == order[:k]


def test_a_large_group_of_ties_is_cut_in_the_same_order(tmp_path: Path) -> None:
    ids = [f"d{(number * 7919) % 3000:04}" for number in range(3000)]
    index = built(tmp_path / "ix", ["ba"] * 3000, ids=ids)
    assert [hit.id for hit in index.search({"ba": 1.0}, 10)] == sorted(ids, reverse=True)[:10]


def test_terms_that_weigh_nothing_find_nothing(tmp_path: Path) -> None:
    index = built(tmp_path / "ix", ["ba", "bu"])
    for weights in ({}, {"ba": 0.0}, {"ba": -1.0}, {"absent": 1.0}):
        assert index.search(weights, 10) == []
    assert [hit.id for hit in index.search({"ba": -1.0, "bu": 1.0}, 10)] == ["d1"]
    assert len(index.search({"ba": 1.0, "bu": 1.0}, 10**12)) == 2


# ---------------------------------------------------------------- documents in


SPELLINGS = {
    "xqe": '{"id": "a", "title": "Ships", "text": "at sea"}\n{"id": 2, "text": "a harbour"}\n',
    "pyserini": '{"id": "a", "contents": "Ships at sea"}\n{"id": "2", "contents": "a harbour"}\n',
    "beir": '{"_id": "a", "title": "Ships", "text": "at sea", "metadata": {}}\n'
    '{"_id": "2", "title": "", "text": "a harbour"}\n',
    "miracl": '{"docid": "a", "title": "Ships", "text": "at sea"}\n'
    '{"docid": "2", "title": null, "text": "a harbour"}\n',
    "tsv": "a\tShips at sea\n2\ta harbour\n",
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_documents(tmp_path: Path, spelling: str, zipped: bool) -> None:
    path = tmp_path / ("documents" + (".gz" if zipped else ""))
    text = SPELLINGS[spelling].encode()
    path.write_bytes(gzip.compress(text) if zipped else text)
    done = xqe("index", tmp_path / "ix", "--lang", "en", "--input", path)
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert (summary["documents"], summary["empty"], summary["terms"], summary["lang"]) == (2, 0, 3, "en")
    assert [hit.id for hit in open_index(tmp_path / "ix").search({"ship": 1.0}, 5)] == ["a"]
    assert [hit.id for hit in open_index(tmp_path / "ix").search({"harbour": 1.0}, 5)] == ["2"]


def test_format_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text('{"id":\tnot JSON\n')
    with pytest.raises(InputError, match="broken JSON"):
        list(documents([str(path)]))
    assert [document.id for _, document in documents([str(path)], Format.TSV)] == ['{"id":']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no tab here\n", r"d\.tsv:1: no tab"),
        ("a\tx\n\n b c\ty\n", r'd\.tsv:3: "id" .* white space'),
        ("\ttext\n", r'd\.tsv:1: "id"'),
    ],
)
def test_bad_tsv_is_named_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(documents([str(path)]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain words\n", "<stdin>:1: neither a JSON object nor id<TAB>text"),
        ('{"id": "a", "text": "x"}\n{"id": "b"}\n', '<stdin>:2: missing "text"'),
        ('{"id": "a", "text": "x"}\n{"id": "b", \n', "<stdin>:2: broken JSON"),
        ("", "no documents to index"),
    ],
)
def test_bad_documents_leave_no_index(tmp_path: Path, text: str, message: str) -> None:
    done = xqe("index", tmp_path / "ix", "--lang", "en", stdin=text)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert xqe("search", tmp_path / "ix", "x").returncode == 2
    assert xqe("index", tmp_path / "ix", "--lang", "en", stdin=line("a", "x")).returncode == 0


def test_repeated_ids_are_refused_with_both_lines(tmp_path: Path) -> None:
    first, second = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    first.write_text(line("a", "x") + line("b", "y"))
    second.write_text("\n" + line("c", "x") + line("b", "z"))
    done = xqe("index", tmp_path / "ix", "--lang", "en", "-i", first, "-i", second)
    assert done.returncode == 2
    assert f"{second}:3" in done.stderr
    assert f"{first}:2" in done.stderr


def test_empty_documents_are_kept_and_counted(tmp_path: Path) -> None:
    done = xqe("index", tmp_path / "ix", "--lang", "en", stdin=line("a", "") + line("b", "the of") + line("c", "ship"))
    summary = json.loads(done.stdout)
    assert (summary["documents"], summary["empty"], summary["terms"]) == (3, 2, 1)
    hit = open_index(tmp_path / "ix").search({"ship": 1.0}, 3)[0]
    assert hit.score == pytest.approx(bm25([[], [], ["ship"]], {"ship": 1.0})[2])


def test_an_empty_text_in_tsv_is_an_empty_document(tmp_path: Path) -> None:
    done = xqe("index", tmp_path / "ix", "--lang", "en", "--format", "tsv", stdin="a\t\nb\tship\n")
    assert json.loads(done.stdout)["empty"] == 1


def test_title_and_text_are_two_words_where_no_space_parts_them(tmp_path: Path) -> None:
    document = Document("a", "学生在这里", title="大")
    build(tmp_path / "ix", "zh", [("t:1", document)])
    assert open_index(tmp_path / "ix").search({"大学生": 1.0, "大学": 1.0}, 1) == []


def test_ids_come_back_as_they_were(tmp_path: Path) -> None:
    ids = ["é", "文書-1", "a/b#c", "\ud800", "İ"]
    index = built(tmp_path / "ix", ["ba"] * len(ids), ids=ids)
    assert {hit.id for hit in index.search({"ba": 1.0}, 10)} == set(ids)


# ---------------------------------------------------------------- many cores


def many() -> list[tuple[str, Document]]:
    """Enough text for worker processes."""
    return [(f"t:{i}", Document(f"d{i}", f"ship{i % 50} " * 2500, title=f"w{i}")) for i in range(300)]


def test_analysis_on_many_cores_keeps_order_and_terms() -> None:
    rows = [(document.id, body) for batch in analysed(many(), "en") for (_, document), body in pairs(batch)]
    assert rows == [(f"d{i}", " ".join([f"w{i}"] + [f"ship{i % 50}"] * 2500)) for i in range(300)]


def pairs(batch: Batch) -> Any:
    return zip(batch.documents, batch.bodies, strict=True)


def test_an_error_in_the_input_of_many_cores_is_that_error() -> None:
    def broken() -> Any:
        yield from many()
        raise InputError("documents.jsonl:301: broken JSON")

    with pytest.raises(InputError, match="301"):
        list(analysed(broken(), "en"))


# ---------------------------------------------------------------- builds that end early, and two at a time


def start_build(directory: Path, enough_for_workers: bool = False) -> subprocess.Popen[str]:
    """A build that has begun, and waits for more documents."""
    process = subprocess.Popen(
        [sys.executable, "-m", "xqe", "index", str(directory), "--lang", "en", "--force"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    before = {path.name for path in directory.glob("data-*")}
    for where, document in many() if enough_for_workers else []:
        process.stdin.write(line(where, document.text))
    process.stdin.write(line("new", "a new harbour"))
    process.stdin.flush()
    wait_until(lambda: {path.name for path in directory.glob("data-*")} > before or is_locked(directory))
    if enough_for_workers:
        wait_until(lambda: len(children(process.pid)) > 1)
    return process


def is_locked(directory: Path) -> bool:
    try:
        with (directory / "xqe.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def found(directory: Path, query: str) -> list[str]:
    done = xqe("search", directory, query)
    assert done.returncode == 0, done.stderr
    return [hit["id"] for hit in json.loads(done.stdout)["hits"]]


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


@pytest.mark.parametrize("workers", [False, pytest.param(True, marks=pytest.mark.skipif(CORES < 2, reason="one core"))])
def test_a_killed_build_leaves_the_old_index_answering(tmp_path: Path, workers: bool) -> None:
    directory = tmp_path / "ix"
    assert xqe("index", directory, "--lang", "en", stdin=line("old", "an old harbour")).returncode == 0
    process = start_build(directory, workers)
    helpers = children(process.pid)
    process.kill()
    process.communicate(timeout=60)  # its workers hold its pipes open until they end
    assert found(directory, "harbour") == ["old"]
    wait_until(lambda: not any(map(is_running, helpers)))  # worker processes end with it
    assert xqe("index", directory, "--lang", "en", "--force", stdin=line("new", "a new harbour")).returncode == 0
    assert found(directory, "harbour") == ["new"]
    assert len(list(directory.glob("data-*"))) == 1


@pytest.mark.parametrize("workers", [False, pytest.param(True, marks=pytest.mark.skipif(CORES < 2, reason="one core"))])
def test_an_interrupted_build_says_nothing_and_leaves_the_old_index(tmp_path: Path, workers: bool) -> None:
    directory = tmp_path / "ix"
    built(directory, ["old harbour"], code="en")
    process = start_build(directory, workers)
    for pid in [*children(process.pid), process.pid]:  # a terminal sends it to all of them
        os.kill(pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert found(directory, "harbour") == ["d0"]


def test_a_second_builder_is_refused_and_the_first_one_ends_well(tmp_path: Path) -> None:
    process = start_build(tmp_path / "ix")
    wait_until(lambda: is_locked(tmp_path / "ix"))
    second = xqe("index", tmp_path / "ix", "--lang", "en", "--force", stdin=line("b", "x"))
    assert second.returncode == 2
    assert "another process is building" in second.stderr
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert found(tmp_path / "ix", "harbour") == ["new"]


def test_an_index_is_replaced_only_when_asked(tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    assert xqe("index", directory, "--lang", "en", stdin=line("old", "harbour")).returncode == 0
    refused = xqe("index", directory, "--lang", "en", stdin=line("new", "harbour"))
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert found(directory, "harbour") == ["old"]


@pytest.mark.parametrize("name", ["notes.txt", ".git", "data-1", "data-old"])
def test_a_folder_that_is_not_an_index_is_never_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "kept").write_text("kept")
    done = xqe("index", tmp_path, "--lang", "en", "--force", stdin=line("a", "x"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "kept").read_text() == "kept"


def test_an_index_that_is_open_answers_while_it_is_replaced(tmp_path: Path) -> None:
    index = built(tmp_path / "ix", ["ba bu"])
    newer = built(tmp_path / "ix", ["bi"])
    assert [hit.id for hit in index.search({"bu": 1.0}, 1)] == ["d0"]
    assert newer.search({"bu": 1.0}, 1) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest_module, "sync", full)
    with pytest.raises(XqeError, match="No space left"):
        built(tmp_path / "ix", ["ba"])
    assert not list((tmp_path / "ix").glob("data-*"))


# ---------------------------------------------------------------- opening


def test_a_flipped_byte_in_any_file_is_refused(tmp_path: Path) -> None:
    built(tmp_path / "ix", ["ba bu bi"] * 20)
    files = sorted((tmp_path / "ix" / "data-1").iterdir())
    assert len(files) >= 6
    for path in files:
        whole = path.read_bytes()
        for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1]) if whole else (b"x",):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=r"damaged.*--force"):
                open_index(tmp_path / "ix")
        path.write_bytes(whole)
    open_index(tmp_path / "ix")
    files[0].unlink()
    with pytest.raises(InputError, match="--force"):
        open_index(tmp_path / "ix")


def changed(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest.update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(tantivy="0.1.0"), "built with tantivy 0.1.0"),
        (changed(format=99), "format 99"),
        (changed(language="xx"), "unknown language"),
        (changed(data="../elsewhere"), "damaged"),
        (lambda manifest: manifest.pop("probes"), "damaged"),
        (lambda manifest: manifest["analyzer"].update(stopwords="0"), "analysed differently .stopwords 0"),
        (lambda manifest: manifest["analyzer"].update(rules=0), "analysed differently .rules 0"),
        (lambda manifest: manifest["probes"][0][1].append("other"), "analysed differently"),
    ],
)
def test_an_unfit_index_is_refused(tmp_path: Path, change: Callable[[Any], object], message: str) -> None:
    built(tmp_path / "ix", ["ba"])
    path = tmp_path / "ix" / "xqe.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    done = xqe("search", tmp_path / "ix", "ba")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.replace("(", ".")
    assert "xqe index --force" in done.stderr
    assert done.stderr.count("\n") == 1
    assert xqe("index", tmp_path / "ix", "--lang", "vi", "--force", stdin=line("a", "ba")).returncode == 0


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "broken"])
def test_what_is_no_index_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ix"
    if kind == "file":
        path.write_text("x")
    elif kind != "missing":
        path.mkdir()
    if kind == "broken":
        (path / "xqe.json").write_text("{")
    done = xqe("search", path, "ba")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(path) in done.stderr
    assert "xqe index" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_manifest_says_what_the_index_is(tmp_path: Path) -> None:
    built(tmp_path / "ix", ["ba bu", "ba", ""])
    manifest = json.loads((tmp_path / "ix" / "xqe.json").read_text())
    assert manifest["analyzer"]["language"] == manifest["language"] == "vi"
    assert (manifest["k1"], manifest["b"]) == (K1, B)
    assert (manifest["documents"], manifest["empty"], manifest["terms"], manifest["average_length"]) == (3, 1, 3, 1.0)


def test_an_index_can_be_moved_and_read_where_one_may_not_write(tmp_path: Path) -> None:
    built(tmp_path / "ix", ["ba"])
    moved = (tmp_path / "ix").rename(tmp_path / "elsewhere")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in [moved / "data-1", *(moved / "data-1").iterdir()])
    assert open_index(moved).name == "elsewhere"
    after = sorted((path.name, path.stat().st_mtime_ns) for path in [moved / "data-1", *(moved / "data-1").iterdir()])
    assert after == before  # opening writes nothing there
