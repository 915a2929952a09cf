"""xqe search: the documents of an index that answer each query best."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands.guiding import JudgedQueries, open_judge
from xqe.commands.options.common import Input, Threads
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.forms import RunForm, RunFormat, on_screen
from xqe.commands.options.groups import part, takes
from xqe.commands.options.queries import OfQueries
from xqe.commands.options.searching import Searching
from xqe.commands.runs import MORE, writing_run
from xqe.commands.searching import ENCODERS, check_searching, given, open_retriever, pools_of
from xqe.commands.streams import Queries, report_failures
from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.messages import progress, say
from xqe.retrieval.choices import DEPTH


@takes(written=OfQueries, searching=Searching, encoding=part(Encoding, *ENCODERS))
def search(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR... [QUERY]",
            show_default=False,
            help="The folder of an index, or of several indexes; then perhaps one query, instead of records, or - for "
            "standard input.",
        ),
    ],
    searching: Searching,
    form: RunForm = RunFormat.AUTO,
    texts: Annotated[
        bool,
        typer.Option(
            "--texts", help='Give each hit the "text" of its document: for a strategy that reads them, with -k 10.'
        ),
    ] = False,
    tag: Annotated[str, typer.Option("--tag", metavar="NAME", help="Name of the run, in a TREC run.")] = "xqe",
    threads: Threads = None,
    files: Input = None,
    *,
    written: OfQueries,
    encoding: Encoding,
) -> None:
    """Search indexes by words, by meaning, or by both.

    Words are ranked by BM25, vectors of xqe embed by their cosine, and hits of both are fused. Adds "index" and "hits",
    best first, to each query record. Hits of equal score are ordered by id, from high to low, as trec_eval does. Of
    several indexes, such as those of several languages, each hit says its "lang".
    """
    if tag.split() != [tag]:
        raise XqeError(f'--tag "{tag}" is empty or contains white space', "a TREC run separates fields by white space")
    if texts and form is RunFormat.TREC:
        raise XqeError("--texts has no effect on a TREC run", "leave one of them out")
    check_searching(searching)
    directories, query = given(arguments)
    queries = Queries(query, files, rows=written.rows())
    from xqe.stages.excerpts import HITS, found_for
    from xqe.stages.search import check_texts
    from xqe.stages.search import search as search_records

    threads = threads or available_cores()
    with (
        open_retriever(searching, encoding, directories, threads, offers_questions=True) as retriever,
        open_judge(searching.judge, encoding, retriever.encoder) as judge,
    ):
        if texts:
            check_texts(retriever.documents, "--texts asks for texts")
        pools = pools_of(searching, retriever.documents)
        judged = JudgedQueries(queries, judge)
        found = search_records(
            judged, retriever, threads, lambda: judged.place, searching.k or DEPTH, pools, searching.drop_self, texts
        )
        found = progress(found, queries.total, "search")
        if on_screen(form):
            found = (found_for(record, retriever, searching.k or HITS) for record in found)
        count, failures = writing_run(form, tag, searching.k, MORE)(found)
    if pools is not None and pools.lacking:
        say(f"{len(pools.lacking)} of {count} queries have no pool in {searching.pool}, and so no hits")
    report_failures(count, failures)
