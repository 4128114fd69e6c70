"""Prompts: templates, their variables, and the fence round text that is not ours."""
