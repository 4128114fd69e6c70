"""The command line: one table of commands, one frame for all of them; rendering, no decisions."""
