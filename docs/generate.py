"""Writes the pages of docs/ that have a source, PAGE.in.md: help blocks from the commands, and examples with what they
really print.

    python docs/generate.py [--check | --record]

`{{help translate}}` becomes the help of that command, `{{help}}` that of xqe; the options that several commands share
are named there, and stand in full where `{{shared_options}}` does. In a ```console block every line that
begins with "$ " is run, one after the other, in a scratch folder that has the project's `fixtures/` in it, with the
fake engine; what it prints follows it. Tables of the code (`{{strategies}}` and so on) are written from the code.

A block under `<!-- kept -->` is run, too, so that what follows has its files, but shows what a real model wrote, as it
stands in the source; with --record that is written anew, with the embedded model.

With --check nothing is written, and the exit status is 1 if a page is stale.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

DOCS = Path(__file__).parent
PAGES = {"cli.in.md": "cli.md", "own-data.in.md": "own-data.md"}
PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -m xqe "$@"\n'
WIDTH = "100"
NOTE = "<!-- Written by docs/generate.py from docs/{}: change that file, then run make docs. -->\n\n"
KEPT = "<!-- kept -->\n"


def environment(scratch: Path) -> dict[str, str]:
    """Nothing of the user's own settings may show in the examples, and nothing of these stay in the user's caches."""
    from xqe.models.folder import models_folder

    kept = {name: value for name, value in os.environ.items() if not name.startswith("XQE_")}
    return {
        **kept,
        "PATH": os.pathsep.join([str(scratch / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": WIDTH,
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "XQE_MODEL": "fake",
        "XQE_MODELS": str(models_folder()),
        "XDG_CACHE_HOME": str(scratch / "cache"),
    }


def run(command: str, folder: Path, model: str = "fake") -> str:
    """What a command prints, both streams as they come; its exit status too, unless it is 0."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder / "work",
        env={**environment(folder), "XQE_MODEL": model},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    text = re.sub(r'"seconds":[0-9.]+', '"seconds":0.03', done.stdout)
    text = re.sub(r"[1-9][0-9]* tokens/s", "4000 tokens/s", text)
    text = re.sub(r"[0-9.]+ scored/s", "20.0 scored/s", text)
    return text + (f"[exit status {done.returncode}]\n" if done.returncode else "")


def strategies() -> str:
    from xqe.commands.strategies import rows

    head = ["strategy", "what it does", "texts", "temperature", "tokens", "documents"]
    fields = ("description", "texts", "temperature", "max_tokens", "documents")
    table = [[f"`{row['name']}`", *(str(row.get(field) or "") for field in fields)] for row in rows()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *table])


def languages() -> str:
    from xqe.text.languages import LANGUAGES

    header = ["| code | language | script | segmented by | normalised by | stemmer |", "| --- " * 6 + "|"]
    rows = []
    for row in LANGUAGES.values():
        analysis = row.analysis
        normalisers = ", ".join((*analysis.normalisers, *analysis.foldings)).replace("_", " ")
        rows.append(
            f"| {row.code} | {row.name} ({row.native}) | {row.script} | {analysis.segmenter} | {normalisers} "
            f"| {analysis.stemmer.replace('_', ' ')} |"
        )
    return "\n".join([*header, *rows])


def models() -> str:
    from xqe.models.registry import MODELS

    header = ["| name | from | licence |", "| --- | --- | --- |"]
    rows = []
    for model in MODELS.values() if isinstance(MODELS, dict) else MODELS:
        gated = ", to be accepted on the hub first" if model.gated else ""
        licence = f"[{model.licence.name}]({model.licence.url}){gated}"
        rows.append(f"| `{model.name}` | {model.repository} → {model.file} | {licence} |")
    return "\n".join([*header, *rows])


def answer_measures() -> str:
    from xqe.evaluation.answers.measures import MEASURES

    rows = [f"| `{measure}` | {measure.about} | {f'`{measure.needs}`' * bool(measure.needs)} |" for measure in MEASURES]
    return "\n".join(["| measure | of an answer | needs |", "| --- | --- | --- |", *rows])


def contents() -> str:
    """Links to the sections of the page."""
    headings = re.findall(r"^## (.+)$", (DOCS / "cli.in.md").read_text("utf-8"), re.MULTILINE)
    return " · ".join(f"[{heading}](#{heading.lower().replace(' ', '-')})" for heading in headings)


def shared() -> dict[str, dict[str, str]]:
    """The options that stand under a heading of those that commands share: by it, how they are given, and what is said
    of each by the first command that has it."""
    from typer import Context

    from xqe.cli import command
    from xqe.commands.manual import below
    from xqe.commands.options.panels import SHARED
    from xqe.helping import headings

    found: dict[str, dict[str, str]] = {heading: {} for heading in SHARED}
    for context in below(Context(command(), info_name="xqe")).values():
        for heading, rows in headings(context.command, context).items():
            for name, said in rows if heading in found else ():
                found[heading].setdefault(name, said)
    return found


def shared_options() -> str:
    from typer import Context

    from xqe.cli import command

    page = Context(command(), info_name="xqe", terminal_width=int(WIDTH))
    parts = []
    for heading, rows in shared().items():
        lines = page.make_formatter()
        lines.write_dl(list(rows.items()))
        parts.append(f"### {heading}\n\n```text\n{lines.getvalue().rstrip()}\n```")
    return "\n\n".join(parts)


def variables() -> str:
    from typer import Context

    from xqe.cli import command
    from xqe.commands.manual import variables as known

    rows = known(Context(command(), info_name="xqe")).items()
    return "\n".join(["| variable | meaning |", "| --- | --- |", *(f"| `{name}` | {said} |" for name, said in rows)])


TABLES: dict[str, Callable[[], str]] = {
    "contents": contents,
    "shared_options": shared_options,
    "variables": variables,
    "strategies": strategies,
    "languages": languages,
    "models": models,
    "answer_measures": answer_measures,
}


def generate(page: str, program: str = PROGRAM, model: str = "fake") -> str:
    """The text of a page from its source, a key of PAGES; with a model that is not "fake" the source itself, with what
    that model writes in the blocks that are kept. program: the text of what is run as `xqe`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        (folder / "work").mkdir()
        launcher = folder / "bin" / "xqe"
        launcher.write_text(program)
        launcher.chmod(0o755)
        (folder / "work" / "fixtures").symlink_to(DOCS.parent / "fixtures")

        of_several = shared()

        def help_block(match: re.Match[str]) -> str:
            shown = []
            for part in run(f"xqe {match[1]} --help", folder).rstrip().split("\n\n"):
                heading, _, rows = part.partition(":\n")
                if heading in of_several:
                    names = " ".join(re.findall(r"^  (?:-\w, )?(--?[a-z0-9-]+)", rows, re.MULTILINE))
                    part = fill(
                        f"{heading} (shared): {names}", int(WIDTH), subsequent_indent="  ", break_on_hyphens=False
                    )
                shown.append(part)
            return "```text\n{}\n```".format("\n\n".join(shown))

        def console_block(match: re.Match[str]) -> str:
            kept, out = match[1] or "", []
            for line in match[2].splitlines():
                if line.startswith("$ "):
                    out += [f"{line}\n", run(line[2:], folder, model)]
                elif model == "fake" or not kept:
                    out.append(f"{line}\n")
            is_as_it_was = bool(kept) == (model == "fake")
            return match[0] if is_as_it_was else f"{kept}```console\n{''.join(out)}```"

        text = (DOCS / page).read_text("utf-8")
        if model == "fake":
            text = re.sub(r"\{\{help ?([a-z ]*)\}\}", help_block, text)
            text = re.sub(r"\{\{(\w+)\}\}", lambda match: TABLES[match[1]](), text)
        text = re.sub(rf"({re.escape(KEPT)})?```console\n(.*?)```", console_block, text, flags=re.DOTALL)
        return text if model != "fake" else NOTE.format(f"{page}") + text.replace(KEPT, "")


def main() -> None:
    if "--record" in sys.argv[1:]:
        for page in PAGES:
            if KEPT in (source := DOCS / page).read_text("utf-8"):
                source.write_text(generate(page, model="tiny"), "utf-8")
        return
    texts = {DOCS / target: generate(page) for page, target in PAGES.items()}
    if "--check" in sys.argv[1:]:
        sys.exit(any(path.read_text("utf-8") != text for path, text in texts.items()))
    for path, text in texts.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
