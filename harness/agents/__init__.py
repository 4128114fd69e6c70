"""Adapters that turn a brief into a session: the Claude CLI, and a script for tests and simulation."""
