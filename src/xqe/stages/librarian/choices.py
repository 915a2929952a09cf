"""What is chosen for a prompt unless told. Commands say so before anything is loaded."""

NEARBY = 1
"""Documents that a prompt shows: a small model copies from several what the query does not say (docs/dense.md)."""
