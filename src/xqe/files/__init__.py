"""How things lie on disk and in pipes.

    jsonl, records               streams of lines; the query record and the document
    documents, trec              documents in several spellings; qrels and runs
    names, arrays, fingerprints  strings by number, numbers of one type, strings as numbers
    atomic                       whole files or none
"""
