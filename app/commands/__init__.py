"""Comment commands: a comment into the commands in it (pure)."""
