"""The one decoder over a session's log: every number and every line that commands show comes from here.

No pydantic, no asyncio, no SDK: read commands import this package and must start fast.
"""
