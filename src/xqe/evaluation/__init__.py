"""Values, rows of values, and what may be said of their differences."""
