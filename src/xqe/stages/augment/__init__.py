"""Augmentation: each document gets questions that it answers, in other languages (xQG, arXiv 2305.03950) or its own.

filters        what of a model's answer is no question of a document, and why
consistency    whether a question finds its document among all
augment        the stage: from a document to prompts, and from answers to its questions
"""
