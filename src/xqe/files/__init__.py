"""How things lie on disk and in pipes.

`packing`: what a file is, unpacked; `jsonl`, `records`: lines in and out, and what is in them; `numbers`, `toml`: how
numbers and settings are read; `stdout`: what goes wrong there, for whatever writes; `documents`, `trec`: documents,
qrels and runs, in the spellings that they come in; `names`, `arrays`, `fingerprints`: strings by number. `atomic`:
files that are whole or not there; `parts`: files that come to be a piece at a time; `locks`: folders that one process
at a time writes; `hashes`, and the `cache` folder.
"""
