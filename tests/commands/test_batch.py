"""Batch files: what is exported, and what becomes of results. With a real server: models/engines/test_server.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl, records, start

QUERIES: list[dict[str, Any]] = [
    {"id": "q7", "query": "nom du mercure", "lang": "fr", "user": 12},
    {"id": "q8", "query": "das rote Haus", "lang": "de", "passages": ["Ein Haus.", "Rot."]},
    {"id": "q9", "query": "the house", "lang": "en"},
]
MODEL = ("--model", "openai:m")
TO = ("--to", "en", *MODEL)


def digest(body: dict[str, Any]) -> str:
    """As the documentation says: BLAKE2b, four bytes, of the body as JSON with its keys in order."""
    return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=4).hexdigest()


def result(request: dict[str, Any], text: Any, finish: Any = "stop", tokens: int = 4) -> dict[str, Any]:
    """The line that OpenAI's Batch API and vLLM's run_batch write for a request that went well."""
    is_chat = request["url"].endswith("/chat/completions")
    choice = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    body = {
        "id": "x", "object": "o", "model": "m", "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "finish_reason": finish, "logprobs": None, **choice}],
        "usage": {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens},
    }  # fmt: skip
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None}


def failure(request: dict[str, Any], status: int, message: str) -> dict[str, Any]:
    body = {"error": {"message": message, "type": "invalid_request_error", "code": None}}
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None}


def expired(request: dict[str, Any]) -> dict[str, Any]:
    error = {"code": "batch_expired", "message": "This request was too late."}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": None, "error": error}


class Batch:
    """Exports QUERIES, and imports the results that a test makes of the requests."""

    def __init__(self, xqe: Run, folder: Path, *options: str, queries: list[dict[str, Any]] = QUERIES) -> None:
        self.xqe, self.folder, self.options, self.queries = xqe, folder, options, queries
        self.exported = xqe("batch", "export", *options, stdin=jsonl(*queries))
        self.requests = records(self.exported)

    def join(self, *files: list[dict[str, Any]], options: tuple[str, ...] = ()) -> Any:
        arguments: list[str] = []
        for number, rows in enumerate(files):
            path = self.folder / f"results-{number}.jsonl"
            path.write_text(jsonl(*rows), "utf-8")
            arguments += ["--results", str(path)]
        return self.xqe("batch", "import", *arguments, *(options or self.options), stdin=jsonl(*self.queries))


def test_a_translation_is_exported_as_the_format_has_it(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO)
    assert batch.exported.stderr == "xqe: batch export: 3 records, 4 requests, 0 failed\n"
    assert batch.exported.returncode == 0
    first = batch.requests[0]
    system = "You are a translator for a search engine. Respond only with the translation."
    text = "Translate the following search query from French to English. Keep names, numbers and code as they are."
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": f"{text}\n\nnom du mercure"}],
        "max_tokens": 23,
        "temperature": 0.0,
    }
    assert first == {
        "custom_id": f"q7-0-{digest(body)}", "method": "POST", "url": "/v1/chat/completions", "body": body,
    }  # fmt: skip
    names = [request["custom_id"].rpartition("-")[0] for request in batch.requests]
    assert names == ["q7-0", "q8-0", "q8-1", "q8-2"], "the query and each passage; q9 is English already"


def test_results_in_any_order_make_the_records(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO)
    texts = ["<think>French</think>name of mercury", "the red house\n(a note)", " A house. ", "Red."]
    rows = [result(*pair) for pair in zip(batch.requests, texts, strict=True)]
    rows[1] = result(batch.requests[1], texts[1], "length", 64)
    done = batch.join(rows[::-1])
    step = {"step": "translate", "from": "fr", "to": "en", "model": "m", "api": "chat", "fingerprint": "fp_1",
            "temperature": 0.0, "max_tokens": 64, "finish": "stop", "tokens": 4}  # fmt: skip
    assert records(done) == [
        {"id": "q7", "query": "name of mercury", "lang": "en", "user": 12,
         "source": {"query": "nom du mercure", "lang": "fr"},
         "steps": [{**step, "taken_off": ["reasoning"], "raw": texts[:1]}]},
        {"id": "q8", "query": "the red house", "lang": "en", "passages": ["A house.", "Red."],
         "source": {"query": "das rote Haus", "lang": "de"},
         "steps": [{**step, "from": "de", "max_tokens": {"query": 64, "passage": 384}, "finish": "length",
                    "tokens": 72, "taken_off": ["remark"], "raw": [texts[1], None, None]}]},
        QUERIES[2],
    ]  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.startswith("xqe: batch import: 3 records, 0 generated, 4 reused, 0 failed, 0 tokens")


def test_samples_of_an_expansion(xqe: Run, tmp_path: Path) -> None:
    options = ("--strategy", "fewshot", "-n", "3", "--temperature", "0.9", "--top-k", "7", "--shots", "2",
               "--api", "completions", "--seed", "5", "--max-tokens", "11", "--quiet", *MODEL)  # fmt: skip
    batch = Batch(xqe, tmp_path, *options, queries=QUERIES[:1])
    assert [request["url"] for request in batch.requests] == ["/v1/completions"] * 3
    body = batch.requests[0]["body"]
    assert body["prompt"].count("Passage:") == 3 and body["stop"] == ["\n"]
    assert body.items() >= {"temperature": 0.9, "top_k": 7, "max_tokens": 11}.items()
    assert len({request["body"]["seed"] for request in batch.requests}) == 3
    done = batch.join([result(request, f"text {i}") for i, request in enumerate(batch.requests)])
    (record,) = records(done)
    assert record["passages"] == ["text 0", "text 1", "text 2"]
    expected = {"strategy": "fewshot", "shots": 2, "seed": 5, "temperature": 0.9, "top_k": 7, "tokens": 12}
    assert record["steps"][0].items() >= expected.items()
    assert done.stderr == ""


def test_samples_of_a_translation(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO, "-n", "3", "--quiet", queries=[{"id": "1", "query": "das Haus", "lang": "de"}])
    bodies = [request["body"] for request in batch.requests]
    assert [body["temperature"] for body in bodies] == [0, 0.7, 0.7]
    assert [body["logprobs"] for body in bodies] == [True] * 3
    texts = ("house", "the house", "the house")
    (record,) = records(batch.join([result(*one) for one in zip(batch.requests, texts, strict=True)]))
    assert [(one["text"], one["count"]) for one in record["translations"]] == [("the house", 2), ("house", 1)]
    assert record["query"] == "the house"


def test_what_failed_is_the_error_of_its_record(xqe: Run, tmp_path: Path) -> None:
    queries = [{"id": str(i), "query": f"frage {i}", "lang": "de"} for i in range(7)]
    batch = Batch(xqe, tmp_path, *TO, queries=queries)
    a, b, c, d, e, f, _ = batch.requests
    no_text = result(d, "")
    no_text["response"]["body"]["choices"] = []
    vllm = {
        "id": "v",
        "custom_id": f["custom_id"],
        "response": None,
        "error": {"message": "no such model", "code": 404},
    }
    done = batch.join([result(a, "A"), failure(b, 400, "too   long"), expired(c), no_text, result(e, " "), vllm])
    out = records(done)
    assert [record["id"] for record in out] == [str(i) for i in range(7)]
    assert out[0]["query"] == "A"
    assert [record["error"]["message"] for record in out[1:]] == [
        "batch: answers 400: too long",
        "batch: This request was too late.",
        f"batch: the answer has no choices: {json.dumps(no_text['response']['body'])}",
        "the model answered nothing",
        "batch: no such model",
        f"batch: there is no result for {batch.requests[6]['custom_id']}",
    ]
    assert out[1]["query"] == "frage 1", "it keeps its last good state"
    assert done.returncode == 1
    assert "7 records, 0 generated, 2 reused, 6 failed" in done.stderr


def test_what_is_not_the_answer_is_no_query(xqe: Run, tmp_path: Path) -> None:
    queries = [{"id": str(i), "query": f"Zinkpreise {i}", "lang": "de"} for i in range(3)]
    batch = Batch(xqe, tmp_path, *TO, queries=queries)
    thought = "Okay, a short query.\nIt means zinc prices.\n</think>\n\nzinc prices"
    a, b, c = batch.requests
    done = batch.join(
        [result(a, thought), result(b, "Here is the translation:"), result(c, "Okay, the user", "length")]
    )
    first, second, third = records(done)
    assert first["query"] == "zinc prices"
    assert [(step["taken_off"], step["raw"]) for step in first["steps"]] == [(["reasoning"], [thought])]
    assert {key: second[key] for key in queries[1]} == queries[1], "it keeps its last good state"
    assert second["error"]["message"] == "the answer is nothing but talk: Here is the translation:"
    thinks = "the model thinks aloud instead of answering: Okay, the user; give it more --max-tokens"
    assert third["error"]["message"] == thinks
    assert done.returncode == 1


UNFINISHED: list[tuple[Any, str]] = [
    *((reason, "the text is not finished") for reason in ("abort", "error", None, "tool_calls", {"type": "abort"})),
    ("content_filter", "the server's content filter stopped the answer"),
]


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_what_is_not_finished_is_no_text(xqe: Run, tmp_path: Path, api: str) -> None:
    queries = [{"id": str(i), "query": f"frage {i}", "lang": "de"} for i in range(len(UNFINISHED) + 3)]
    batch = Batch(xqe, tmp_path, *TO, "--api", api, queries=queries)
    reasons = [*(reason for reason, _ in UNFINISHED), "model_length", "MAX_TOKENS", "end_turn"]
    done = batch.join([result(*pair) for pair in zip(batch.requests, "abcdefghi", reasons, strict=True)])
    out = records(done)
    for record, (_, said) in zip(out, UNFINISHED, strict=False):
        assert record["error"]["message"].startswith(f"batch: {said}")
    assert [record["steps"][0]["finish"] for record in out[len(UNFINISHED) :]] == ["length", "length", "stop"]


def test_results_with_parts_and_with_errors_in_them(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO, queries=QUERIES[:1])
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = result(batch.requests[0], [thought, {"type": "text", "text": "name of mercury"}])
    (record,) = records(batch.join([parts]))
    assert record["query"] == "name of mercury"
    parts["response"]["body"]["choices"][0]["error"] = {"code": 502, "message": "idle"}
    (record,) = records(batch.join([parts]))
    assert record["error"]["message"] == "batch: the answer is an error: idle"


def test_options_other_than_those_of_the_export(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO)
    rows = [result(request, "text") for request in batch.requests]
    done = batch.join(rows, options=("--to", "en", "--temperature", "0.5", *MODEL))
    said = "batch: the result answers another request: the options or the record differ from the export's"
    assert [record.get("error", {}).get("message") for record in records(done)] == [said, said, None]
    assert "results that belong to no request of these records with these options: 4\n" in done.stderr
    assert done.returncode == 1


def test_a_result_without_a_request_is_counted(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO)
    rows = [result(request, "text") for request in batch.requests]
    stranger = {**rows[0], "custom_id": "request-1"}
    done = batch.join([*rows, stranger, {**stranger, "custom_id": "of-another-batch"}])
    assert done.stderr.startswith("xqe: results that belong to no request of these records with these options: 2\n")
    assert done.returncode == 0


def test_of_several_results_the_last_that_succeeded_counts(xqe: Run, tmp_path: Path) -> None:
    batch = Batch(xqe, tmp_path, *TO, queries=QUERIES[:1])
    (request,) = batch.requests
    early, late, bad = result(request, "early"), result(request, "late"), failure(request, 500, "no")
    for files, expected in [
        (([early], [late]), "late"),
        (([bad], [early]), "early"),
        (([early, bad], [expired(request)]), "early"),
        (([late], [early], [bad]), "early"),
    ]:
        (record,) = records(batch.join(*files))
        assert record["query"] == expected
    (record,) = records(batch.join([bad], [expired(request)]))
    assert record["error"]["message"] == "batch: This request was too late."


def test_records_with_the_same_id(xqe: Run, tmp_path: Path) -> None:
    same, other = QUERIES[0], {**QUERIES[0], "query": "nom de la lune"}
    batch = Batch(xqe, tmp_path, *TO, queries=[same, other, same])
    names = [request["custom_id"] for request in batch.requests]
    assert len(names) == len(set(names)) == 2, "one request does for two records that ask the same"
    done = batch.join([result(request, f"text {i}") for i, request in enumerate(batch.requests)])
    assert [record["query"] for record in records(done)] == ["text 0", "text 1", "text 0"]


def test_a_long_id_fits_into_what_servers_allow(xqe: Run, tmp_path: Path) -> None:
    queries = [{**QUERIES[0], "id": "x" * 100 + tail} for tail in "ab"]
    batch = Batch(xqe, tmp_path, "-s", "zeroshot", "-n", "2", "--temperature", "1", *MODEL, queries=queries)
    names = [request["custom_id"] for request in batch.requests]
    assert len(set(names)) == 4 and all(len(name) <= 64 for name in names)
    done = batch.join([result(request, f"text {i}") for i, request in enumerate(batch.requests)])
    assert [record["passages"] for record in records(done)] == [["text 0", "text 1"], ["text 2", "text 3"]]


def test_records_that_cannot_be_done_make_no_request(xqe: Run, tmp_path: Path) -> None:
    queries: list[dict[str, Any]] = [
        {"id": "1", "query": " ", "lang": "de"},
        {"id": "2", "query": "x", "lang": "de", "error": {"step": "translate", "message": "earlier"}},
        {"id": "3", "query": "<think>", "lang": "de"},
    ]
    batch = Batch(xqe, tmp_path, *TO, queries=queries)
    assert [request["custom_id"][:3] for request in batch.requests] == ["3-0"]
    assert batch.exported.returncode == 1
    assert batch.exported.stderr == "xqe: batch export: 3 records, 1 requests, 2 failed\n"
    done = batch.join([result(batch.requests[0], "think")])
    assert [record.get("error", {}).get("message") for record in records(done)] == [
        "the query is empty",
        "earlier",
        None,
    ]


def test_the_first_request_leaves_before_standard_input_closes() -> None:
    with start("batch", "export", *TO, "--quiet") as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(jsonl({**QUERIES[0], "id": f"n{number}"}))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["custom_id"].startswith(f"n{number}-0-")
        process.stdin.close()
        assert process.wait(20) == 0


SHAPE = 'each line needs {"custom_id", "response", "error"}'
BAD = [
    (("export", *MODEL), "neither --strategy nor --to is given; --strategy NAME expands, and --to LANG translates"),
    (("export", *TO, "--prompt", "p.toml"), "p.toml: no such file"),
    (("export", *TO, "--documents", "--samples", "2"), "--samples has no effect on a translation"),
    (("export", *TO, "--examples", "e.jsonl"), "--examples has no effect on a translation"),
    (("export", "--to", "en"), "no model is named; give --model openai:NAME"),
    (("export", "--to", "en", "--model", "tiny"), "--model tiny is not on a server; give --model openai:NAME"),
    (("export", "--to", "en", "--model", "openai:"), "--model openai: is not on a server"),
    (("export", "--to", "xx", *MODEL), '--to: unknown language "xx"'),
    (("export", "-s", "rar", "-n", "2", *MODEL), "--samples 2 at temperature 0"),
    (("import", *TO), "missing option '--results'"),
    (("import", *TO, "--results", "none.jsonl"), "none.jsonl: no such file"),
    (("import", *TO, "--results", "{folder}/broken"), "{folder}/broken:2: broken JSON"),
    (("import", *TO, "--results", "{folder}/other"), "{folder}/other:1: not the result of a batch; " + SHAPE),
    (("import", *TO, "--results", "{folder}/requests"), "{folder}/requests:1: neither a response nor an error"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_bad_input_is_one_line_and_status_2(xqe: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "broken").write_text('{"custom_id": "a", "error": null}\n{oops\n')
    (tmp_path / "other").write_text(jsonl(QUERIES[0]))
    (tmp_path / "requests").write_text(jsonl({"custom_id": "a", "method": "POST", "url": "/v1/x", "body": {}}))
    done = xqe("batch", *(text.replace("{folder}", str(tmp_path)) for text in arguments), stdin=jsonl(QUERIES[0]))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"xqe: {said.replace('{folder}', str(tmp_path))}")
