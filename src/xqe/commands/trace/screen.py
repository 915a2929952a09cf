"""A trace as a person reads it on a terminal: a section for each piece. Imports rich: load it in a command's body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text as Styled

from xqe.commands.columns import table
from xqe.commands.screens import legible, rendered
from xqe.commands.sections import ERROR, GOOD, MATCH, NOTE, QUIET, Row, counted, named, plain, section
from xqe.commands.showing import asked, described, identity, made_by, passages, times
from xqe.files.records import CLOSENESS, TRANSLATIONS, Record
from xqe.retrieval.choices import By, Encode
from xqe.retrieval.retriever import FEEDBACK, QUERY, SEARCHED, SOURCE, Scored, Term
from xqe.stages.against import Against
from xqe.stages.judging.closeness import STRAYED
from xqe.stages.rerank.kinds import Asked
from xqe.stages.tracing import (
    RERANKED,
    WINDOW,
    Cost,
    Found,
    Given,
    Judged,
    Piece,
    Relevant,
    Reranked,
    Standing,
    Step,
    Text,
    TracedHit,
)
from xqe.text.languages import name_of
from xqe.text.snippets import Snippet

PROMPT_CELLS = (160, 320)  # of a long prompt, the first and the last
WORDS = 10  # that are searched
REASONS = 5  # words


def shown(piece: Piece, full: bool, k: int) -> str:
    """A piece as text, as wide as the terminal. full: leave nothing out. k: how many hits are shown."""
    match piece:
        case Given():
            return rendered(_given(piece.record))
        case Step():
            return rendered(_step(piece, full))
        case Judged():
            return rendered(_judged(piece))
        case Found():
            return rendered(*_found(piece, full, k))
        case Reranked():
            return rendered(*_reranked(piece, full))


# ---------------------------------------------------------------- the record and the steps


def _given(record: Record) -> Table:
    said = Styled.assemble(plain(record["query"], "bold"), plain(f"  {identity(record)}", QUIET))
    return section("query", said, _arrived_with(record))


def _arrived_with(record: Record) -> Iterator[Row]:
    for part in (asked, made_by, passages):
        yield from part(record)
    if record.get("error") is not None:
        yield "failed", plain(record["error"], ERROR)


def _step(step: Step, full: bool) -> Table:
    if not step.texts and not step.error:
        return section(step.step, Styled(f"nothing to do: it is in {name_of(step.record['lang'])} already"))
    made = {name: value for name, value in step.provenance.items() if name != "step"}
    tokens = sum(text.tokens for text in step.texts if not text.reused)
    cost = f"{counted(tokens, 'token')} in {step.seconds:.1f} s" if tokens else "from the store"
    if step.error and not tokens:
        cost = ""
    said = plain(" · ".join(filter(None, (described(made), cost))))
    rows = list(_texts(step, full))
    if step.error:
        rows.append(("failed", plain(f"{step.error}; the search is made with what there was before", ERROR)))
    return section(step.step, said, rows)


def _judged(judged: Judged) -> Table:
    """How close each text is to the query as asked: those that strayed are named, and those that were dropped."""
    made = judged.provenance
    if not made:
        said = judged.error or "nothing to judge: there is no text but the query as asked"
        return section("judge", plain(said, ERROR if judged.error else ""))
    dropped = f" · {counted(made['dropped'], 'text')} dropped" if made["dropped"] else ""
    said = f"{made['judge']}, by {made['encoder']}{dropped}"
    return section("judge", plain(said), _close(judged.record))


def _close(record: Record) -> Iterator[Row]:
    close = record.get(CLOSENESS, {})
    translations = [(one[CLOSENESS], one["text"]) for one in record.get(TRANSLATIONS, ())]
    if not translations and "query" in close:
        translations = [(close["query"], record["query"])]
    passages = zip(close.get("passages", ()), record.get("passages", ()), strict=True)
    for name, values in (("query", translations), ("passage", passages)):
        for value, text in values:
            yield name, Styled.assemble(plain(f"{value:.2f}  ", ERROR if value < STRAYED else GOOD), plain(text))
            if value < STRAYED:
                yield "strayed", plain("it is nearer to texts about something else than to the query as asked", NOTE)


def _texts(step: Step, full: bool) -> Iterator[Row]:
    before = None
    for text in step.texts:
        if text.prompt is not None and text.prompt != before:
            yield "prompt", _prompt(text.prompt, full)
        before = text.prompt
        if text.raw.strip() != text.text:
            yield "output", plain(text.raw, QUIET)
        if text.error:
            if not step.error:
                yield "dropped", plain(text.error, NOTE)
            continue
        wrong = ", ".join(flag.replace("_", " ") for flag in text.flags if flag != "cut")
        said = (f"  {wrong}" if wrong else "", ERROR)
        yield text.field, Styled.assemble(plain(text.text), (f"  {_finish(text)}", QUIET), said)


def _finish(text: Text) -> str:
    how = f"cut off at {text.tokens}" if text.finish == "length" else counted(text.tokens, "token")
    return f"[{how}, from the store]" if text.reused else f"[{how}]"


def _prompt(prompt: str, full: bool) -> Styled:
    prompt = legible(prompt).rstrip("\n")
    size = cell_len(prompt)
    first, last = (cells * len(prompt) // max(size, 1) for cells in PROMPT_CELLS)
    if full or size <= 2 * sum(PROMPT_CELLS):
        return Styled(prompt, QUIET)
    head, tail = _until_break(prompt[:first]), _until_break(prompt[-last:][::-1])[::-1]
    left_out = f"… {len(prompt) - len(head) - len(tail):,} characters, shown with --full …"
    return Styled.assemble((head.rstrip(), QUIET), (f"\n{left_out}\n", f"{QUIET} italic"), (tail.lstrip(), QUIET))


def _until_break(text: str) -> str:
    """The text without the piece of a line, or else of a word, at its end."""
    ends = (text.rfind(mark, len(text) // 2) for mark in "\n ")
    return text[: next((end for end in ends if end >= 0), len(text))]


# ---------------------------------------------------------------- the search


def _found(found: Found, full: bool, k: int) -> list[Any]:
    index = found.record["index"]
    documents = counted(found.documents, "document") + (" in the pool" if "pool" in index else "")
    said = f"{name_of(index['lang'])}, {documents}; {_manner(index)}"
    rows: list[Row] = [*_weights(found), *(("note", plain(note, NOTE)) for note in found.notes)]
    rows += _every_term(found.terms) if full else _terms_by_word(found)
    parts: list[Any] = [section("search", Styled(said), rows)]
    if found.hits:
        parts += ["", _hits(found, k)]
    for document in found.relevant if not found.again else ():
        parts += ["", _relevant(document, found)]
    return parts


def _manner(index: Mapping[str, Any]) -> str:
    """What a search found documents by."""
    if "twice" in index:
        once = _manner({name: value for name, value in index.items() if name != "twice"})
        return f"{once}; twice, by the query alone and with its passages, fused by {index['twice']['fusion']}"
    if index["by"] == By.HYBRID:
        sides = " and ".join(_manner({**said, "by": by}) for by, said in index["sides"].items())
        weight = f"{own:g}" if isinstance(own := index["dense_weight"], int | float) else own
        norm = f" of {index['norm']}" if "norm" in index else ""
        return f"{sides}, fused by {index['fusion']}{norm}, vectors x {weight}"
    if index["by"] == By.DENSE:
        share = f", questions x {index['question_share']:g}" if "question_share" in index else ""
        return f"vectors of {index['encoder']}, of {_ENCODED[index['encode']]}{share}"
    return f"BM25 with k1 {index['k1']:g}, b {index['b']:g}"


_ENCODED = {
    Encode.SOURCE: "the query as asked",
    Encode.QUERY: "the query as it is now",
    Encode.BOTH: "the query as asked and as it is now",
}


def _why(index: Mapping[str, Any]) -> str:
    """Why the query counts what it does, where nobody said so."""
    if "query_share" not in index:
        return ""
    share = f", for {index['query_share']:.0%} of all weight"
    return f"{share}, since its passages have {index['coverage']:.0%} of its words" if "coverage" in index else share


def _weights(found: Found) -> Iterator[Row]:
    """What counts how much among words, where that is more than the query."""
    index = found.record["index"]
    index = index.get("sides", {}).get(By.BM25, index)
    used = _parts(found.terms)
    said = []
    if "query" in used and "passages" in used:
        said.append(f"the query counts {index['query_weight']:.3g} times{_why(index)}")
    if "source" in used:
        said.append(f"the untranslated query {times(index['source_weight'])}")
    if _looks_into_questions(index):
        said.append(f"questions in {', '.join(map(name_of, index['questions']))} {index['question_weight']:g} times")
    if "translations" in index:
        said.append(f"{index['translations']} translations, each its share")
    if "passage_terms" in index and "passages" in used:
        said.append(f"of the passages {index['passage_terms']} terms")
    if "feedback" in used:
        feedback = index["feedback"]
        said.append(
            f"{feedback['method']} from {feedback['documents']} hits: {feedback['terms']} terms, "
            f"weight {feedback['weight']:g}"
        )
    if said:
        yield "weights", plain("; ".join(said))


def _looks_into_questions(index: Mapping[str, Any]) -> bool:
    """Whether words were looked for in questions of documents: those in a language of the query."""
    return "question_weight" in index and bool(index["questions"])


def _parts(terms: Sequence[Term]) -> set[str]:
    return {part for term in terms for part in term.parts}


def _every_term(terms: Sequence[Term]) -> Iterator[Row]:
    numbers = ("weight", "df", "idf")
    made = table(("term", *numbers, "from"), numbers)
    for term in terms:
        made.add_row(plain(term.term), f"{term.weight:.4g}", f"{term.df:,}", f"{term.idf:.2f}", _origin(term))
    if terms:
        yield "terms", made


def _terms_by_word(found: Found) -> Iterator[Row]:
    """A row for each word of the greatest weight; then the words whose terms no document has."""
    families: dict[str, list[Term]] = {}
    for term in found.terms:
        families.setdefault(term.word, []).append(term)
    known = {word: family for word, family in families.items() if any(term.df for term in family)}
    unknown = [word for word in families if word not in known]
    numbers = ("weight", "idf", "df")
    made = table(("word", *numbers, "from"), numbers)
    order = {term: place for place, term in enumerate(found.words)}
    for word, family in list(known.items())[:WORDS]:
        family = sorted(family, key=lambda term: order.get(term.term, 0))
        first = next(term for term in family if term.df)
        df = " / ".join(f"{term.df:,}" for term in family)
        weight = max(term.weight for term in family)
        origin = dict.fromkeys(part for term in family for part in term.parts)
        made.add_row(plain(word), f"{weight:.3g}", f"{first.idf:.2f}", df, " + ".join(origin))
    if known:
        yield "terms", made
    if rest := list(known)[WORDS:]:
        yield f"+ {len(rest)}", named(rest)
    if unknown:
        yield "nowhere", Styled.assemble(named(unknown), ("  [in no document]", QUIET))
    if any(len(family) > 1 for family in families.values()):
        yield "", Styled("df of each term of a word, its stem first; --full names them", QUIET)


def _origin(term: Term) -> str:
    if len(term.parts) == 1:
        return next(iter(term.parts))
    return " + ".join(f"{part} {weight:.3g}" for part, weight in term.parts.items())


# ---------------------------------------------------------------- hits


def against_shown(against: Against) -> str:
    """How a trace with other settings differs, as wide as the terminal."""
    moves = table(("", "rank", "there", "moved"), ("rank", "there", "moved"))
    for move in against.moves:
        moves.add_row(
            plain(move.id, f"bold {GOOD}" if move.id in against.relevant else "bold"),
            _rank(move.rank),
            _rank(move.against),
            _moved(move.rank, move.against),
        )
    rows: list[Row] = [("query", plain(against.record["query"]))]
    rows += [("passage", plain(passage)) for passage in against.record.get("passages", [])[:1]]
    if against.moves:
        rows.append(("moves", moves))
    for name, (rank, there) in against.relevant.items():
        where = f"  rank {_rank(rank)}, there {_rank(there)}"
        rows.append(("relevant", Styled.assemble(plain(name, f"bold {GOOD}"), where)))
    both = f"{against.shared} of {len(against.moves)} documents in both" if against.moves else "nothing found by either"
    said = f"{against.options} · {both}"
    return rendered(section("against", plain(said), rows))


def _rank(rank: int | None) -> str:
    return "-" if rank is None else f"{rank:,}"


def _moved(rank: int | None, there: int | None) -> str:
    """How many places higher it stands here than there: "+3"."""
    if rank is None or there is None:
        return "only there" if rank is None else "only here"
    return f"{there - rank:+d}" if there != rank else "="


def _hits(found: Found, k: int) -> Table:
    relevant = {document.document for document in found.relevant}
    some = found.hits[:k]
    rows = ((str(rank), _hit(hit, hit.id in relevant, found.words)) for rank, hit in enumerate(some, 1))
    return section("hits", Styled(f"the best {len(some)}" if len(some) > 1 else "one document"), rows)


def _hit(hit: TracedHit, is_relevant: bool, words: Mapping[str, str]) -> Styled:
    made = Styled.assemble(
        plain(hit.id, f"bold {GOOD}" if is_relevant else "bold"),
        f"  {hit.score:.5g}",
        ("  relevant" if is_relevant else "", GOOD),
    )
    if hit.snippet is not None:
        made.append("\n").append_text(_snippet(hit.snippet))
    if hit.gloss is not None:
        made.append("\n").append_text(plain(f"→ {hit.gloss}", "italic"))
    return made.append("\n").append_text(_reasons(hit.terms, words))


def _snippet(snippet: Snippet) -> Styled:
    made = plain(snippet.text)
    for start, end in snippet.matches:
        made.stylize(MATCH, start, end)
    return made


def _reasons(terms: Sequence[Scored], words: Mapping[str, str], sign: str = "") -> Styled:
    """What words add, the terms of each together, the most first."""
    sums: dict[str, float] = {}
    for term in terms:
        word = words.get(term.term, term.term)
        sums[word] = sums.get(word, 0.0) + term.score
    ranked = sorted(sums.items(), key=lambda entry: -entry[1])
    said = [f"{word} {sign}{score:.3g}" for word, score in ranked[:REASONS]]
    if rest := ranked[REASONS:]:
        said.append(f"{len(rest)} more {sign}{sum(score for _, score in rest):.3g}")
    return plain(" · ".join(said) or "-", QUIET)


# ---------------------------------------------------------------- re-ranking


def _reranked(piece: Reranked, full: bool) -> list[Any]:
    step = piece.provenance
    if piece.texts:
        tokens = sum(text.tokens for text in piece.texts if not text.reused)
        asked = counted(len(piece.texts), "window" if piece.texts[0].field == WINDOW else "document")
        is_kept = all(text.reused for text in piece.texts)
        cost = "from the store" if is_kept else f"{counted(tokens, 'token')} in {piece.seconds:.1f} s"
        query = _HELD_AGAINST.get(step.get("query", ""), "")
        what = (str(step.get("kind", "")), str(step.get("model", "")), query, f"{asked}, {cost}")
        said = " · ".join(filter(None, what))
    else:
        said = "nothing to do: there are no hits"
    parts: list[Any] = [section("rerank", plain(said if not piece.error or piece.texts else ""), _order(piece, full))]
    for document in piece.relevant:
        parts += ["", _relevant(document, piece.found)]
    return parts


_HELD_AGAINST = {Asked.SOURCE: "the query as asked", Asked.QUERY: "the query as searched"}


def _order(piece: Reranked, full: bool) -> Iterator[Row]:
    for text in piece.texts if full else piece.texts[:1]:
        if text.prompt is not None:
            yield "prompt", _prompt(text.prompt, full)
    for text in piece.texts:
        if text.field == WINDOW and not text.error:
            yield "output", plain(text.raw, QUIET)
    if stayed := piece.provenance.get("fell_back"):
        yield "note", plain(f"windows that stayed as they were: {stayed}; the answer names no document", NOTE)
    if piece.error:
        yield "failed", plain(f"{piece.error}; hits stay as they were found", ERROR)
        return
    relevant = {document.document for document in piece.relevant}
    numbers = ("rank", "before", "found with", "model", "score")
    made = table((*numbers[:2], "document", *numbers[2:]), numbers)
    for rank, hit in enumerate(piece.record["hits"][: len(piece.hits)], 1):
        told = hit.get("reranked", {})
        before = f"{told['rank']:,}" if told else f"{rank:,}"
        scores = (f"{told['first']:.5g}" if told else "-", f"{told['score']:.4g}" if "score" in told else "-")
        name = plain(hit["id"], GOOD if hit["id"] in relevant else "")
        made.add_row(f"{rank:,}", before, name, *scores, f"{hit['score']:.4g}")
    if piece.hits:
        yield "order", made


def costs_shown(costs: Sequence[Cost]) -> str:
    """What each stage took, and its share of the whole."""
    whole = sum(cost.seconds for cost in costs)
    made = table(("stage", "seconds", "tokens", "share"), ("seconds", "tokens", "share"))
    for cost in costs:
        tokens = "-" if cost.tokens is None else f"{cost.tokens:,}"
        share = f"{100 * cost.seconds / whole:.0f} %" if whole else "-"
        made.add_row(cost.stage, f"{cost.seconds:.2f}", tokens, share)
    return rendered(section("cost", Styled(f"{whole:.2f} s"), [("", made)]))


# ---------------------------------------------------------------- relevant documents


def _relevant(document: Relevant, found: Found) -> Table:
    last = document.standings[-1]
    where = f"rank {last.rank:,} of {found.documents:,}" if last.rank else "not a hit"
    if not document.in_pool:
        where = "not in the pool"
    said = Styled.assemble(plain(document.document, f"bold {GOOD}"), f"  {where}")
    return section("relevant", said, _standings(document, found))


def _standings(document: Relevant, found: Found) -> Iterator[Row]:
    made = table(("searched with", "rank", "score", "matches that are new"), ("rank", "score"))
    before: set[str] = set()
    for standing in document.standings:
        new = [term for term in standing.terms if term.term not in before]
        before |= {term.term for term in standing.terms}
        rank = f"{standing.rank:,}" if standing.rank else "-"
        score = "-" if standing.score is None else f"{standing.score:.4g}"
        made.add_row(_stage(standing, found), rank, score, _reasons(new, found.words))
    yield "ranks", made
    query = next(standing for standing in document.standings if standing.stage == QUERY)
    if lacking := _lacking(query, found.words):
        yield "lacks", Styled.assemble(named(lacking), ("  [of the query]", QUIET))
    if document.behind is not None and document.ahead:
        ahead = _reasons(document.ahead, found.words, sign="+")
        yield "behind", Styled.assemble(plain(document.behind), ", which has ", ahead)


def _lacking(standing: Standing, words: Mapping[str, str]) -> list[str]:
    """The words of a query of which a document has no term."""
    held = {words.get(term.term, term.term) for term in standing.terms}
    missing = dict.fromkeys(words.get(term, term) for term in standing.missing)
    return [word for word in missing if word not in held]


def _stage(standing: Standing, found: Found) -> str:
    used = _parts(found.terms)
    spoken = found.record.get("lang")
    of = f", {name_of(spoken)}" if spoken and "source" in found.record else ""
    return {
        SOURCE: "query as asked",
        QUERY: f"query{of}",
        SEARCHED: _and_more(used, found.record["index"]),
        FEEDBACK: "+ feedback",
        RERANKED: "re-ranked",
    }[standing.stage]


def _and_more(used: set[str], index: Mapping[str, Any]) -> str:
    """What a search adds to the query."""
    if "query" not in used and "passages" in used:
        return "passages alone"
    if _looks_into_questions(index.get("sides", {}).get(By.BM25, index)):
        used = {*used, "questions"}
    return " ".join(f"+ {part}" for part in ("passages", "source", "questions") if part in used) or (
        "query, weighted" if used else "as searched"
    )
