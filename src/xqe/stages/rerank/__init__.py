"""Re-ranking: the best hits of each record in a new order, after a model has read them.

reading                      what the model reads: queries and documents
mixing                       the scores of the first stage and of the model in one
pointwise                    a score for each document by itself
listwise                     documents put in order, a window after the other
answers                      the order that an answer gives
kinds                        the ways there are, a row each
reranker                     how it is done, and the stage that does it
"""
