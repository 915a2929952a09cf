"""xqe trace: the command, and its screen."""
