"""Faults on purpose, against real loops: what is promised in docs/explanation/failure-model.md must hold afterwards."""
