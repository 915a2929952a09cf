"""Finished generations, so that none is made twice: one SQLite file, which any number of processes may share.

A generation is found by the sha256 of all that its text depends on (`generation.Asked`). What many of them have in
common is kept once: the model and the parameters in the table `origin`, and in `opening` a prompt that others begin
like; both have a hash of their content for their id (`rows`). Each generation is committed when it is finished, and has
a checksum, since SQLite notices damage to its structure but not to what it holds.

`database` is the file, and raises what goes wrong; `pages` reads what is whole in a damaged one; `access` looks into
it, and says why it cannot be used; `run` is what a run uses, which never fails once it is open. Where the file lies is
known (`place`) without SQLite. `prefixes` is a folder beside it, of what models have read of prompts.
"""
