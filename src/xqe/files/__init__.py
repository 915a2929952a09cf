"""How things lie on disk and in pipes: records, documents, JSONL, TREC files, whole files or none."""
