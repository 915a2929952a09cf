"""xqe data: collections that are known, fetched, converted, built and sampled."""
