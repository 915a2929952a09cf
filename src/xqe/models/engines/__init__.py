"""Engines generate text: `llama` in this process, `fake` for tests without a model. `base` is their interface."""

FAKE = "fake"
SERVER = "openai:"
"""What --model says for the engine without a model, and what it begins with for a model of a server."""
