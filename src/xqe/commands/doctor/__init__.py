"""xqe doctor: the command, and its screen."""
