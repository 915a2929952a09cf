"""Runs xqe on thousands of damaged inputs, one after the other, in this process; prints what must not have happened.

A case is drawn from the seed and its number: one of the `ROWS`, a command with the files that it reads, of which one is
damaged, or whose options are given a value that is none. All must end with status 0, 1 or 2, without a traceback or an
"internal error"; what leaves as JSON must be JSON; and where the command passes records on, all must have come out, in
their order, with "error" in one exactly where the status is 1.

    python tests/mutated.py FOLDER SEED FIRST LAST    # cases FIRST to LAST - 1, in FOLDER, a new one

prints a JSON object a line for each fault, and at the end {"ended": {status: how many of the cases}}.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import small_models
from damage import damaged

from xqe import cli
from xqe.models import prompts

QUERIES: list[dict[str, Any]] = [
    {"id": "q1", "query": "Zinkpreise im Osten", "lang": "de", "note": {"a": [1, 2.5, None, "ü"]}},
    {"id": "q2", "query": "Wetter in Wien", "lang": "de"},
    {"id": "q3", "query": "金属の価格", "lang": "ja"},
    {"id": "q4", "query": "prix du zinc", "lang": "fr", "rank": 3},
]
DOCUMENTS: list[dict[str, Any]] = [
    {"id": f"d{number}", "title": f"On {word}", "text": f"The price of {word} rises in the east, number {number}."}
    for number, word in enumerate(("zinc", "tin", "cobalt", "weather", "Vienna", "metal", "iron"), 1)
]
HEADER = {"id": "id", "query": "query", "lang": "lang"}
CSV = "id,title,text\n" + "".join(f'{one["id"]},{one["title"]},"{one["text"]}\n""x"""\n' for one in DOCUMENTS)
QUESTIONS = {"de": ["Was kostet es?", "Wird es teurer?"], "ja": ["価格は？"], "fr": []}
QRELS = "q1 0 d1 2\nq1 0 d2 1\nq2 0 d4 1\nq2 0 d5 0\nq3 0 d6 1\nq4 0 d1 1\n"
TOPICS = (
    "<top>\n<num> Number: q1\n<title> zinc\n<desc> Description:\nThe price of zinc.\n</top>\n\n"
    "<top>\n<num> Number: q2\n<title> weather\n</top>\n"
)
SGML = "".join(
    f"<DOC>\n<DOCNO> {one['id']} </DOCNO>\n<HEADLINE>{one['title']}</HEADLINE>\n"
    f"<TEXT>\n{one['text']}\n</TEXT>\n</DOC>\n"
    for one in DOCUMENTS
)
JUDGED: list[dict[str, Any]] = [
    {
        "id": f"j{number}",
        "query": "price of zinc",
        "lang": "en",
        "source": {"query": "zinc price", "lang": "en"},
        "passages": ["The price of zinc.", "Weather in Vienna."],
        "translations": [{"text": "price of zinc", "share": 0.7}, {"text": "zinc prices", "share": 0.3}],
        "closeness": {"query": 0.9, "passages": [0.8, -0.1]},
    }
    for number in (1, 2)
]
PAIRS = [{"source": "Zinkpreis", "target": "zinc price", "source_lang": lang} for lang in ("de", "ja", "fr")]
PROMPT = '[chat]\nsystem = "You write in {lang}."\nuser = "Write about {query}."\n'
ANSWER = (
    '[chat]\nuser = "{instruction} {documents} {query}"\n[completion]\ntext = "{documents} {query}"\nstop = ["x"]\n'
)
GOLD: list[dict[str, Any]] = [
    {"id": "q1", "lang": "de", "answers": ["Zink", "das Zink"]},
    {"id": "q2", "answers": "Wien"},
    {"id": "q3", "lang": "ja", "answers": {"text": ["金属"]}},
    {"example_id": "q4", "answers": {"fr": [{"text": "le zinc", "aliases": ["zinc"]}], "de": [{"text": None}]}},
]
GRID = (
    'name = "small"\nstrategies = ["zeroshot"]\norders = ["te"]\nuses = ["query+doc"]\nbaselines = ["original"]\n'
    '[[models]]\nmodel = "fake"\n[[collections]]\npath = "col"\npairs = ["en-en"]\n'
)

# Values for options that are none.
VALUES = [
    "nan", "inf", "-1", "0", "1", "2", "1e400", "9" * 400, "0x10", "1_0", "１", "", " ", "a", "de", "pt-BR", "xx",
    "zh-Hant-TW", "../../x", "/", ".", "/dev/null", "/dev/full", "x\x1b[31m", "ä\u202e", "[red]x", "a" * 5000,
    "nDCG@10", "ndcg_cut_10", "MRR,nope", "{query}", "rrf", "min-max", "fake", "openai:x", "http://127.0.0.1:9/v1",
    "--", "q.jsonl", "idx", "col",
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A command. arguments: its words, of which those that begin with "@" are files of the folder, one of which is
    damaged; one in a folder that is named before is "@folder:pattern", and stands in no word. passes: the file whose
    records must come out. often: how many cases there are of it, beside the others."""

    arguments: str
    often: int = 10
    passes: str = ""
    within: str = ""  # "folder:pattern": a file of it is damaged, and "%" in arguments is the damaged folder


ROWS = (
    Row("translate --to en -i @q.jsonl", 30, "q.jsonl"),
    Row("translate --documents --from en --to de -i @docs.jsonl", 20, "docs.jsonl"),
    Row("translate --documents --from en --to de --input-format tsv -i @docs.tsv", 5),
    Row("expand -s zeroshot -i @t.jsonl", 30, "t.jsonl"),
    Row("expand -s fewshot --lang en -i @q.jsonl", 20, "q.jsonl"),
    Row("expand --prompt @prompt.toml -i q.jsonl", 20),
    Row("expand -s cot --samples 2 -i @e.jsonl", 10, "e.jsonl"),
    Row("expand -s csqe -i @hits.jsonl", 20, "hits.jsonl"),
    Row("expand -s qa-expand -i @q.jsonl", 10, "q.jsonl"),
    Row("search idx --texts -i @combined.jsonl", 20, "combined.jsonl"),
    Row("augment --to en,de --from en -n 2 -i @asked.jsonl", 20, "asked.jsonl"),
    Row("augment --to en --from en -n 1 --samples 2 --index idx -i @docs.jsonl", 10, "docs.jsonl"),
    Row("batch export --to en -i @q.jsonl -m openai:m", 15),
    Row("batch import --to en -i q.jsonl -m openai:m --results @results.jsonl", 40, "q.jsonl"),
    Row("index new --lang en -i @asked.jsonl --force", 12),
    Row("index new --lang en -i @docs.tsv --input-format tsv --force", 8),
    Row("index new --lang auto -i @docs.csv --force", 15),
    Row("index new --lang en -i @docs.json --title-field title --text-field text --force", 10),
    Row("index new --lang en @docs.csv --id-field 1 --text-field 3 --text-field 2 --force", 5),
    Row("index new --lang en -i % --force", 5, "", "texts:*"),
    Row("translate --from auto --to en -i @q.txt", 10),
    Row("search idx -i @q.csv", 10),
    Row("translate --to en --examples @pairs.jsonl --choose seed -i q.jsonl", 10, "q.jsonl"),
    Row("translate --to en --index % -i q.jsonl", 8, "", "idx:**/*"),
    Row("expand --index idx --nearby 2 -i @run.jsonl", 10, "run.jsonl"),
    Row("search idx -i @judged.jsonl", 10, "judged.jsonl"),
    Row("search idx -i @judged.jsonl --judge drop --encoder fake", 15, "judged.jsonl"),
    Row("inspect -i @judged.jsonl --encoder fake", 10, "judged.jsonl"),
    Row("search idx -i @e.jsonl", 30, "e.jsonl"),
    Row("search many -i @t.jsonl", 10, "t.jsonl"),
    Row("index new --lang record -i @many.jsonl --force", 5),
    Row("index new --lang en -i @asked.jsonl --force", 10),
    Row("search % -i e.jsonl --question-weight 1 --question-share 0.3 --questions-of de,ja", 12, "", "asked:**/*"),
    Row("search idx --by hybrid -i @t.jsonl", 10, "t.jsonl"),
    Row("search % -i e.jsonl", 15, "", "idx:**/*"),
    Row("embed % --encoder fake --name other", 5, "", "idx:**/*"),
    Row("rerank idx --kind cross -i @run.jsonl", 10, "run.jsonl"),
    Row("fuse @run.jsonl run.trec", 30),
    Row("fuse run.jsonl @run.trec --norm min-max", 30),
    Row("rerank idx -i @run.jsonl", 20, "run.jsonl"),
    Row("rerank idx -n 3 --kind yes-no --queries q.jsonl @run.trec --format trec", 10),
    Row("rerank idx --kind listwise --queries @q.jsonl run.trec", 10),
    Row("rerank idx --prompt @relevance.toml --kind yes-no run.jsonl", 5),
    Row("eval --qrels qrels.txt @run.jsonl", 30),
    Row("eval --qrels qrels.txt @run.trec -m MAP,nDCG@10", 30),
    Row("eval --qrels @qrels.txt run.trec", 30),
    Row("eval --qrels qrels.txt --baseline run.trec @run.jsonl --by source.lang", 15),
    Row("answer idx -i @run.jsonl", 20, "run.jsonl"),
    Row("answer idx --cite after --prompt @answer.toml -i run.jsonl", 10),
    Row("ask idx -i @q.jsonl", 10, "q.jsonl"),
    Row("ask many --rerank 2 --gloss snippets -i @t.jsonl", 10, "t.jsonl"),
    Row("eval --answers --gold gold.jsonl --index idx @answers.jsonl --by source.lang", 20),
    Row("eval --answers --gold @gold.jsonl answers.jsonl -m F1,char-3-recall", 10),
    Row("inspect -i @e.jsonl", 20, "e.jsonl"),
    Row("analyze --lang ru @text.txt", 8),
    Row("analyze --lang en -i @q.jsonl", 15),
    Row("explain idx zinc d1", 3),
    Row("view @run.jsonl --index idx", 15),
    Row("view @run.trec --queries q.jsonl", 8),
    Row("trace --index idx -i @e.jsonl", 8),
    Row("grid @grid.toml --out new --dry-run", 15),
    Row("data info %", 10, "", "col:**/*.json"),
    Row("data info % --verify", 10, "", "col:**/*"),
    Row("data sample % --queries 2 --out new", 15, "", "col:**/*"),
    Row("data convert beir % --lang en --out new", 15, "", "beir:**/*"),
    Row("data convert trec @docs.sgml --lang en --queries topics.txt --qrels qrels.txt --out new", 15),
    Row("data convert trec docs.sgml --lang en --queries @topics.txt --qrels qrels.txt --out new", 15),
    Row("data convert pyserini docs.jsonl --lang en --queries @q.tsv --qrels qrels.txt --out new", 10),
    Row("data convert pyserini @docs.jsonl --lang en --queries q.tsv --qrels qrels.txt --out new", 10),
    Row("data convert msmarco @docs.tsv --lang en --queries q.tsv --qrels qrels.txt --out new", 10),
    Row("store info --store @store.sqlite", 10),
    Row("store export --store @store.sqlite", 10),
    Row("store prune --older-than 0 --store @store.sqlite", 5),
    Row("translate --to en -i q.jsonl --store @store.sqlite", 10, "q.jsonl"),
    Row("models verify @small.gguf", 10),
    Row("models list", 2),
    Row("strategies", 2),
    Row("languages", 2),
    Row("report % --out new", 4, "", "results:**/*.json*"),
    Row("report % --history --out new", 4, "", "results:**/*.json*"),
    Row("finetune data col --out new --lang en", 4),
    Row("doctor", 1),
    Row("man data fetch", 2),
    Row("completion zsh", 2),
)
# What would take what the machine has, wait for somebody, or say nothing of xqe.
_NEVER = {
    "--help",
    "--out",
    "--verbose",
    "--jobs",
    "--workers",
    "--threads",
    "--parallel",
    "--store",
    "--batch",
    "--retries",
}


class Options:
    """The options of each command, asked of itself."""

    def __init__(self) -> None:
        self._command = cli.command()

    def of(self, words: list[str]) -> list[str]:
        command = self._command
        for word in words:
            commands = getattr(command, "commands", None)
            if commands is None:
                break
            command = commands[word]
        return [
            one.opts[0]
            for one in command.params
            if one.param_type_name == "option" and not getattr(one, "is_flag", False) and one.opts[0] not in _NEVER
        ]


class Captured:
    """Standard output and error of a command that runs in this process, as bytes."""

    def __init__(self) -> None:
        self._files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115
        self.answers = os.fdopen(os.dup(1), "w")
        for number, file in enumerate(self._files, 1):
            os.dup2(file.fileno(), number)

    def __call__(self, words: list[str]) -> tuple[object, bytes, bytes]:
        """Run a command; its status, or what it raised; output and error."""
        for file in self._files:
            file.seek(0)
            file.truncate()
        try:
            status: object = cli.run(words)
        except SystemExit as ended:
            status = ended.code
        except BaseException as error:
            status = repr(error)
        sys.stdout.flush()
        sys.stderr.flush()
        written = []
        for file in self._files:
            file.seek(0)
            written.append(file.read())
        return status, written[0], written[1]


def materials(run: Captured) -> None:
    """Write into this folder what the commands read, whole."""

    def made(name: str, words: str) -> None:
        status, output, error = run(words.split())
        assert status == 0, (words, error.decode())
        if name:
            Path(name).write_bytes(output)

    def lines(rows: list[dict[str, Any]]) -> str:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    for name, text in {
        "q.jsonl": lines(QUERIES),
        "many.jsonl": lines([{**one, "lang": ("en", "de", "fr")[at % 3]} for at, one in enumerate(DOCUMENTS)]),
        "asked.jsonl": lines([{**one, "questions": QUESTIONS} for one in DOCUMENTS]),
        "judged.jsonl": lines(JUDGED),
        "pairs.jsonl": lines(PAIRS),
        "q.tsv": "".join(f"{one['id']}\t{one['query']}\n" for one in QUERIES),
        "docs.jsonl": lines(DOCUMENTS),
        "docs.tsv": "".join(f"{one['id']}\t{one['text']}\n" for one in DOCUMENTS),
        "docs.csv": CSV,
        "docs.json": json.dumps(DOCUMENTS, indent=1),
        "q.txt": "".join(f"{one['query']}\n" for one in QUERIES),
        "q.csv": "".join(f'{one["id"]};"{one["query"]}";{one["lang"]}\n' for one in [HEADER, *QUERIES]),
        "texts/a.txt": "Vienna\n\nzinc\n",
        "texts/b.md": "# Zinc\n",
        "docs.sgml": SGML,
        "topics.txt": TOPICS,
        "qrels.txt": QRELS,
        "text.txt": "Вена — столица Австрии.\nГрац — второй город\n",
        "prompt.toml": PROMPT,
        "answer.toml": ANSWER,
        "relevance.toml": (Path(prompts.__file__).parent / "relevance.toml").read_text("utf-8"),
        "grid.toml": GRID,
        "beir/corpus.jsonl": lines([{"_id": one["id"], **one} for one in DOCUMENTS]),
        "beir/queries.jsonl": lines([{"_id": one["id"], "text": one["query"]} for one in QUERIES]),
        "beir/qrels/test.tsv": "query-id\tcorpus-id\tscore\n" + QRELS.replace(" 0 ", " ").replace(" ", "\t"),
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, "utf-8")
    small_models.bigrams(Path("small.gguf"), small_models.saying(small_models.SAID))
    made("t.jsonl", "translate --to en -i q.jsonl --store store.sqlite")
    made("e.jsonl", "expand -s zeroshot -i t.jsonl --store store.sqlite")
    made("", "index idx --lang en -i docs.jsonl")
    made("", "index many --lang record -i many.jsonl")
    made("", "index asked --lang en -i asked.jsonl --encoder fake")
    made("", "embed idx --encoder fake")
    made("run.jsonl", "search idx -i e.jsonl")
    made("hits.jsonl", "search idx --texts -k 3 --by bm25 -i t.jsonl")
    made("combined.jsonl", "expand -s exp4fuse -i t.jsonl --store store.sqlite")
    Path("gold.jsonl").write_text(lines(GOLD), "utf-8")
    found = [json.loads(line) for line in Path("run.jsonl").read_text("utf-8").splitlines()]
    Path("answers.jsonl").write_text(lines(list(map(_answered, found))), "utf-8")
    made("run.trec", "search idx -i t.jsonl --format trec")
    made("", "data convert beir beir --lang en --out col")
    made("requests.jsonl", "batch export --to en -i q.jsonl -m openai:m")
    choice = {"message": {"role": "assistant", "content": "zinc prices"}, "finish_reason": "stop"}
    body = {"model": "m", "choices": [choice], "usage": {"completion_tokens": 3}}
    asked = [json.loads(line) for line in Path("requests.jsonl").read_text("utf-8").splitlines()]
    answered = [
        {"custom_id": one["custom_id"], "response": {"status_code": 200, "body": body}, "error": None} for one in asked
    ]
    Path("results.jsonl").write_text(lines(answered), "utf-8")
    made("", "grid grid.toml --out results")


def _answered(record: dict[str, Any]) -> dict[str, Any]:
    """A record as `xqe answer` leaves it."""
    offered = [hit["id"] for hit in record["hits"]][:3]
    sentences = [{"text": "The price of zinc rises.", "sources": offered[:1]}, {"text": "So it is.", "sources": []}]
    answer = {"lang": record["source"]["lang"], "text": "The price of zinc rises. So it is.", "sentences": sentences}
    step = {"step": "answer", "offered": offered, "invalid": 1}
    return {**record, "answer": answer, "steps": [*record["steps"], step]}


class Case:
    """A case that was drawn: its command line, and the file that is damaged, in the folder "case"."""

    def __init__(self, seed: int, number: int, options: Options) -> None:
        self.draw = random.Random(f"{seed}-{number}")
        (self.row,) = self.draw.choices(ROWS, [row.often for row in ROWS])
        self.words = self.row.arguments.split()
        self.added: list[str] = []
        self.damaged: Path | None = None
        files = [at for at, word in enumerate(self.words) if word.startswith("@")]
        is_of_options = not (files or self.row.within) or self.draw.random() < 0.2
        for at in files:
            name = self.words[at][1:]
            self.words[at] = name if is_of_options else f"case/{name}"
            if not is_of_options:
                self._damage(Path(name), Path(self.words[at]))
        if self.row.within:
            folder, _, pattern = self.row.within.partition(":")
            self.words[self.words.index("%")] = f"case/{folder}"
            shutil.copytree(folder, f"case/{folder}")
            if not is_of_options:
                inside = sorted(path for path in Path(folder).glob(pattern) if path.is_file())
                one = self.draw.choice(inside)
                self._damage(one, Path("case") / one)
        if is_of_options:
            for _ in range(self.draw.choice((1, 1, 2))):
                if known := options.of(self.words):
                    self.added += [self.draw.choice(known), self.draw.choice(VALUES)]
        self.words += self.added

    def _damage(self, source: Path, target: Path) -> None:
        data = damaged(self.draw, source.read_bytes())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.damaged = target


def faults(case: Case, status: object, output: bytes, error: bytes) -> Iterator[str]:
    said = error.decode("utf-8", "surrogateescape")
    if status not in (0, 1, 2):
        yield f"status {status}"
    if "Traceback" in said or "internal error" in said:
        yield "internal error"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said):
        yield "a control character is said"
    if any(len(line) > 2000 for line in said.splitlines()):
        yield "a line of more than 2,000 characters is said"
    if status in (1, 2) and not said.strip():
        yield "nothing is said"
    try:
        rows = [_strict(line) for line in output.decode().splitlines() if line.startswith("{")]
    except ValueError as broken:
        yield f"output: {broken}"
        return
    if case.row.passes and status in (0, 1) and not {"--format", "--by", "--input"} & set(case.added):
        file = Path(case.row.passes)
        read = case.damaged if case.damaged is not None and case.damaged.name == file.name else file
        wanted = _ids(read.read_bytes())
        if wanted is not None and [row.get("id") for row in rows] != wanted:
            yield f"records: {[row.get('id') for row in rows]}, not {wanted}"
        if any("error" in row and row["error"] for row in rows) != (status == 1):
            yield f"status {status} with the errors {[row.get('error') for row in rows]}"


def _strict(line: str) -> Any:
    def none(word: str) -> NoReturn:
        raise ValueError(f"{word} is no JSON")

    return json.loads(line, parse_constant=none)


def _ids(data: bytes) -> list[object] | None:
    """The ids of the records of a file, as another reader of JSONL finds them; None if it is none for that."""
    try:
        rows = [json.loads(line) for line in data.decode("utf-8-sig").split("\n") if line.strip(" \r\t")]
        return [str(row["id"]) if type(row["id"]) is int else row["id"] for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def main(folder: str, seed: str, first: str, last: str) -> None:
    Path(folder).mkdir()
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("XQE_")]:
        del os.environ[name]
    os.environ.update(XQE_MODEL="fake", XQE_STORE="store-of-all.sqlite", XQE_MODELS="models", XQE_DATA="data")
    run = Captured()
    materials(run)
    options = Options()
    ended: Counter[object] = Counter()
    for number in range(int(first), int(last)):
        for left in ("case", "new"):
            shutil.rmtree(left, ignore_errors=True)
        case = Case(int(seed), number, options)
        status, output, error = run(case.words)
        found = list(faults(case, status, output, error))
        if found:
            told = {
                "case": number,
                "words": case.words,
                "faults": found,
                "error": error.decode("utf-8", "replace")[-2000:],
            }
            run.answers.write(json.dumps(told) + "\n")
            run.answers.flush()
        ended[status] += 1
    run.answers.write(json.dumps({"ended": ended}) + "\n")
    run.answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
