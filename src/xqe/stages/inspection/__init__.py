"""Inspection: how good generated texts look, without relevance judgements.

Measured are the passages of a record, or its translated query where it has no passages. docs/inspect.md says what
each measure is worth.

`measures` is the table of what is measured. A text alone: `repetition`, `metatext` and, with these, `texts`; held to
the query: `anchors`, `echo`; to the worked examples: `drift`. `history` is how a record's texts came about;
`inspector` measures records, and `summary` means over them. `references` holds translated queries to what people wrote,
and `correlations` both to what is found.
"""
