"""The paper's experiment: every model, strategy, order and use over every language pair of some collections.

`settings` reads what is wanted from a TOML file; `asked` opens its collections; `planner` makes the `plan`, generations
that are shared and cells that are evaluated, each with its key (`keys`); `folder` is where all of it lies on disk;
`indexing`, `generating` and `retrieving` do the work; `nights` compares a finished run with the one before; `conduct`
leads from the file to the exit status.
"""
