"""Judges of sealed work. An agent's word changes no state; a gate's verdict does."""
