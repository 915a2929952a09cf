"""The command line: the table of commands, and how everything that can go wrong becomes an exit status."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from xqe import __version__
from xqe.errors import XqeError, why
from xqe.files.stdout import Output
from xqe.messages import say
from xqe.verbs import COMPLETING, UNABLE_STATUS, Group, OnDemand, Table, Verb, check_given, with_commands

INTERRUPTED_STATUS = 130
_OF_PATHS = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.ENOTDIR}

COMMANDS: Table = {
    "Translate and expand": (
        Verb("translate", "Translate queries, their passages (E+T), or documents.", "translate:translate"),
        Verb("expand", "Write passages that could answer each query.", "expand:expand"),
        Verb("strategies", "List the strategies of xqe expand.", "strategies:strategies"),
        Verb("languages", "List what there is for each language.", "languages:languages"),
        Verb("augment", "Add questions that each document answers.", "augment:augment"),
        Group(
            "batch",
            "Expand or translate through the batch files of servers.",
            "Write the requests, have them answered, join the results to the records.",
            (
                Verb("export", "Write the requests of an expansion or a translation.", "batch:export"),
                Verb("import", "Join results to the records that they answer.", "batch:import_"),
            ),
            "The files are those of OpenAI's Batch API and of vLLM's run_batch. Import takes the same records and "
            "options as export.",
        ),
    ),
    "Index and search": (
        Verb("index", "Index documents for search.", "index:index"),
        Verb("embed", "Add vectors of an encoder to an index.", "embed:embed"),
        Verb("search", "Search indexes by words, by meaning, or by both.", "search:search"),
        Verb("fuse", "Fuse runs into one.", "fuse:fuse"),
        Verb("rerank", "Put the best hits in a new order, by a model that reads them.", "rerank:rerank"),
    ),
    "Answer": (
        Verb("ask", "Ask a question of documents in other languages.", "ask:ask"),
        Verb("answer", "Answer questions from the documents that were found.", "answer:answer"),
    ),
    "Look closer": (
        Verb("view", "Show records, documents or a run to a reader.", "view:view"),
        Verb("analyze", "Show the terms that a text is indexed and searched by.", "analyze:analyze"),
        Verb("explain", "Explain the score of a document for a query.", "explain:explain"),
        Verb("trace", "Show the whole way of a query, from prompts to hits.", "trace.trace:trace"),
        Verb("inspect", "Measure generated texts, or an encoder, without judgements.", "inspect:inspect"),
    ),
    "Evaluate": (
        Verb("eval", "Evaluate runs, or answers; fail where they are too low.", "eval.evaluate:evaluate"),
        Verb("grid", "Run the experiment that a file describes.", "grid:grid"),
        Verb("report", "Report a grid: the paper's tables and figures.", "report:report"),
    ),
    "Collections and models": (
        Group(
            "data",
            "Collections: documents, queries and judgements.",
            "They are in many languages, in a layout that all commands read.",
            (
                Verb("list", "List the collections that xqe knows by name.", "data.list:list_sources"),
                Verb("info", "Say all that is known of a source or of a collection.", "data.info:info"),
                Verb("fetch", "Download a collection, and convert it.", "data.fetch:fetch"),
                Verb(
                    "convert",
                    "Convert a collection from a format of the field to xqe's layout.",
                    "data.convert:convert",
                ),
                Verb("build", "Make a collection of what Debian has, as people translated it.", "data.build:build"),
                Verb(
                    "sample", "Draw a smaller collection: queries, perhaps a pool of documents.", "data.sample:sample"
                ),
            ),
            "Downloads are kept under XQE_DATA, by default $XDG_CACHE_HOME/xqe/data, and that ~/.cache/xqe/data.",
        ),
        Group(
            "finetune",
            "Fine-tune an expander.",
            "Training data from collections, LoRA training, an adapter for xqe expand --lora.",
            (
                Verb("data", "Write training examples from collections.", "finetune.data:data"),
                Verb(
                    "train",
                    "Train a LoRA adapter on pairs, by the loss on the passages alone.",
                    "finetune.train:train",
                ),
                Verb("export", "Turn a LoRA adapter of PEFT into a GGUF file.", "finetune.export:export"),
            ),
        ),
        Group(
            "models",
            "The models that xqe knows: list, download, find and check them.",
            "",
            (
                Verb("list", "List the models: a table on a terminal, JSONL elsewhere.", "models.list:list_models"),
                Verb("path", 'Print where a model lies; "tiny" is assembled first.', "models.path:path"),
                Verb("pull", "Download a model and print where it lies.", "models.pull:pull"),
                Verb("verify", "Check the size, structure and sha256 of model files.", "models.verify:verify"),
            ),
            "Models lie under XQE_MODELS, by default $XDG_CACHE_HOME/xqe/models, and that ~/.cache/xqe/models.",
        ),
        Group(
            "store",
            "The store of finished generations.",
            "Look into it, write it out, make it smaller.",
            (
                Verb("info", "Say what is kept of which model.", "store:info"),
                Verb("export", "Write every generation as JSONL, the oldest first.", "store:export"),
                Verb("prune", "Remove generations, and give their space back to the disk.", "store:prune"),
            ),
            "Generations lie in XQE_STORE, by default $XDG_CACHE_HOME/xqe/generations.sqlite, and that under ~/.cache. "
            "A store that is not there yet is one without generations.",
        ),
    ),
    "Help": (
        Verb("serve", "Keep models and indexes open for the commands that follow.", "serve:serve"),
        Verb("doctor", "Say what is true of this machine, and what is wrong.", "doctor.doctor:doctor"),
        Verb("help", "Show this help, or that of a command.", "help:help_of"),
        Verb("man", "Show or write pages of the manual.", "man:man"),
        Verb("completion", "Print what lets a shell complete xqe.", "completion:completion"),
    ),
}

_APP = typer.Typer(
    cls=OnDemand,
    name="xqe",
    rich_markup_mode=None,
    add_completion=False,
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


@_APP.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    check_given(context)


def command() -> Any:
    """`xqe` itself, as typer has it, with none of its commands imported."""
    if COMPLETING in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # nowhere public

        completion_init()
    return with_commands(_APP, COMMANDS)


def main() -> NoReturn:
    """Run the command line on the streams that the process has, and leave with its status."""
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = sys.stderr  # for what libraries print
        sys.exit(_unable(XqeError("standard output is closed", "give it a file or a pipe")))
    # cron's locale is often C; a message may name a file whose name is not UTF-8
    sys.stdout = Output(sys.stdout)
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    status = run()
    try:
        sys.stdout.flush()  # what a library printed
    except XqeError as error:
        status = _unable(error)
    sys.exit(status)


def run(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1, 2 or 130, having said in one line what went wrong."""
    try:
        return int(command().main(arguments, prog_name="xqe", standalone_mode=False, obj=run) or 0)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "xqe"
        message = error.format_message().rstrip(".")
        return _unable(XqeError(f"{message[:1].lower()}{message[1:]}", f"see {path} --help"))
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except XqeError as error:
        return _unable(error)
    except Exception as error:  # status 1 would read as "quality dropped"
        return _unable(_of_the_process(error) or _internal(error))


def _of_the_process(error: Exception) -> XqeError | None:
    """What is wrong with what every process has, and any path may need: a home for "~", a current folder, a name that
    the system takes."""
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # as pathlib says it
        return XqeError('no home folder is known for a path with "~"', "write the path out, or set HOME")
    if isinstance(error, FileNotFoundError) and error.filename is None:
        try:
            os.getcwd()  # noqa: PTH109
        except FileNotFoundError:
            return XqeError("the current folder is not there any more", "change to one that is")
    if isinstance(error, OSError) and error.errno in _OF_PATHS and error.filename is not None:
        return XqeError(f"{os.fsdecode(error.filename)}: {why(error)}", "check the path")
    return None


def _internal(error: Exception) -> XqeError:
    said = f"internal error: {type(error).__name__}: {error}"
    return XqeError(said, "set XQE_DEBUG=1 to see where, and please report it")


def _unable(error: XqeError) -> int:
    if os.environ.get("XQE_DEBUG"):
        traceback.print_exc()
    say(str(error))
    return UNABLE_STATUS
