"""The subcommands, a file each: read, stage, write. Heavy libraries are imported inside the command bodies."""
