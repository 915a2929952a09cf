"""What a model makes of what it is asked: in which language it writes, whether it repeats itself, and on what else its
texts depend: `make bench-writing`.

    python benchmarks/writing.py [--model tiny] [--queries 10] [--max-tokens 48] [--language ru]... [--json FILE]
                                 [--markdown]

For each language, questions of the fixtures in the others, in turn, are translated into it, and passages are written
in it with no translation (`xqe expand --to`). All of that is the model's doing, and differs between models, builds of
llama.cpp and CPUs, so that no test asks for it. README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cases import FIXTURES
from tables import MISSING, processor, table

from xqe.errors import XqeError
from xqe.files.records import Record, has_failed
from xqe.machine import available_cores
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.lookup import resolve
from xqe.stages.expand import Expand
from xqe.stages.generation import Stage, run
from xqe.stages.strategies import Strategy
from xqe.stages.translate import Translate
from xqe.text.detection import language_of, script_share
from xqe.text.languages import LANGUAGES, Language

GREEDY, NO_PENALTY = Sampling(), Sampling(repeat_penalty=1.0)


@dataclass(frozen=True, slots=True)
class Written:
    """The texts that were asked for in a language. told: the language of each, None where it is not certain; in_script:
    those most of whose letters are of the language's script. None came of `failed`."""

    kind: str
    lang: str
    told: list[str | None]
    in_script: int
    failed: int

    def row(self) -> list[str]:
        asked, unsure = self.told.count(self.lang), self.told.count(None)
        others = Counter(code for code in self.told if code not in (self.lang, None)).most_common(2)
        return [
            f"{self.kind}, {self.lang}",
            *(_share(number, len(self.told)) for number in (asked, len(self.told) - asked - unsure, unsure)),
            _share(self.in_script, len(self.told)),
            str(self.failed),
            " ".join(f"{code} {number}" for code, number in others) or MISSING,
        ]


def _share(number: int, count: int) -> str:
    return f"{100 * number / count:.0f}" if count else MISSING


def questions(target: Language, count: int) -> Iterator[Record]:
    """Questions of the fixtures in the other languages, one of each in turn."""
    others = [code for code in LANGUAGES if code != target.code]
    lines = {code: (FIXTURES / "questions" / f"{code}.jsonl").read_text("utf-8").splitlines() for code in others}
    for number in range(count):
        code = others[number % len(others)]
        record: Record = json.loads(lines[code][number % len(lines[code])])
        yield {**record, "id": f"{code}-{record['id']}"}


def written(engine: Engine, target: Language, count: int, max_tokens: int) -> Iterator[Written]:
    """The passages in a language, and the translations into it."""
    stages: dict[str, Stage] = {
        "passages": Expand(engine, Strategy.ZEROSHOT.template, max_tokens=max_tokens, target=target),
        "translations": Translate(engine, target),
    }
    for kind, stage in stages.items():
        out = list(run(stage, engine, questions(target, count)))
        made = [record for record in out if not has_failed(record)]
        texts = [record["passages"][0] if kind == "passages" else record["query"] for record in made]
        shares = [script_share(text, target) or 0 for text in texts]
        in_script = sum(share > 0.5 for share in shares)
        yield Written(kind, target.code, [language_of(text) for text in texts], in_script, len(out) - len(made))


def asked(engine: Engine, count: int, max_tokens: int, sampling: Sampling = GREEDY) -> list[Request]:
    """Requests for passages in the languages of their questions."""
    stage = Expand(engine, Strategy.ZEROSHOT.template, sampling=sampling, max_tokens=max_tokens)
    target = LANGUAGES["en"]
    return [request for record in questions(target, count) for request in stage.requests(record)]


def completed(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    jobs = engine.generate(Job(None, [request]) for request in requests)
    return [completion for job in jobs for completion in job.results()]


def depends(engine: Engine, count: int, max_tokens: int) -> Iterator[list[str]]:
    """How many texts stay the same where they should, and how many of their words are different ones."""
    requests = asked(engine, count, max_tokens)
    first = [completion.text for completion in completed(engine, requests)]
    backwards = [completion.text for completion in completed(engine, requests[::-1])][::-1]
    alone = [completed(engine, [request])[0].text for request in requests]
    for name, others in (("in the opposite order", backwards), ("alone", alone)):
        same = sum(one == other for one, other in zip(first, others, strict=True))
        yield [f"the same text {name}", _share(same, count)]
    plain = [c.text for c in completed(engine, asked(engine, count, max_tokens, NO_PENALTY))]
    for name, texts in (("by default", first), ("without a penalty", plain)):
        words = [word for text in texts for word in text.split()]
        different = sum(len(set(text.split())) for text in texts)
        yield [f"words that the text has not had yet, {name}", _share(different, len(words))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--queries", type=int, default=26, help="for each language; there are 13 others")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--language", action="append", choices=LANGUAGES, metavar="LANG", help="only this one")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found in each text there")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    try:
        model = resolve(options.model)
        engine = LlamaEngine(model.name, str(model.path), settings=Settings(threads=options.threads))
    except XqeError as error:
        raise SystemExit(str(error)) from None
    found: list[Written] = []
    with engine:
        for code in options.language or LANGUAGES:
            print(code, file=sys.stderr, flush=True)
            found += written(engine, LANGUAGES[code], options.queries, options.max_tokens)
        rows = list(depends(engine, options.queries, options.max_tokens))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in found]), "utf-8")
    heads = ["%", "in the language", "in another", "not told", "in its script", "failed", "others"]
    print(f"{model.name}, {processor()}; {options.queries} questions for each language\n")
    print(table(heads, [one.row() for one in sorted(found, key=lambda one: one.kind)], options.markdown), end="\n\n")
    print(table(["", "%"], rows, options.markdown))


if __name__ == "__main__":
    main()
