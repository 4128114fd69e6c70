"""Nouns and pure rules. Standard library only; nothing here reads a clock, a file or a process."""
