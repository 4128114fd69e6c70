"""Where each value comes from: default < config.yaml < environment < flags (contract 5)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.config.fields import Key
from harness.config.schema import SHIPPED
from harness.config.text import Text, scalar

NUMBERS: Mapping[str, Key] = {
    "MAX_ITERATIONS": ("harness", "max_iterations"),
    "SESSION_TIMEOUT": ("harness", "session_timeout"),
    "STALL_THRESHOLD": ("harness", "stall_threshold"),
    "MAX_CONSECUTIVE_FAILURES": ("harness", "max_consecutive_failures"),
    "INTERRUPT_CHECK_INTERVAL": ("harness", "interrupt_check_interval"),
}
SWITCHES_OFF: Mapping[str, tuple[str, Any]] = {
    "PIPELINE_AUTO_COMMIT": ("integrate", "never"),
    "PIPELINE_AUTO_PUSH": ("push", False),
}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(slots=True)
class Layers:
    """One tree from all layers, and for each value that is not a default the place that set it."""

    file: str
    text: Text
    tree: dict[str, Any]
    over: dict[Key, str] = field(default_factory=dict)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def origin(self, key: Key) -> str:
        """`default`, `config.yaml:LINE`, `env NAME` or `flag --x`; a part of a written value has the value's origin."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.over:
                return self.over[key[:end]]
        return f"{self.file}:{self.text.lines[key]}" if key in self.text.lines else "default"

    def place(self, key: Key) -> str:
        """Where to look for a mistake at `key`: its origin, else the line of the nearest part that was written."""
        for end in range(len(key), 0, -1):
            if (found := self.origin(key[:end])) != "default":
                return found
        return f"{self.file}:{self.text.lines.get((), 1)}"

    def set(self, key: Key, value: Any, origin: str) -> None:
        """Put a value over what the layers below say."""
        node = self.tree
        for part in key[:-1]:
            below = node.setdefault(str(part), {})
            if not isinstance(below, dict):
                return  # the file has another type there, which is reported as such
            node = below
        node[str(key[-1])] = value
        self.over[key] = origin


def merge(file: str, text: Text, environ: Mapping[str, str], flags: Mapping[str, object]) -> Layers:
    """All layers in one tree. Unreadable variables are kept in `wrong`, as (variable, what is wrong)."""
    # A section whose entries are all commented out reads as null: the same as not written.
    written = copy.deepcopy({name: section for name, section in text.tree.items() if section is not None})
    layers = Layers(file, text, written)
    for section, entries in SHIPPED.items():
        layers.tree[section] = _over_shipped(section, entries, written.get(section, {}))
    for name, key in NUMBERS.items():
        if value := environ.get(name, "").strip():
            layers.set(key, scalar(value), f"env {name}")
    for name, (key_name, value_off) in SWITCHES_OFF.items():
        if switch(environ, name, layers.wrong) is False:
            _everywhere(layers, key_name, value_off, f"env {name}")
    for dotted, value_given in flags.items():
        if value_given is not None:
            name = dotted.rpartition(".")[2].replace("_", "-")
            layers.set(tuple(dotted.split(".")), value_given, f"flag --{name}")
    return layers


def switch(environ: Mapping[str, str], name: str, wrong: list[tuple[str, str]]) -> bool | None:
    """A variable that is on or off; None when unset or empty. Anything else is appended to `wrong`."""
    value = environ.get(name, "").strip().lower()
    if value and value not in _TRUE | _FALSE:
        wrong.append((f"env {name}", f"{value!r} is not allowed; allowed: 1 or 0 (true, yes, on, false, no, off)"))
    return value in _TRUE if value in _TRUE | _FALSE else None


def _over_shipped(section: str, shipped: Mapping[str, Mapping[str, Any]], written: Any) -> Any:
    if not isinstance(written, dict):
        return written
    result: dict[str, Any] = {name: dict(entry) for name, entry in shipped.items()}
    for name, entry in written.items():
        # An agent of another type has other keys: nothing of the shipped one may shine through.
        merging = section != "agents" and isinstance(entry, dict)
        result[name] = {**result.get(name, {}), **entry} if merging else entry
    return result


def _everywhere(layers: Layers, name: str, value: Any, origin: str) -> None:
    for n, repository in _repositories(layers.tree):
        repository[name] = value
        layers.over["repositories", n, name] = origin


def _repositories(tree: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    listed = tree.get("repositories")
    for n, repository in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(repository, dict):
            yield n, repository
