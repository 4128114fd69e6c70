"""Workspaces, autosaves, seals and the way to the target branch, on git's command line."""
