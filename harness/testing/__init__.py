"""Tools for testing the harness. They ship with it; nothing that runs in production imports them."""
