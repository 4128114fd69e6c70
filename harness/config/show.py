"""The configuration in force, for people and programs: `config show`, `config schema`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config import problems
from harness.config.load import Loaded
from harness.config.problems import dotted
from harness.config.secret import MASK, looks_secret
from harness.config.text import leaves


@dataclass(frozen=True, slots=True)
class Row:
    """One value in force. `origin`: `default`, `config.yaml:LINE`, `env NAME` or `flag --x`."""

    key: str
    value: Any
    origin: str


def show(loaded: Loaded) -> Sequence[Row]:
    """Every value in force, secrets masked; references to secrets are shown as written."""
    dumped = loaded.config.model_dump(mode="json")
    rows = [_row(dotted(key, dumped), key[-1], value, loaded) for key, value in leaves(dumped)]
    return [*rows, *_of_surroundings(loaded)]


def schema_json() -> Mapping[str, Any]:
    """JSON Schema of config.yaml."""
    return problems.schema()


def _row(key: str, name: str | int, value: Any, loaded: Loaded) -> Row:
    return Row(key, MASK if looks_secret(str(name), value) else value, loaded.origins.get(key, "default"))


def _of_surroundings(loaded: Loaded) -> list[Row]:
    given = {"actor": "BD_ACTOR", "default_repository": "BD_RIG", "root": "GT_ROOT"}
    values = {"actor": loaded.actor, "default_repository": loaded.default_repository, "root": str(loaded.root)}
    switches = {name: name.upper() for name in ("debug", "verbose", "claude_debug")}
    values |= {name: getattr(loaded, name) for name in switches}
    return [
        Row(name, values[name], f"env {variable}" if loaded.environ.get(variable) else "default")
        for name, variable in {**given, **switches}.items()
    ]
