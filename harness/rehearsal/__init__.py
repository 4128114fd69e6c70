"""The real Claude CLI without a model: a scripted Messages API on loopback (architecture §8)."""
