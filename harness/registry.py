"""From a `type:` in the configuration to a class: built-in table, entry point, `module:Class` (architecture 7.9)."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from harness.model.errors import ConfigError

BUILT_IN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "agents": {
            "claude": "harness.agents.claude.agent:ClaudeAgent",
            "scripted": "harness.agents.scripted:ScriptedAgent",
        },
        "gates": {
            "command": "harness.gates.command:CommandGate",
            "regression": "harness.gates.regression:RegressionGate",
            "scope": "harness.gates.scope:ScopeGate",
            "clean": "harness.gates.clean:CleanGate",
            "tamper": "harness.gates.tamper:TamperGate",
            "spec": "harness.gates.spec:SpecGate",
        },
    }
)
"""Port -> type -> where it is; strings, so that nothing is imported before it is wanted."""


def find(port: str, kind: str) -> Any:
    """The class for `type: kind` of a port (agents, gates). Raises ConfigError naming the nearest known type."""
    where = BUILT_IN.get(port, {}).get(kind) or _entry_point(port, kind) or (kind if ":" in kind else None)
    if where is None:
        known = sorted(BUILT_IN.get(port, {}))
        near = get_close_matches(kind, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}; or write module:Class"
        raise ConfigError(f"{port}: there is no type {kind!r}", hint=hint)
    module, _, name = where.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"{port}: type {kind!r} cannot be loaded from {where}", cause=str(exc)) from exc


def _entry_point(port: str, kind: str) -> str | None:
    found = importlib.metadata.entry_points(group=f"harness.{port}", name=kind)
    return next((point.value for point in found), None)
