"""Engines generate text: `llama` in this process, `fake` for tests without a model. `base` is their interface."""
