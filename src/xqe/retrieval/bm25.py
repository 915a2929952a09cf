"""The retriever that searches for words: weighted terms of a record's query, passages and source, ranked by BM25."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from xqe.files.records import as_asked
from xqe.retrieval.choices import By, Use
from xqe.retrieval.feedback import Feedback, fed
from xqe.retrieval.nbest import alternatives
from xqe.retrieval.retriever import (
    FEEDBACK,
    QUERY,
    SEARCHED,
    SOURCE,
    Account,
    Best,
    Explanation,
    Retriever,
    Scored,
    Term,
)
from xqe.retrieval.weighting import Query, Weighting, weighted_query
from xqe.text.languages import name_of

if TYPE_CHECKING:
    from xqe.files.names import Numbers
    from xqe.files.records import Record
    from xqe.retrieval.documents import Scores
    from xqe.retrieval.lexical import Index, Parameters
    from xqe.retrieval.lexical.scoring import Contribution
    from xqe.text.snippets import Snippet

_QUERY_ALONE = Weighting(use=Use.QUERY, nbest_mass=0.0)
_PARTS = ("query", "passages", "source", FEEDBACK)


class BM25(Retriever[Query]):
    """Searches an index. weighting: of the texts of a record. parameters: None is the index's own. feedback: None for
    none."""

    def __init__(
        self,
        index: Index,
        weighting: Weighting | None = None,
        parameters: Parameters | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        self.documents = index.documents
        self._index = index
        self._weighting = weighting or Weighting()
        self._parameters = parameters or index.manifest.parameters
        self._feedback = feedback

    def query(self, record: Record, where: str) -> Query:
        return weighted_query(record, self._index, self._weighting, where)

    def fed(self, query: Query, pool: Numbers | None) -> Query:
        if self._feedback is None:
            return query
        numbers, scores = self._best(query, self._feedback.documents, pool)
        return fed(query, numbers.tolist(), scores.tolist(), self._index, self._feedback)

    def best(self, query: Query, k: int, pool: Numbers | None) -> Best:
        return Best(*self._best(query, k, pool))

    def _best(self, query: Query, k: int, pool: Numbers | None) -> tuple[Numbers, Scores]:
        return self._index.best(query.weights, k, pool, self._parameters, query.questions)

    def rank(self, query: Query, number: int, pool: Numbers | None) -> int | None:
        if pool is None:
            return self._index.rank(query.weights, number, self._parameters, query.questions)
        numbers = self.best(query, len(pool), pool).numbers
        return next((rank for rank, found in enumerate(numbers.tolist(), 1) if found == number), None)

    def explain(self, query: Query, number: int) -> Explanation:
        parts = self._index.explain(query.weights, number, self._parameters)
        asked = self._index.explain_questions(query.questions, number, self._parameters)
        questions = {code: held for code, (_, its) in asked.items() if (held := _held(its))}
        terms = [Scored(part.term, part.score) for part in parts if part.tf]
        terms += [Scored(f"questions in {name_of(code)}", sum(held.values())) for code, held in questions.items()]
        return Explanation(
            _score([parts, *(its for _, its in asked.values())]),
            sorted(terms, key=lambda term: -term.score),
            [part.term for part in parts if not part.tf],
            _held(parts),
            questions,
        )

    def explained(self, query: Query, number: int) -> dict[str, Any]:
        """Return the score of a document with all that makes it.

        by, document, score, rank, documents; length, average_length (terms), k1, b, K; terms: {"term", "weight", "tf",
        "df", "idf", "score"} of those that occur, the greatest score first; missing: the same without tf and score of
        those that do not. questions, where they are looked through: for each language "lang", "documents" (that have
        any), what they add ("score"), and the same of them.
        """
        index, parameters = self._index, self._parameters
        parts = index.explain(query.weights, number, parameters)
        asked = index.explain_questions(query.questions, number, parameters)
        said = {
            "by": str(By.BM25),
            "document": self.documents.id(number),
            "score": _score([parts, *(its for _, its in asked.values())]),
            "rank": self.rank(query, number, None),
            "documents": len(self.documents),
            "length": index.length(number),
            "average_length": index.manifest.average_length,
            "k1": parameters.k1,
            "b": parameters.b,
            "K": index.norm(number, parameters),
            **_terms_of(parts),
        }
        if asked:
            said["questions"] = [
                {"lang": code, **standing, "score": sum(part.score for part in its), **_terms_of(its)}
                for code, (standing, its) in asked.items()
            ]
        return said

    def snippet(self, number: int, explanation: Explanation) -> Snippet | None:
        from xqe.text.snippets import best_line, snippet

        text = self.documents.text(number)
        if text is None:
            return None
        if explanation.questions and not explanation.words:  # its text is not what it was found by
            code, scores = max(explanation.questions.items(), key=lambda its: sum(its[1].values()))
            return best_line(self._index.questions_of(code, number), scores, self._index.terms_of(code))
        return snippet(text, explanation.words, self._index.analyzer.terms)

    def described(self, query: Query, k: int) -> dict[str, Any]:
        weighting, feedback = self._weighting, self._feedback
        said: dict[str, Any] = {
            "name": self._index.name,
            "lang": self._index.manifest.language,
            "by": str(By.BM25),
            "use": str(weighting.use),
            "query_weight": query.query_weight,
            **_reason(query),
            "source_weight": "auto" if weighting.source_weight is None else weighting.source_weight,
            "k": k,
            "k1": self._parameters.k1,
            "b": self._parameters.b,
        }
        if query.translations > 1:
            said["nbest_mass"], said["translations"] = weighting.nbest_mass, query.translations
        if weighting.passage_terms is not None:
            said["passage_terms"] = weighting.passage_terms
        if weighting.question_weight and self._index.manifest.questions:
            said["question_weight"] = weighting.question_weight
            said["questions"] = list(query.questions)
        if feedback is not None:
            said["feedback"] = {
                "method": str(feedback.method),
                "documents": feedback.documents,
                "terms": feedback.terms,
                "weight": feedback.applied_weight,
            }
        return said

    def account(
        self, record: Record, query: Query, fed: Query, where: str, pool: Numbers | None, has_hits: bool
    ) -> Account[Query]:
        words = _words(record, self._index)
        terms = self._terms(fed, words)
        notes = self._notes(record, fed, pool, has_hits)
        return Account(self._states(record, query, fed, where), terms, words, list(notes))

    def _states(self, record: Record, query: Query, fed: Query, where: str) -> list[tuple[str, Query]]:
        source = as_asked(record)
        before = [(SOURCE, {**record, "query": source})] if source != record["query"] else []
        states = [
            *((state, weighted_query(each, self._index, _QUERY_ALONE, where)) for state, each in before),
            (QUERY, weighted_query(record, self._index, _QUERY_ALONE, where)),
            (SEARCHED, query),
            (FEEDBACK, fed),
        ]
        return states[:1] + [after for one, after in pairwise(states) if _sought(after[1]) != _sought(one[1])]

    def _terms(self, query: Query, words: Mapping[str, str]) -> list[Term]:
        """The terms of positive weight, the heaviest first, and of equal ones the rarest."""
        names = [term for term, weight in query.weights.items() if weight > 0]
        found = zip(names, self._index.document_frequencies(names), self._index.idfs(names), strict=True)
        terms = [
            Term(
                name,
                words.get(name, name),
                query.weights[name],
                df,
                idf,
                {part: weight for part in _PARTS if (weight := query.parts.get(part, {}).get(name, 0.0)) > 0},
            )
            for name, df, idf in found
        ]
        return sorted(terms, key=lambda term: (-term.weight, -term.idf, term.term))

    def _notes(self, record: Record, query: Query, pool: Numbers | None, has_hits: bool) -> Iterator[str]:
        indexed = name_of(self._index.manifest.language)
        spoken = name_of(record.get("lang", self._index.manifest.language))
        if spoken != indexed and not query.questions:
            yield f"the query is in {spoken}, the documents are in {indexed}: only names and loan words can match"
        if pool is not None and not len(pool):
            yield "the pool has no documents for this query"
        elif not any(weight > 0 for weight in query.weights.values()) and not any(query.questions.values()):
            yield "nothing is left to search with: the query has no terms but stop words"
        elif not has_hits:
            yield "no document has any of the terms"
        if has_hits and not self.documents.has_texts:
            yield "the index was built without texts, so there are no snippets"


def _reason(query: Query) -> dict[str, Any]:
    """Why the weight is what it is, where it is automatic."""
    if query.automatic is None:
        return {}
    share, coverage = query.automatic
    return {"query_share": round(share, 3), **({} if coverage is None else {"coverage": round(coverage, 3)})}


def _score(fields: Iterable[Iterable[Contribution]]) -> float:
    """What the parts of a score, those of each field, come to, as a search gives it."""
    import numpy

    return float(numpy.float32(sum(sum(part.score for part in parts) for parts in fields)))


def _held(parts: Iterable[Contribution]) -> dict[str, float]:
    """What each term that occurs adds."""
    return {part.term: part.score for part in parts if part.tf}


def _terms_of(parts: Iterable[Contribution]) -> dict[str, list[dict[str, Any]]]:
    """The terms that occur, and those that do not, as JSON values."""
    terms = [part._asdict() for part in parts]
    return {
        "terms": [term for term in terms if term["tf"]],
        "missing": [
            {name: value for name, value in term.items() if name not in ("tf", "score")}
            for term in terms
            if not term["tf"]
        ],
    }


def _sought(query: Query) -> tuple[Any, Any]:
    """What a search with a query looks for."""
    return query.weights, query.questions


def _words(record: Record, index: Index) -> dict[str, str]:
    """For each term the word that it stands for: a word has several terms, and words of one stem are one.

    A term that several words have stands for the first of them; those whose stem no document has come last.
    """
    translations = [text for text, _ in alternatives(record, 1.0, record["id"])]
    texts = [record["query"], *translations, as_asked(record), *record.get("passages", [])]
    analysed = [word for text in texts for word in index.analyzer.explain(text) if word.terms]
    found = index.document_frequencies([word.stem for word in analysed])
    word_of_stem: dict[str, str] = {}
    words: dict[str, str] = {}
    for word, _ in sorted(zip(analysed, found, strict=True), key=lambda pair: pair[1] == 0):
        first = word_of_stem.setdefault(word.stem, word.word)
        for term in word.terms:
            words.setdefault(term, first)
    return words
