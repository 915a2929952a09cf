"""The command line: the table of subcommands, and how everything that can go wrong becomes an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from xqe import __version__
from xqe.commands import batch, data, models, store
from xqe.commands.analyze import analyze
from xqe.commands.doctor import doctor
from xqe.commands.eval.evaluate import evaluate
from xqe.commands.expand import expand
from xqe.commands.explain import explain
from xqe.commands.finetune.data import app as finetune
from xqe.commands.fuse import fuse
from xqe.commands.grid import grid
from xqe.commands.index import index
from xqe.commands.inspect import inspect
from xqe.commands.report import report
from xqe.commands.search import search
from xqe.commands.trace.trace import trace
from xqe.commands.translate import translate
from xqe.errors import XqeError
from xqe.messages import say

UNABLE_STATUS = 2
INTERRUPTED_STATUS = 130

app = typer.Typer(
    name="xqe",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Search documents in a language you do not write: translate and expand queries with a multilingual "
    "LLM, search with BM25, evaluate. Commands read and write JSONL and chain through pipes.",
    epilog="Exit status: 0 done; 1 some records failed; 2 could not do the work; 130 interrupted; "
    "141 the pipe was closed.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"xqe {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(UNABLE_STATUS)


app.command()(translate)
app.command()(expand)
app.command()(index)
app.command()(search)
app.command()(explain)
app.command()(analyze)
app.command()(trace)
app.command()(inspect)
app.command()(fuse)
app.command("eval")(evaluate)
app.command()(grid)
app.command()(report)
app.add_typer(batch.app)
app.add_typer(finetune)
app.add_typer(models.app)
app.add_typer(data.app)
app.add_typer(store.app)
app.command()(doctor)


def main() -> NoReturn:
    """Run the command line and leave with its status."""
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = sys.stderr  # for what libraries print
        sys.exit(_unable("standard output is closed; give it a file or a pipe"))
    # cron's locale is often C; a message may name a file whose name is not UTF-8
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[union-attr]
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1, 2 or 130, having said in one line what went wrong."""
    try:
        return int(app(arguments, prog_name="xqe", standalone_mode=False) or 0)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "xqe"
        message = error.format_message().rstrip(".")
        say(f"{message[:1].lower()}{message[1:]}; see {command} --help")
        return UNABLE_STATUS
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except XqeError as error:
        return _unable(str(error))
    except Exception as error:  # status 1 would read as "quality dropped"
        return _unable(
            f"internal error: {type(error).__name__}: {error}; set XQE_DEBUG=1 to see where, and please report it"
        )


def _unable(line: str) -> int:
    if os.environ.get("XQE_DEBUG"):
        traceback.print_exc()
    say(line)
    return UNABLE_STATUS
