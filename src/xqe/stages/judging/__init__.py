"""The encoder as judge: how close the texts of a record stay to its query as it first came.

`closeness` brings cosines, which every encoder has on a scale of its own, to one that means the same of all; `judge` is
the stage: it weighs texts by it, drops those that strayed, or keeps the closest.
"""
