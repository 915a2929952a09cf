"""Answers from documents, each sentence with those that it rests on.

`offered` reads the documents that a record has hits of; `worked` makes the examples that a pretrained model is shown;
`answer` is the stage; `after` finds documents for sentences that cite none.
"""
