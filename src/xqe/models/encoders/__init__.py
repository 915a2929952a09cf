"""What makes vectors of texts. `base` is the interface; `recipes` says how known models are used; the others are behind
the interface, one for each thing that computes."""

SENTENCE_TRANSFORMERS = "sentence-transformers:"
"""Begins the name of a model that sentence-transformers loads, as --encoder takes it."""
