"""Records to records: each stage is a generator that knows nothing of files or terminals."""
