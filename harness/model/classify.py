"""From the bare facts of a session's end to an ending of ENDINGS: one pure function, three small tables.

The result frame is the truth where there is one; `subtype: success` is not success (an API failure arrives as
`success` with `is_error`). Source of every row: research/agent-sdk §3; each has a test by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.model.events import AgentExit, StopReason

_OURS: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.TIMEOUT: "timeout",
        StopReason.STALLED: "stalled",
        StopReason.STALLED_API: "stalled_api",
        StopReason.STALLED_START: "stalled_start",
        StopReason.SPINNING: "spinning",
        StopReason.BUDGET: "budget",
        StopReason.RUNAWAY: "runaway",
        StopReason.AUTH: "auth",
    }
)

_BY_WORD: Mapping[str | None, str] = MappingProxyType(
    {
        "authentication_failed": "auth",
        "oauth_org_not_allowed": "auth",
        "billing_error": "billing",
        "model_not_found": "model_unknown",
        "rate_limit": "throttled",
        "overloaded": "api_down",
        "server_error": "api_down",
    }
)
"""The error word of the CLI's synthetic message; it knows more than the status (a 400 may be billing)."""

_BY_STATUS: Mapping[int, str] = MappingProxyType(
    {401: "auth", 402: "billing", 403: "auth", 404: "model_unknown", 408: "api_down", 413: "context_full"}
)

_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("sandbox required but unavailable", "sandbox_missing"),
    ("no space left on device", "disk_full"),
    ("control request timeout: initialize", "stalled_start"),
    ("cannot be used with root/sudo", "cli_missing"),
    ("unknown option", "cli_missing"),
    ("invalid settings", "cli_missing"),
    ("cannot allocate memory", "memory"),
    ("no conversation found with session id", "conversation_gone"),
)
"""What only the text tells, looked for in what was caught and in the end of stderr; lower case, first hit wins."""

_BY_EXCEPTION: Mapping[str | None, str] = MappingProxyType(
    {
        "CLINotFoundError": "cli_missing",
        "CLIJSONDecodeError": "protocol",
        "MessageParseError": "protocol",
        "UnicodeDecodeError": "protocol",
    }
)

# agent-init's own codes: isolation required but absent; the program cannot be executed; it does not exist.
_BY_EXIT: Mapping[int, str] = MappingProxyType({78: "sandbox_missing", 126: "cli_missing", 127: "cli_missing"})


def classify(facts: AgentExit, *, stopped: StopReason | None, settled: bool) -> str | None:
    """The ending of a session, None if it ended well: then its work is judged (`unreported` if it is not settled).

    What the agent said of its work stands, whatever ended the process afterwards. An operator's stop is no ending.
    """
    if settled or stopped in (StopReason.PAUSE, StopReason.STOP):
        return None
    if stopped is not None and stopped in _OURS:
        return _OURS[stopped]
    if stopped is StopReason.LIMITED:
        return "throttled" if facts.limit is not None and facts.limit.status == "throttled" else "usage_limit"
    if facts.subtype is not None:
        return _of_result(facts)
    return _of_silence(facts)


def _of_result(facts: AgentExit) -> str | None:
    match facts.subtype, facts.terminal_reason, facts.stop_reason:
        case "error_max_turns", _, _:
            return "max_turns"
        case "error_max_budget_usd", _, _:
            return "budget"
        case _, "prompt_too_long", _:
            return "context_full"
        case _, _, "refusal":
            return "refusal"
        case "success", _, _ if not facts.is_error:
            return "policy_wall" if 0 < facts.tools <= facts.denials else None
        case _, "api_error", _:
            return _of_api(facts)
    return _of_text(facts) or "crashed"


def _of_api(facts: AgentExit) -> str:
    """No status means no HTTP answer; any other 4xx is a conversation the API rejects, which a fresh one mends."""
    if facts.limit is not None and facts.limit.status == "rejected":
        return "usage_limit"
    if facts.error in _BY_WORD:
        return _BY_WORD[facts.error]
    status = facts.api_status
    if status is None or status >= 500:
        return "api_down"
    return "throttled" if status == 429 else _BY_STATUS.get(status, "protocol")


def _of_silence(facts: AgentExit) -> str:
    """There was no result: what was caught, what stderr says, how the process ended. Exit 0 is no success either."""
    if facts.exception in _BY_EXCEPTION:
        return _BY_EXCEPTION[facts.exception]
    # a signal to agent-init itself; one to the agent is told by agent-init as 128 + n
    dead = "agent_init_killed" if (facts.exit_code or 0) < 0 else "crashed"
    return _of_text(facts) or _BY_EXIT.get(facts.exit_code or 0, dead)


def _of_text(facts: AgentExit) -> str | None:
    text = f"{facts.detail}\n{facts.stderr_tail}\n{facts.text}".lower()
    return next((ending for needle, ending in _BY_TEXT if needle in text), None)
