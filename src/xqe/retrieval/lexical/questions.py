"""Questions that documents answer, in any languages, as `xqe augment` writes them: fields beside the text, each with
analysis, lengths and frequencies of its own (doc2query, Nogueira et al. 2019, across languages).

    DIR/data-N/questions-LANG/   an index, like any other, of the documents that have questions in a language, of which
                                 the text is these, one a line
    DIR/data-N/owners.LANG       the number of each among all documents, rising, uint32
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from xqe.files.arrays import ArrayWriter, Writers
from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.text.languages import language

OWNERS = "owners."


def folder_of(data: Path, code: str) -> Path:
    """Where the index of the questions in a language is."""
    return data / f"questions-{code}"


def owners_of(data: Path, code: str) -> Path:
    """The file of whose they are."""
    return data / f"{OWNERS}{code}"


class QuestionsWriter:
    """Keeps the questions of documents, as these come, until all are read: what is in a language is indexed by itself.

    counts: of the questions in each language.
    """

    def __init__(self, folder: Path, files: Writers) -> None:
        self._folder, self._files = folder, files
        self._open: dict[str, tuple[TextIO, ArrayWriter]] = {}
        self.counts: Counter[str] = Counter()

    def append(self, documents: Sequence[Placed], first: int) -> None:
        """Add the questions of documents, of which the first has this number."""
        for number, (where, document) in enumerate(documents, first):
            each: dict[str, list[str]] = {}
            for lang, questions in (document.questions or {}).items():
                if questions:  # perhaps those of "pt" and of "pt-BR"
                    each.setdefault(language(lang, f'{where}: "questions"').code, []).extend(questions)
            for code, its in each.items():
                self._add(code, where, document.id, its, number)

    def _add(self, code: str, where: str, name: str, questions: Sequence[str], number: int) -> None:
        if code not in self._open:
            file = self._files.enter_context(self._lines(code).open("w", encoding="ascii"))
            self._open[code] = file, self._files.array(owners_of(self._folder, code), "<u4")
        lines, owners = self._open[code]
        text = "\n".join(" ".join(question.split()) for question in questions)
        lines.write(f"{json.dumps([where, name, text])}\n")
        owners.append([number])
        self.counts[code] += len(questions)

    def taken(self, code: str) -> Iterator[Placed]:
        """The documents that have questions in a language, with these as their text; once, after all are written."""
        path = self._lines(code)
        with path.open(encoding="ascii") as lines:
            for line in lines:
                where, name, text = json.loads(line)
                yield where, Document(name, text)
        path.unlink()

    def _lines(self, code: str) -> Path:
        return self._folder / f"{folder_of(self._folder, code).name}.jsonl"
