"""The encoder as librarian: what a prompt shows of worked examples and documents, chosen for each query.

`choosing` has the worked examples that are nearest to a query, and differ (`diverse`); `copies` keeps out those that
give it away. `nearby` has the documents of an index that are nearest to it.
"""
