"""The report of a grid: what was measured, in the shape of the paper's tables and figures (arXiv 2511.19325).

`results` reads of the folders what fits `shapes`; `averages` averages and compares; `published` has the paper's
numbers; `tables`, `maps`, `queries`, `quality`, `retrievers` and `ranks`, `reranking`, `questions`, `story` and `trend`
say what is shown, as `blocks`; `markdown`, `latex`, `tidy` and `page` write it, and `drawing` draws.
"""
