"""What a session tells us while it runs, in our own words; adapters translate into these, the watchdog reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Started:
    claude_session_id: str
    model: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Requesting:
    """A request to the API is open and no byte has come yet."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """Bytes of an answer arrived."""


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """`limit_seconds` is the tool's own limit; `digest` identifies name and arguments; `summary` is for people."""

    id: str
    name: str
    summary: str
    digest: str
    limit_seconds: float


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """`digest` identifies the result, so that equal calls with equal results can be counted (spinning)."""

    id: str
    ok: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """The CLI sleeps before asking the API again. `status` None = the request failed without an HTTP answer."""

    status: int | None
    error: str
    delay_seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Limited:
    """The API's word on the account's limits. `status`: allowed, allowed_warning, rejected; or throttled, which is our
    word for answers 429 that ask for a longer wait than a session should sit out. `resets_at` None: none was named.
    """

    status: str
    kind: str
    resets_at: datetime | None
    utilization: float | None


@dataclass(frozen=True, slots=True)
class Compacting:
    pass


@dataclass(frozen=True, slots=True)
class Denied:
    """The policy refused a call. `ask` = a person may allow `what`."""

    tool: str
    reason: str
    ask: bool = False
    what: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of the session so far: input, output and cache writes. At least so many; it is no exact count."""

    tokens: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A result arrived; the agent may still be working on something in the background."""

    cost_usd: str | None


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing runs any more: after a result, the session is over."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Any other sign of life of the agent."""


REACHED = frozenset({"rejected", "throttled"})
"""What Limited says when nobody is answered until the limit ends."""

SessionEvent = (
    Started
    | Requesting
    | Streaming
    | Said
    | ToolStarted
    | ToolEnded
    | Retrying
    | Limited
    | Compacting
    | Denied
    | Used
    | TurnEnded
    | Idle
    | Alive
)


class StopReason(StrEnum):
    """Why we end a session; the first three endings of ENDINGS and the operator's wishes."""

    TIMEOUT = "timeout"
    STALLED = "stalled"
    STALLED_API = "stalled_api"
    STALLED_START = "stalled_start"
    SPINNING = "spinning"
    BUDGET = "budget"
    RUNAWAY = "runaway"
    AUTH = "auth"
    LIMITED = "limited"
    PAUSE = "pause"
    STOP = "stop"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class AgentExit:
    """The bare facts of how an agent process ended; `classify` makes an ending of them.

    From the last result frame: subtype, is_error, terminal_reason, api_status, stop_reason, text, error (the API error
    word of the last synthetic message). `exception` is the class name of what the adapter caught, `detail` its text.
    `exit_code` is agent-init's record (128 + n for signal n). `limit` is the last event of a limit that was reached.
    """

    subtype: str | None = None
    is_error: bool = False
    terminal_reason: str | None = None
    api_status: int | None = None
    stop_reason: str | None = None
    text: str = ""
    error: str | None = None
    exception: str | None = None
    detail: str = ""
    exit_code: int | None = None
    stderr_tail: str = ""
    limit: Limited | None = None
    retry: Retrying | None = None
    denials: int = 0
    tools: int = 0
