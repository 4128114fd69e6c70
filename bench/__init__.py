"""Measurements: each next to what it is held against (README.md)."""
