"""xqe: cross-lingual query expansion, search and evaluation at the command line."""

__version__ = "0.1.0"
