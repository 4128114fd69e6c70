"""Processes: starting them so that they can be ended for certain, telling them apart, measuring them."""
