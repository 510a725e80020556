"""What a controller remembers across restarts, in SQLite."""
