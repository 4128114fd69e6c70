"""The truth: one SQLite database, and the documented files that mirror it (architecture 7.1, 7.2)."""
