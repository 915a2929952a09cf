"""The ways to expand a query, a row each: the paper's four prompts, and the published methods of the field.

A row says what a method asks a model, how texts are drawn, and how search puts them together with the query, as its
paper or QueryGym (github.com/ls3-lab/QueryGym) has it; any of it can be overridden by an option. Commands offer the
names before anything is loaded. The prompt of each is prompts/expand-NAME.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from xqe.retrieval.combining import ADAPTIVE, EACH, JOINED, MEAN, SEP, USUAL, Combination

if TYPE_CHECKING:
    from xqe.models.prompts import Template

PASSAGE_TOKENS = 192
SHORT = 5
"""Words from which a query is no short one (paper, section 4.2)."""


class Strategy(StrEnum):
    """The names of the rows, and "auto", which chooses one for each query (`choosing`)."""

    ZEROSHOT = "zeroshot"
    COT = "cot"
    RAR = "rar"
    FEWSHOT = "fewshot"
    QUERY2DOC = "query2doc"
    HYDE = "hyde"
    MUGI = "mugi"
    LAMER = "lamer"
    CSQE = "csqe"
    GRF = "grf"
    KEYWORDS = "keywords"
    GENQR = "genqr"
    GENQR_ENSEMBLE = "genqr-ensemble"
    QA_EXPAND = "qa-expand"
    EXP4FUSE = "exp4fuse"
    AUTO = "auto"

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self]

    @property
    def reads(self) -> int:
        """How many hits it needs; none for "auto", which reads those that are there."""
        return RECIPES[self].documents if self in RECIPES else 0

    @property
    def template(self) -> Template:
        """The prompt, of a method that has several the first."""
        return self.recipe.templates[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to expand.

    source: who published it. prompts: what is asked, by the names of prompts; one with variants asks in each of them.
    samples: of each kind of text. kinds: how many there are. temperature, max_tokens: of each text. combination: how
    search puts the texts together with the query. documents: how many of the best hits are read. in_rounds: whether
    what is asked depends on earlier answers.
    """

    source: str
    prompts: tuple[str, ...]
    samples: int = 1
    kinds: int = 1
    temperature: float = 0.0
    max_tokens: int = PASSAGE_TOKENS
    combination: Combination = USUAL
    documents: int = 0
    in_rounds: bool = False

    @property
    def templates(self) -> tuple[Template, ...]:
        from xqe.models import prompts

        return tuple(prompts.builtin(name) for name in self.prompts)


_PAPER = "arXiv 2511.19325, section 3.4, appendix A"
_Q5 = Combination(query=5, vectors=JOINED)

RECIPES: dict[Strategy, Recipe] = {
    Strategy.ZEROSHOT: Recipe(_PAPER, ("expand-zeroshot",)),
    Strategy.COT: Recipe(_PAPER, ("expand-cot",)),
    Strategy.RAR: Recipe(_PAPER, ("expand-rar",)),
    Strategy.FEWSHOT: Recipe(_PAPER, ("expand-fewshot",)),
    # The paper draws at 1, QueryGym (methods/query2doc.py) at 0.7; both take one passage.
    Strategy.QUERY2DOC: Recipe(
        "Query2doc, arXiv 2303.07678, section 2",
        ("expand-query2doc",),
        temperature=1.0,
        max_tokens=128,
        combination=Combination(query=5, vectors=SEP),
    ),
    # Defined for vectors alone: among words its passages count as usual.
    Strategy.HYDE: Recipe(
        "HyDE, arXiv 2212.10496; texttron/hyde, generator.py",
        ("expand-hyde",),
        samples=8,
        temperature=0.7,
        max_tokens=512,
        combination=Combination(vectors=MEAN),
    ),
    Strategy.MUGI: Recipe(
        "MuGI, arXiv 2401.06311; QueryGym, methods/mugi.py",
        ("expand-mugi",),
        samples=5,
        temperature=1.0,
        max_tokens=1024,
        combination=Combination(query=ADAPTIVE, vectors=JOINED),
    ),
    Strategy.LAMER: Recipe(
        "LameR, arXiv 2304.14233; QueryGym, methods/lamer.py",
        ("expand-lamer",),
        samples=5,
        temperature=1.0,
        max_tokens=128,
        combination=Combination(query=EACH, vectors=JOINED),
        documents=10,
    ),
    Strategy.CSQE: Recipe(
        "CSQE, arXiv 2402.18031; QueryGym, methods/csqe.py",
        ("expand-hyde", "expand-csqe"),
        samples=2,
        kinds=2,
        temperature=1.0,
        max_tokens=1024,
        combination=Combination(query=2, vectors=JOINED),
        documents=10,
    ),
    # The kinds of text are the paper's. Its number of terms and its mix are tuned for each collection, and fixed here.
    # Temperature and limit are HyDE's, since the paper's could not be looked up. Vectors are as usual.
    Strategy.GRF: Recipe(
        "GRF, arXiv 2304.13157, section 3",
        ("expand-grf",),
        kinds=10,
        temperature=0.7,
        max_tokens=512,
        combination=Combination(terms=50),
    ),
    Strategy.KEYWORDS: Recipe(
        "Q2E, arXiv 2305.03653, section 3; QueryGym, methods/query2e.py",
        ("expand-keywords",),
        max_tokens=256,
        combination=_Q5,
    ),
    # QueryGym's genqr.py has the query once, and what its base class says of GenQR five times, as its ensemble has it.
    Strategy.GENQR: Recipe(
        "GenQR; QueryGym, methods/genqr.py",
        ("expand-genqr",),
        samples=5,
        temperature=0.8,
        max_tokens=256,
        combination=_Q5,
    ),
    Strategy.GENQR_ENSEMBLE: Recipe(
        "GenQREnsemble, arXiv 2404.03746; QueryGym, methods/genqr_ensemble.py",
        ("expand-genqr-ensemble",),
        kinds=10,
        temperature=0.92,
        max_tokens=256,
        combination=_Q5,
    ),
    # samples: how many questions; kinds: these, and their answers.
    Strategy.QA_EXPAND: Recipe(
        "QA-Expand, arXiv 2502.08557; QueryGym, methods/qa_expand.py",
        ("expand-qa-questions", "expand-qa-answers", "refine-qa"),
        samples=3,
        kinds=2,
        temperature=0.8,
        max_tokens=256,
        combination=Combination(query=3, vectors=JOINED),
        in_rounds=True,
    ),
    # One passage, as its fuser.py reads. Defined for one retriever of any kind that looks for words.
    Strategy.EXP4FUSE: Recipe(
        "Exp4Fuse, arXiv 2506.04760; liuliuyuan6/Exp4Fuse",
        ("expand-exp4fuse",),
        temperature=0.7,
        max_tokens=128,
        combination=Combination(query=5, vectors=JOINED, fuse=True),
    ),
}

PAPER = (Strategy.ZEROSHOT, Strategy.COT, Strategy.RAR, Strategy.FEWSHOT)
"""The paper's."""
