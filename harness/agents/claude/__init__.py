"""Claude Code as an agent, through its SDK. Importing this package does not import the SDK (1-2 s of CPU)."""

from harness.agents.claude.agent import ClaudeAgent
from harness.agents.claude.options import ClaudeOptions

__all__ = ["ClaudeAgent", "ClaudeOptions"]
