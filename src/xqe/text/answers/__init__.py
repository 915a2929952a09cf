"""What of an answer is the text that was asked for, and what stands around it.

`parting` takes an answer apart, by what the other modules know: `marks`, of reasoning and of a model's turn; `talk`,
the words that a model speaks of its answer in; `wrappings`, what it puts around a text. A form that the text has, too,
which the answer was made of, is the answer's own.
"""
