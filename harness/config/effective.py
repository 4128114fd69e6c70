"""What holds for one session: item over repository over kind over agent over the global value (H34)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.config.fields import Section
from harness.config.problems import allowed
from harness.config.schema import Config, Overrides
from harness.model.brief import Limits
from harness.model.errors import ConfigError, Usage
from harness.model.work import WorkItem

DEFAULT_AGENT = "default"
MODEL_ALIASES: Mapping[str, str] = {"claude-sonnet": "sonnet", "claude-opus": "opus", "claude-haiku": "haiku"}
"""The guide's names for the CLI's own aliases (contract 8); every other model goes to the CLI as written."""

_GLOBAL = ("session_timeout", "stall_threshold", "max_attempts")
_LIFTED_BY_NULL = frozenset({"allowed_tools", "max_turns", "max_cost_usd", "max_tokens"})
"""Values whose written null means *no limit*; with the others it means *not set here*."""


@dataclass(frozen=True, slots=True)
class Effective:
    """The values in force for one session. `origins`: key -> `item`, `repositories.app`, `kinds.review`, ...; the same
    is kept in the session's record.
    """

    agent: str
    model: str
    max_attempts: int
    permission_mode: str | None
    allowed_tools: tuple[str, ...] | None
    disallowed_tools: tuple[str, ...]
    limits: Limits
    origins: Mapping[str, str]


def effective(
    config: Config, kind: str, repo: str | None, item: Mapping[str, Any] | None = None, *, review: bool = False
) -> Effective:
    """Resolve every value that may be set at several levels. Pure.

    `item` holds what the item itself sets (`item_overrides`); None = not set. `review`: for the session that reads the
    work, where the kind's `review` comes first. Raises ConfigError for an agent that is not configured.
    """
    narrow = list(_narrow(config, kind, repo, item or {}))
    if review and (section := config.kind(kind).review) is not None:
        narrow.insert(0, (f"kinds.{kind if kind in config.kinds else 'default'}.review", _set(section)))
    name, agent_from = _find("agent", narrow) or (DEFAULT_AGENT, "default")
    if name not in config.agents:
        raise ConfigError(f"{agent_from} names agent {name!r}; known: {', '.join(sorted(config.agents))}")
    levels = [*narrow, (f"agents.{name}", _written(config.agents[name])), ("harness", _globals(config))]
    found = {key: _find(key, levels) or (None, "default") for key in _KEYS}
    values: dict[str, Any] = {key: value for key, (value, _origin) in found.items()}
    return Effective(
        agent=name,
        model=MODEL_ALIASES.get(values["model"], values["model"]),
        max_attempts=values["max_attempts"],
        permission_mode=values["permission_mode"],
        allowed_tools=values["allowed_tools"],
        disallowed_tools=values["disallowed_tools"] or (),
        limits=_limits(values),
        origins={"agent": agent_from, **{key: origin for key, (_value, origin) in found.items()}},
    )


def item_overrides(item: WorkItem) -> Mapping[str, Any]:
    """What an item sets itself, by the keys of `Overrides`; those that are no columns of ours stand in `extra`.

    Raises Usage naming the key whose value is not allowed.
    """
    given = {key: item.extra[key] for key in Overrides.model_fields if key in item.extra}
    given |= {
        "agent": item.agent,
        "model": item.model,
        "session_timeout": item.timeout_seconds,
        "max_attempts": item.max_attempts,
        "max_cost_usd": item.max_cost_usd,
    }
    given = {key: value for key, value in given.items() if value is not None}
    try:
        return _set(Overrides.model_validate(given))
    except ValidationError as exc:
        key = str(exc.errors()[0]["loc"][0])
        raise Usage(
            f"item {item.id}: {key}: {given[key]!r} is not allowed",
            hint=f"allowed: {allowed(('kinds', 'default', key))}",
        ) from exc


_KEYS = (
    *_GLOBAL,
    *(
        "model",
        "permission_mode",
        "allowed_tools",
        "disallowed_tools",
        "max_turns",
        "max_cost_usd",
        "max_tokens",
        "retry_wait_seconds",
    ),
)


def _narrow(
    config: Config, kind: str, repo: str | None, item: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "item", {key: value for key, value in item.items() if value is not None}
    if repo is not None and (repository := config.repository(repo)) is not None:
        yield f"repositories.{repo}", _set(repository)
    yield f"kinds.{kind if kind in config.kinds else 'default'}", _set(config.kind(kind))


def _set(section: Section) -> Mapping[str, Any]:
    return {key: getattr(section, key) for key in section.model_fields_set}


def _written(section: Section) -> Mapping[str, Any]:
    """An agent's values, its adapter's defaults among them."""
    return {key: getattr(section, key) for key in type(section).model_fields}


def _globals(config: Config) -> Mapping[str, Any]:
    return {"model": config.harness.agent_type, **{key: getattr(config.harness, key) for key in _GLOBAL}}


def _find(key: str, levels: list[tuple[str, Mapping[str, Any]]]) -> tuple[Any, str] | None:
    for origin, values in levels:
        if key in values and (values[key] is not None or key in _LIFTED_BY_NULL):
            return values[key], origin
    return None


def _limits(values: Mapping[str, Any]) -> Limits:
    waiting = values["retry_wait_seconds"]
    return Limits(
        session_timeout_seconds=values["session_timeout"],
        stall_threshold_seconds=values["stall_threshold"],
        max_turns=values["max_turns"],
        max_cost_usd=values["max_cost_usd"],
        max_tokens=values["max_tokens"],
        **({} if waiting is None else {"retry_wait_seconds": waiting}),
    )
