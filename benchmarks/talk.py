"""What models say besides what they were asked for, and what is taken off of it: `make bench-talk`.

    make bench-talk COLLECTION=DIR [OUT=DIR] [BENCH="--model FILE... --queries 100 --markdown"]

DIR holds docs.LANG.jsonl and queries.LANG.jsonl, with the same ids in all languages. Each model translates a seeded
sample of queries for each pair of --tasks, and writes zero-shot passages for each language there. Its answers are kept
in --out as they come, so that a second run only takes them apart. An answer counts as talk where its words are not
those of the text in labels.jsonl there, which a person has corrected: `--label` writes what is found, for that.
"before" is the rule that there was: a thinking block is left out, and a query is the first line.

The second table is of what people wrote: each query and document, as if it were the answer to its counterpart in the
other language, or to its own query. All of it should stay as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import MISSING, processor, table

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.machine import available_cores
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.lookup import resolve
from xqe.stages.expand import Expand
from xqe.stages.generation import Stage
from xqe.stages.strategies import Strategy
from xqe.stages.translate import Translate
from xqe.text.answers.parting import Field, Parted, Wanted, parted
from xqe.text.answers.talk import words_of
from xqe.text.languages import LANGUAGES, language

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_TEXT = {"query": "query", "passage": "text"}

Answer = Mapping[str, Any]
"""id, query, task ("de-en" for a translation, "de" for passages), raw, finish."""


# ---------------------------------------------------------------- what models say


def answers(options: argparse.Namespace) -> Iterator[tuple[str, str, list[Answer]]]:
    """The answers of each model to each task, generated if they are not there."""
    for name in options.model:
        stem = Path(name).stem
        paths = {task: options.out / f"{stem}.{task}.jsonl" for task in options.tasks.split(",")}
        if missing := [task for task, path in paths.items() if not path.exists()]:
            _generate(name, {task: paths[task] for task in missing}, options)
        for task, path in paths.items():
            yield stem, task, [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _generate(name: str, paths: Mapping[str, Path], options: argparse.Namespace) -> None:
    model = resolve(name)
    with LlamaEngine(model.name, str(model.path), settings=Settings(threads=options.threads)) as engine:
        for task, path in paths.items():
            print(path.name, file=sys.stderr, flush=True)
            records = _sample(options.collection, "queries", task.split("-")[0], options.queries, options.seed)
            lines = [json.dumps(answer, ensure_ascii=False) for answer in _asked(engine, task, records, options)]
            partial = path.with_suffix(".part")
            partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")
            partial.replace(path)


def _asked(engine: Engine, task: str, records: Sequence[Record], options: argparse.Namespace) -> Iterator[Answer]:
    target = task.partition("-")[2]
    stage: Stage = Expand(engine, Strategy.ZEROSHOT.template, max_tokens=options.max_tokens)
    if target:
        stage = Translate(engine, language(target))
    for job in engine.generate(Job(record, stage.requests(record)) for record in records):
        [done] = job.results()
        query = {"id": job.item["id"], "query": job.item["query"], "task": task}
        yield {**query, "raw": done.text, "finish": done.finish}


def _before(answer: Answer) -> str:
    text = _THINKING.sub("", answer["raw"]).strip()
    return text.partition("\n")[0].strip() if "-" in answer["task"] else text


def _after(answer: Answer) -> Parted:
    codes, is_query = frozenset(answer["task"].split("-")), "-" in answer["task"]
    wanted = Wanted("query" if is_query else "passage", " ".join(answer["query"].split()), codes, is_query)
    return parted(answer["raw"], wanted, is_cut=answer["finish"] == "length")


def _key(answer: Answer) -> str:
    return hashlib.blake2b(f"{answer['query']}\0{answer['raw']}".encode(), digest_size=8).hexdigest()


def _row(name: str, task: str, found: Sequence[Answer], labels: Mapping[str, str | None]) -> list[str]:
    """What entered, by the labels: a text with other words than the right one, or any where nothing is right."""
    labelled = [answer for answer in found if _key(answer) in labels]
    wrong = Counter[str]()
    lost = failed = 0
    for answer in labelled:
        right, now = labels[_key(answer)], _after(answer)
        wrong["before"] += not _is_right(_before(answer), right)
        wrong["after"] += not now.problem and not _is_right(now.text, right)
        failed += bool(now.problem)
        lost += bool(now.problem) and right is not None
    shares = [_share(wrong[when], len(labelled)) for when in ("before", "after")]
    kinds = Counter(kind for answer in found for kind in _after(answer).taken).most_common()
    said = " ".join(f"{kind} {count}" for kind, count in kinds) or MISSING
    return [f"{name}, {task}", str(len(labelled)), *shares, str(failed), str(lost), said]


def _is_right(text: str, right: str | None) -> bool:
    return right is not None and words_of(text) == words_of(right)


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.0f}" if total else MISSING


def _labels(path: Path) -> dict[str, str | None]:
    if not path.exists():
        return {}
    return {row["key"]: row["text"] for row in map(json.loads, path.read_text("utf-8").splitlines())}


def _label(found: Sequence[tuple[str, str, list[Answer]]], path: Path) -> None:
    """Write the text of each answer as it is found now, None for none, where there is no label yet."""
    known = _labels(path)
    with open(path, "a", encoding="utf-8") as file:
        for _, _, those in found:
            for answer in those:
                if _key(answer) not in known:
                    now = _after(answer)
                    row = {"key": _key(answer), "text": None if now.problem else now.text, **answer}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------- what people wrote


def _sample(collection: Path, kind: str, code: str, count: int, seed: int) -> list[Record]:
    with open(collection / f"{kind}.{code}.jsonl", encoding="utf-8") as file:
        lines = list(file)
    return [json.loads(line) for line in random.Random(f"{seed} {code}").sample(lines, min(count, len(lines)))]


def people(collection: Path, count: int, seed: int) -> Iterator[tuple[str, int, list[tuple[str, str, Parted]]]]:
    """For each kind of text and pair of languages how many there are, and those that are touched: source, text, what is
    found in it."""
    codes = [code for code in LANGUAGES if (collection / f"queries.{code}.jsonl").exists()]
    fields: tuple[Field, ...] = ("query", "passage")
    for field in fields:
        texts = {code: _texts(collection, field, code) for code in codes}
        for source, target in [(a, b) for a in codes for b in codes if a != b and "en" in (a, b)]:
            yield f"{field}, {source}-{target}", *_touched(texts[source], texts[target], field, (source, target), count)
    for code in codes:
        queries, passages = (_texts(collection, field, code) for field in fields)
        yield f"passage for query, {code}", *_touched(queries, passages, "passage", (code,), count)


def _texts(collection: Path, field: Field, code: str) -> dict[str, str]:
    name = {"query": "queries", "passage": "docs"}[field]
    with open(collection / f"{name}.{code}.jsonl", encoding="utf-8") as file:
        return {row["id"]: row[_TEXT[field]] for row in map(json.loads, file)}


def _touched(
    sources: Mapping[str, str], texts: Mapping[str, str], field: Field, codes: Sequence[str], count: int
) -> tuple[int, list[tuple[str, str, Parted]]]:
    shared = sorted(sources.keys() & texts.keys())
    chosen = random.Random(" ".join([field, *codes])).sample(shared, min(count, len(shared)))
    found = []
    for identifier in chosen:
        source, text = " ".join(sources[identifier].split()), texts[identifier]
        now = parted(text, Wanted(field, source, frozenset(codes), len(codes) > 1))
        if now.problem or words_of(now.text) != words_of(text):
            found.append((source, text, now))
    return len(chosen), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="keeps the answers, and labels.jsonl")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--tasks", default="de-en,en-de,ja-en,de,en")
    parser.add_argument("--queries", type=int, default=100, help="for each task")
    parser.add_argument("--max-tokens", type=int, default=128, help="of a passage")
    parser.add_argument("--texts", type=int, default=1000, help="of people, for each pair of languages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--label", action="store_true", help="add what is found to labels.jsonl, to be corrected")
    parser.add_argument("--show", action="store_true", help="tell each answer that is not right, and each text touched")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        found = list(answers(options))
    except XqeError as error:
        raise SystemExit(str(error)) from None
    path = options.out / "labels.jsonl"
    if options.label:
        _label(found, path)
    labels = _labels(path)
    if options.show:
        for answer in (answer for _, _, those in found for answer in those):
            now = _after(answer)
            right = labels.get(_key(answer), now.text)
            if right is None and now.problem:
                continue
            if now.problem or not _is_right(now.text, right):
                print(
                    json.dumps(
                        {**answer, "found": now.text, "problem": now.problem, "right": right}, ensure_ascii=False
                    )
                )
    heads = ["%", "answers", "talk before", "talk after", "failed", "wrongly", "taken off"]
    print(f"{processor()}; {options.queries} queries for each task\n")
    print(table(heads, [_row(*row, labels) for row in found], options.markdown), end="\n\n")
    rows, total, touched = [], 0, 0
    for name, count, texts in people(options.collection, options.texts, options.seed) if options.texts else ():
        total, touched = total + count, touched + len(texts)
        if texts:
            rows.append([name, str(count), str(len(texts))])
        for source, text, now in texts if options.show else ():
            print(json.dumps([name, source, text, now.text, now.taken, now.problem], ensure_ascii=False))
    print(
        table(["what people wrote", "texts", "touched"], [*rows, ["all", str(total), str(touched)]], options.markdown)
    )


if __name__ == "__main__":
    main()
