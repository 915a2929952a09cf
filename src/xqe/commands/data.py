"""xqe data: collections that are known, fetched, converted, built and sampled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.options.lists import language_codes, several
from xqe.commands.subcommands import group
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import say
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.collections.layout import Collection

LARGE = 10_000_000_000  # bytes that are not downloaded because an option was forgotten

app = group(
    "data",
    help="Collections: documents, queries and judgements in many languages, in a layout that all commands read.",
    epilog="Downloads are kept under XQE_DATA, by default $XDG_CACHE_HOME/xqe/data, and that ~/.cache/xqe/data.",
)

Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--lang", metavar="LANG,...", show_default=False, help="Of queries and documents alike. [default: all]"
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option("--split", metavar="SPLIT,...", show_default=False, help="[default: all that are there]"),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", show_default=False, help="The folder of the collection.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the collection that is in DIR.")]


# ---------------------------------------------------------------- what there is


@app.command("list")
def list_sources() -> None:
    """List the collections that xqe knows by name: a table on a terminal, JSONL elsewhere."""
    from xqe.collections.sources import sources

    rows = [_source_row(name) for name in sources()]
    if sys.stdout.isatty():
        _show_sources(rows)
        return
    for row in rows:
        jsonl.write(jsonl.dumps(row))


def _source_row(name: str) -> dict[str, Any]:
    from xqe.collections.sources import source

    row = source(name)
    return {
        "name": row.name,
        "about": row.about,
        "languages": list(row.languages),
        "splits": list(row.splits),
        "how": row.how,
        "size": row.size,
        "needs": row.needs,
        "licence": row.licence,
        "url": row.url,
    }


def _show_sources(rows: Sequence[dict[str, Any]]) -> None:
    from xqe.commands.screens import rendered, table
    from xqe.models.registry import amount

    made = table(("name", "how", "languages", "size", "needs", "licence"), ("size",))
    for row in rows:
        size = amount(row["size"]) if row["size"] else "?"
        made.add_row(row["name"], row["how"], " ".join(row["languages"]), size, row["needs"], row["licence"])
    jsonl.write(rendered(made))


@app.command()
def info(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|DIR", show_default=False, help='A name of "xqe data list", or a collection.'),
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file of a collection against its hash.")
    ] = False,
) -> None:
    """Say all that is known of a source or of a collection."""
    from xqe.collections.sources import sources

    if name in sources() and not Path(name).is_dir():
        if verify:
            raise XqeError(f"--verify: {name} is not a collection on disk", "give the folder of one")
        _write(_source_row(name))
        return
    from xqe.collections.layout import Collection

    collection = Collection(Path(name))
    row = _collection_row(collection)
    if verify:
        collection.verify()
        row["verified"] = sum(1 for _ in collection.entries())
    if sys.stdout.isatty():
        _show_collection(collection, row)
    else:
        jsonl.write(jsonl.dumps(row))


def _write(row: dict[str, Any]) -> None:
    """One object: a field a line on a terminal, JSON elsewhere."""
    if not sys.stdout.isatty():
        jsonl.write(jsonl.dumps(row))
        return
    for key, value in row.items():
        said = " ".join(value) if isinstance(value, list) else value
        jsonl.write(f"{key}: {'?' if said is None else said}")


def _collection_row(collection: Collection) -> dict[str, Any]:
    from xqe.collections.layout import MANIFEST
    from xqe.files.atomic import sha256

    manifest = collection.manifest

    def counts(kind: str, what: str) -> dict[str, dict[str, int]]:
        return {
            split: {name: entry[what] for name, entry in files.items()}
            for split, files in manifest.get(kind, {}).items()
        }

    return {
        "collection": str(collection.directory),
        "name": collection.name,
        "about": manifest.get("about"),
        "licence": manifest.get("licence"),
        "pool": manifest.get("pool"),
        "documents": {lang: collection.document_count(lang) for lang in collection.document_languages},
        "queries": counts("queries", "queries"),
        "judged": counts("qrels", "queries"),
        "judgements": counts("qrels", "judgements"),
        "examples": counts("examples", "examples"),
        "bytes": sum(entry["bytes"] for entry in collection.entries()),
        "notes": manifest.get("notes", []),
        "source": manifest.get("source"),
        "sample": manifest.get("sample"),
        "sha256": sha256(collection.directory / MANIFEST),
    }


def _show_collection(collection: Collection, row: dict[str, Any]) -> None:
    from xqe.commands.screens import rendered, table

    queries = [(split, lang) for split in collection.splits for lang in collection.query_languages(split)]
    languages = sorted({*row["documents"], *(lang for _, lang in queries)})
    headings = ["language", "documents", *(f"queries of {split}" for split in collection.splits)]
    made = table(headings, headings[1:])
    for lang in languages:
        asked = [row["queries"].get(split, {}).get(lang, 0) for split in collection.splits]
        made.add_row(lang, *(f"{count:,}" for count in (row["documents"].get(lang, 0), *asked)))
    pool = "all documents of the source" if row["pool"] is None else f"a pool: {row['pool'].get('how', '')}"
    jsonl.write(f"{row['name']}: {row['about']}\nlicence: {row['licence']}\ndocuments: {pool}")
    jsonl.write(rendered(made))
    for note in row["notes"]:
        jsonl.write(f"note: {note}")
    if "verified" in row:
        jsonl.write(f"{row['verified']} files are what the manifest says")


# ---------------------------------------------------------------- making one


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help='A name of "xqe data list".')],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", show_default=False, help="The folder of the collection."),
    ] = None,
    languages: Languages = None,
    splits: Splits = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", envvar="XQE_DATA", show_default=False, help="Where downloads are kept."),
    ] = None,
    convert: Annotated[bool, typer.Option("--convert/--no-convert", help="Make a collection of it.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Download files although they are there.")] = False,
    force: Force = False,
) -> None:
    """Download a collection, and convert it.

    A download that broke off goes on where it stopped. What arrived is checked where its md5 or sha256 is known.
    HF_ENDPOINT names a mirror of the hub.
    """
    from xqe.collections import conversion, fetching, formats
    from xqe.collections.layout import CollectionWriter
    from xqe.collections.options import Options
    from xqe.collections.sources import chosen_languages, data_folder, downloads, source
    from xqe.models.registry import amount

    row = source(name)
    codes, of_splits = language_codes(languages), several(splits)
    wanted = chosen_languages(row, codes)
    if codes is None and (row.size or 0) > LARGE:
        raise XqeError(f"{name} is {amount(row.size)} in all languages", "name those that you want with --lang")
    if convert and out is None:
        raise XqeError("missing option --out", "the folder of the collection; or --no-convert, to download only")
    if convert and out is not None:
        CollectionWriter.check(out, force)
    kept = (cache or data_folder()) / row.folder.partition("/")[0]
    files = downloads(row, wanted, of_splits, kept)
    if convert and out is not None:
        fetching.check_room(out, sum(one.size or 0 for one in files) // 2)
    say(f"licence: {row.licence}; {row.url}")
    paths = fetching.fetch(files, kept, again)
    if not convert or out is None:
        for path in paths:
            jsonl.write(str(path))
        return
    chosen = Options(languages=tuple(wanted), splits=of_splits)
    material = formats.read(row.form, [str((cache or data_folder()) / row.folder)], chosen)
    material.name = row.name
    _summarise(conversion.convert(material, out, force))


@app.command()
def convert(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            show_default=False,
            help="clirmatrix, mmarco, msmarco, beir, miracl, trec, pyserini or ir_datasets.",
        ),
    ],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", show_default=False, help="Where it is; ids, for ir_datasets."),
    ],
    out: Out,
    languages: Annotated[
        list[str] | None,
        typer.Option(
            "--lang",
            metavar="LANG,...",
            show_default=False,
            help="The languages to keep, of a format that names them (clirmatrix, mmarco, miracl); else that of the "
            "documents.",
        ),
    ] = None,
    query_lang: Annotated[
        str | None,
        typer.Option(
            "--query-lang",
            metavar="LANG",
            show_default=False,
            help="Of the queries, where it is another and the format does not say.",
        ),
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="SPLIT,...",
            show_default=False,
            help="The splits to keep; of trec and pyserini, what theirs is called. [default: all; test]",
        ),
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            "--documents",
            metavar="PATH",
            show_default=False,
            help="Documents that lie elsewhere, for clirmatrix and msmarco.",
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", metavar="FILE", show_default=False, help="Topics, for trec and pyserini."),
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", metavar="FILE", show_default=False, help="For trec and pyserini.")
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            metavar="FIELDS",
            show_default=False,
            help="Of TREC topics: title, desc, narr, joined by +. [default: title]",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", show_default=False, help="What the collection is called.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="TEXT", show_default=False, help="For the manifest.")
    ] = None,
    force: Force = False,
) -> None:
    """Convert a collection from a format of the field to xqe's layout.

    Ids and texts are kept as they are. What cannot be used is left out, counted, and noted in collection.json: ids that
    come again, queries that nothing is judged for, judgements of documents that are not there.
    """
    from xqe.collections import conversion, formats
    from xqe.collections.layout import CollectionWriter
    from xqe.collections.options import Options

    options = Options(
        languages=language_codes(languages),
        query_language=language(query_lang, "--query-lang").code if query_lang else None,
        splits=several(splits),
        documents=documents,
        queries=queries,
        qrels=qrels,
        topic=topic,
    )
    if name is not None and (not name or name.startswith(".") or not name.isprintable() or "/" in name):
        raise XqeError(f"--name: {name!r} cannot be part of a path", "xqe grid names folders by it")
    CollectionWriter.check(out, force)
    material = formats.read(form, paths, options)
    material.name, material.licence = name or material.name, licence or material.licence
    _summarise(conversion.convert(material, out, force))


@app.command()
def build(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="debian or debian-graded.")],
    out: Out,
    languages: Languages = None,
    graded: Annotated[bool, typer.Option("--graded", help="The same as debian-graded.")] = False,
    force: Force = False,
) -> None:
    """Make a collection of what this machine can have: Debian's package descriptions, as people translated them.

    debian: a package's synopsis is a query, its long description the one relevant document, in every language.
    debian-graded: a short title is a query, and BM25 grades up to 100 documents for it, from 1 to 6. Needs apt-get and
    its network; the machine's own package lists are left alone.
    """
    from xqe.collections import debian, grades
    from xqe.collections.sources import source, sources

    if name not in sources() or source(name).how != "build":
        known = ", ".join(row.name for row in sources().values() if row.how == "build")
        raise XqeError(f'nothing to build by the name "{name}"', f"xqe builds {known}")
    wanted = language_codes(languages) or tuple(debian.NAMES)
    builder = grades if graded or name == "debian-graded" else debian
    _summarise(builder.build(out, wanted, force))


def _pool(text: str) -> tuple[int | None]:
    """A number of documents, or None for all of them; in a tuple, since typer takes None for no answer."""
    if text == "none":
        return (None,)
    if not text.isdigit():
        raise typer.BadParameter(f"{text!r} is neither none nor a number of documents")
    return (int(text),)


@app.command()
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The collection to draw from.")],
    out: Out,
    queries: Annotated[
        int,
        typer.Option("--queries", metavar="N", min=1, show_default=False, help="How many for each pair of languages."),
    ],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides what is drawn.")] = 0,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="The split that is drawn from.")] = "test",
    languages: Languages = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Only queries that exist in every language and are judged in every pair.")
    ] = False,
    pool: Annotated[
        Any,
        typer.Option(
            "--pool",
            metavar="N|none",
            parser=_pool,
            help="Keep the judged documents and N others a language; none keeps all documents.",
        ),
    ] = "none",
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=0, help="Worked examples a language, from train.")
    ] = 0,
    train: Annotated[int, typer.Option("--train", metavar="N", min=0, help="Queries of train to draw as well.")] = 0,
    split_train: Annotated[
        float | None,
        typer.Option(
            "--split-train",
            metavar="SHARE",
            min=0.01,
            max=0.99,
            show_default=False,
            help="Divide the split: this share of its queries is train, the rest test.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Draw a smaller collection: queries, and perhaps a pool of documents.

    The draw depends on the seed and the ids alone. Queries of train whose text or best document is one of the drawn
    split's as well are never used.
    """
    from xqe.collections.layout import Collection
    from xqe.collections.sampling import Plan
    from xqe.collections.sampling import sample as draw

    plan = Plan(
        queries=queries,
        seed=seed,
        split=split,
        languages=language_codes(languages),
        shared=shared,
        pool=pool[0],
        examples=examples,
        train=train,
        split_train=split_train,
    )
    _summarise(draw(Collection(directory), out, plan, force))


def _summarise(collection: Collection) -> None:
    """One line of what was made."""
    row = _collection_row(collection)
    kept = ("collection", "name", "pool", "documents", "queries", "judged", "examples", "bytes", "sha256")
    jsonl.write(jsonl.dumps({key: row[key] for key in kept} | {"notes": len(row["notes"])}))
