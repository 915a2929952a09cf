"""Options that several commands share, each stated once: a module for what a command may have, and load."""
