"""The strings of arXiv 2511.19325, appendix A; the query's place is as in its figure 2 and design of each strategy."""

from __future__ import annotations

from xqe.stages.strategies import Strategy

PAPER_SYSTEM = (
    "You are a text expansion model. Respond only with the requested passage. "
    "Stop naturally at the end of the passage and avoid repetition."
)
PAPER_SYSTEM_FEWSHOT = (
    "Given example query–passage pairs, produce one short, relevant passage about the final query. "
    "Respond only with the passage; stop naturally at the end of the passage and avoid repetition."
)
PAPER_USER = {
    Strategy.ZEROSHOT: "Please write a passage to answer the question.\nQuestion: original name of mercury",
    Strategy.COT: "Answer the following query, give the rationale before answering: original name of mercury",
    Strategy.RAR: "original name of mercury\nRephrase and expand the question, and respond.",
}
