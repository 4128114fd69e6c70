"""The loop: components that talk through the store and one payload-free Bell, never by reference to one another."""
