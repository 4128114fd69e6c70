"""What a scenario file may say, checked strictly: an unknown key is an error that names it.

A scenario is a list of sessions. A conversation belongs to the first session whose `match` is found in its first prompt
(`/.../` is a regular expression), else to the one marked `default`. Its turns are played in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.model.errors import ConfigError

FOREVER = float("inf")

# What the public API says in each case; research/agent-sdk §3 names the ending that the CLI makes of it.
KINDS: Mapping[str, Mapping[str, Any]] = {
    "unauthorized": {"status": 401, "message": "invalid x-api-key"},
    "forbidden": {"status": 403, "message": "your account does not have access to this resource"},
    "billing": {
        "status": 400,
        "message": "Your credit balance is too low to access the Anthropic API. "
        "Please go to Plans & Billing to upgrade or purchase credits.",
    },
    "model_not_found": {"status": 404, "message": "model: {model}"},
    "rate_limited": {"status": 429, "message": "this request would exceed your rate limit"},
    "usage_limit": {"status": 429, "message": "usage limit reached", "resets_in_seconds": 3600},
    "overloaded": {"status": 529, "message": "Overloaded"},
    "server_error": {"status": 500, "message": "Internal server error"},
    "prompt_too_long": {"status": 400, "message": "prompt is too long: 210000 tokens > 200000 maximum"},
    "refusal": {"reply": "refusal"},
    "empty": {"reply": "empty"},
    "garbage": {"status": 200, "body": "<html><body>Bad gateway</body></html>"},
}

ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Usage(Part):
    """Tokens of one reply; None = derived from the turn, the same in every run."""

    input: int | None = Field(default=None, ge=0)
    output: int | None = Field(default=None, ge=0)
    cache_read: int = Field(default=0, ge=0)
    cache_write_5m: int = Field(default=0, ge=0)
    cache_write_1h: int = Field(default=0, ge=0)


class Tool(Part):
    """One tool call. `raw` is sent instead of `input`, for JSON that does not parse."""

    name: str
    input: dict[str, Any] = Field(default_factory=dict)
    raw: str | None = None


class Fault(Part):
    """How an answer goes wrong. Verbs combine: `{hang_mid: 2, drop: true}` is silent for two seconds, then resets.

    `hang`, `status` and `reply` hold for every request; `slow`, `hang_mid`, `drop` and `sse_error` only for streams, so
    the CLI's fallback to `stream: false` gets the turn itself. Durations are seconds; `forever` has no end.
    `times` = only the first N requests; `until_seconds` = only so long after the fault was first met.
    """

    kind: str | None = None
    hang: float = Field(default=0, ge=0)
    hang_mid: float = Field(default=0, ge=0)
    slow: float = Field(default=0, ge=0)
    drop: bool = False
    sse_error: str | None = None
    status: int | None = Field(default=None, ge=200, le=599)
    error_type: str | None = None
    message: str = "rehearsed failure"
    body: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    resets_in_seconds: int | None = None
    reply: Literal["refusal", "empty"] | None = None
    times: int | None = Field(default=None, ge=1)
    until_seconds: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        """`fault: overloaded` and `{kind: overloaded}` are short for that kind's values; what is given wins."""
        if isinstance(given, str):
            given = {"kind": given}
        if not isinstance(given, dict):
            return given
        kind = given.get("kind")
        if kind is not None and kind not in KINDS:
            raise ValueError(f"no fault kind {kind!r}; there are: {', '.join(KINDS)}")
        values = {**(KINDS[kind] if kind else {}), **given}
        return {key: FOREVER if value == "forever" else value for key, value in values.items()}


class Turn(Part):
    """One answer of the model: text, tool calls, or both."""

    text: str = ""
    tools: tuple[Tool, ...] = ()
    usage: Usage = Usage()
    stop_reason: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    fault: Fault | None = None


class Session(Part):
    """One script; only the first `times` conversations take it. `repeat` and `then`: what follows the last turn."""

    match: str = ""
    default: bool = False
    times: int | None = Field(default=None, ge=1)
    turns: tuple[Turn, ...] = ()
    faults: tuple[Fault, ...] = ()
    repeat: bool = False
    then: Literal["nothing", "error"] = "nothing"

    @model_validator(mode="after")
    def _decided(self) -> Self:
        if bool(self.match) == self.default:
            raise ValueError("a session has either `match` or `default: true`")
        if self.repeat and (self.then != "nothing" or not self.turns):
            raise ValueError("`repeat` needs turns and goes without `then`")
        _pattern(self.match)
        return self

    def takes(self, prompt: str) -> bool:
        """Whether a conversation that began with `prompt` may be played by this script."""
        return self.default or _pattern(self.match).search(prompt) is not None


class Scenario(Part):
    sessions: tuple[Session, ...]
    model: str | None = None

    @model_validator(mode="after")
    def _default_is_last(self) -> Self:
        if any(session.default for session in self.sessions[:-1]):
            raise ValueError("`default: true` is for the last session; those after it would never be played")
        return self


def parse(data: object, *, source: str = "scenario") -> Scenario:
    """A scenario from plain values. Raises ConfigError naming source, key, value and what is wrong with it."""
    try:
        return Scenario.model_validate(data)
    except ValidationError as exc:
        problems = [_problem(error) for error in exc.errors(include_url=False, include_context=False)]
        raise ConfigError(f"{source}: {'; '.join(problems[:5])}", hint="examples/demo.yaml is one that works") from exc


def load(path: Path) -> Scenario:
    """The scenario in a YAML file. Raises ConfigError if it cannot be read, parsed or understood."""
    try:
        return parse(yaml.safe_load(path.read_text(encoding="utf-8")), source=str(path))
    except OSError as exc:
        raise ConfigError(f"cannot read scenario {path}: {exc.strerror}", hint="name an existing YAML file") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path} is not YAML: {exc}", hint="examples/demo.yaml is one that works") from exc


def _pattern(match: str) -> re.Pattern[str]:
    """`/.../` is a regular expression, all else is taken literally. Raises ValueError for one that does not compile."""
    if not (len(match) > 2 and match.startswith("/") and match.endswith("/")):
        return re.compile(re.escape(match))
    try:
        return re.compile(match[1:-1])
    except re.error as exc:
        raise ValueError(f"{match} is not a regular expression: {exc}") from exc


def _problem(error: Any) -> str:
    place = ".".join(str(step) for step in error["loc"]) or "scenario"
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    return f"{place}: {error['msg']} (got {str(error['input'])[:60]!r})"
