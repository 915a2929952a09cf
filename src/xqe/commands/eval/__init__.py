"""xqe eval: the command, what it holds runs to, and its tables."""
