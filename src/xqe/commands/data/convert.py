"""xqe data convert: a collection in a format of the field becomes one in xqe's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xqe.commands.data.options import Force, Out
from xqe.commands.data.rows import summarise
from xqe.commands.options.documents import OfDocuments
from xqe.commands.options.groups import part, takes
from xqe.commands.options.lists import language_codes, several
from xqe.files.fields import Fields
from xqe.text.languages import language


@takes(fields=part(OfDocuments, "id_field", "text_field", "title_field"))
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
    *,
    fields: OfDocuments,
    query_id_field: Annotated[
        str, typer.Option("--query-id-field", metavar="NAME", show_default=False, help="The same of the queries' id.")
    ] = "",
    query_text_field: Annotated[
        list[str] | None,
        typer.Option(
            "--query-text-field",
            metavar="NAME",
            show_default=False,
            help="The same of the queries' text. Repeatable: several are joined.",
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
    from xqe.collections.manifest import check_name
    from xqe.collections.options import Options
    from xqe.collections.target import check_apart, check_target

    options = Options(
        languages=language_codes(languages),
        query_language=language(query_lang, "--query-lang").code if query_lang else None,
        splits=several(splits),
        documents=documents,
        queries=queries,
        qrels=qrels,
        topic=topic,
        fields=fields.rows().fields or None,
        query_fields=Fields(query_id_field, tuple(query_text_field or ())) or None,
    )
    for option, given in (("--name", [name]), ("--split", options.splits or ())):
        for one in given:
            if one is not None:
                check_name(one, option)
    check_target(out, force)
    places = [] if form == formats.BY_ID else map(Path, paths)
    check_apart(out, [*places, *(path for path in (documents, queries, qrels) if path is not None)])
    material = formats.read(form, paths, options)
    material.name, material.licence = name or material.name, licence or material.licence
    summarise(conversion.convert(material, out, force))
