"""xqe models: the GGUF models that xqe knows, and where they lie."""
