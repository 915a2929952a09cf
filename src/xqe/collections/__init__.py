"""Collections from elsewhere: fetched, converted to xqe's layout (`xqe.collections.layout`), built, sampled.

sources      the collections that xqe knows by name: languages, size, files; and their licences
downloads    which files of theirs there are: downloads.tsv
fetching     files from the network: resumed, checked
conversion   any format to a collection: duplicates, gaps and order are dealt with here, once
formats      the table of formats; clirmatrix, msmarco, beir, miracl, trec (sgml, topics), irdatasets read one each
target       the folder that one is written to, beside what is there until it is whole; manifest, what it says of itself
building     collections made on this machine: debian, from apt's package descriptions; grades, by BM25
sampling     a smaller collection out of one that is there
draws        what is chosen, by a hash of a seed and an id
"""
