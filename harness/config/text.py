"""YAML with line numbers, and without surprises (research/reliability-security 6).

Scalars follow the core schema of YAML 1.2: `no`, `1:30` and `012` stay the text that they are, so that a value of the
wrong type is reported as it was written. Bombs end early: size, depth, aliases and values are all limited.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.config.fields import Key

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_ALIASES = 100
MAX_VALUES = 50_000
_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong in the text itself; `line` counts from 1."""

    line: int
    key: Key
    message: str


@dataclass(frozen=True, slots=True)
class Text:
    """A parsed file: its values, and for each of them the line and, for scalars, the text as written."""

    tree: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    written: dict[Key, str] = field(default_factory=dict)
    flaws: tuple[Flaw, ...] = ()


class Loader(yaml.SafeLoader):
    """Composes nodes only; values are made from them by `_Reading`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own registry, filled below

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One node, within the limits. Raises yaml.MarkedYAMLError beyond them."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.aliases += self.check_event(yaml.AliasEvent)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=mark)
        if self.aliases > MAX_ALIASES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_ALIASES} aliases", problem_mark=mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _name, _pattern, _first in _CORE:
    Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)


class _TooMuch(Exception):
    """Enough was read to know that the rest is not worth reading."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Reading:
    """Turns nodes into values, remembering where each stood."""

    def __init__(self) -> None:
        self.lines: dict[Key, int] = {}
        self.written: dict[Key, str] = {}
        self.flaws: list[Flaw] = []

    def value(self, node: yaml.Node, at: Key) -> Any:
        line = _line(node)
        if len(self.lines) >= MAX_VALUES:
            raise _TooMuch(line, f"more than {MAX_VALUES} values")
        if len(at) >= MAX_DEPTH:
            raise _TooMuch(line, f"nested deeper than {MAX_DEPTH}, or an alias inside its own anchor")
        self.lines.setdefault(at, line)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, at)
            case yaml.SequenceNode():
                self._tagged(node, at, "seq")
                return [self.value(child, (*at, n)) for n, child in enumerate(node.value)]
            case _:
                return self._scalar(node, at)

    def _mapping(self, node: yaml.MappingNode, at: Key) -> dict[str, Any]:
        self._tagged(node, at, "map")
        result: dict[str, Any] = {}
        for key, child in node.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode):
                self._flaw(line, at, "a key must be plain text")
                continue
            name, where = key.value, (*at, key.value)
            if name == "<<" and not key.style:
                self._flaw(line, at, "merge keys (<<) are not supported; write the values out")
            elif name in result:
                self._flaw(line, where, f"written twice, first in line {self.lines[where]}")
            elif self._clean(name, line, at):
                self.lines[where] = line
                result[name] = self.value(child, where)
        return result

    def _scalar(self, node: yaml.Node, at: Key) -> Any:
        text = str(node.value)
        self.written[at] = text
        if not self._clean(text, _line(node), at):
            return None
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null" if re.fullmatch(_CORE[0][1], text):
                return None
            case "bool" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "int" if re.fullmatch(_CORE[2][1], text):
                return int(text)
            case "float" if re.fullmatch(_CORE[3][1], text) and math.isfinite(float(text)):
                return float(text)
        self._flaw(_line(node), at, f"{text[:80]!r} is no value of tag {node.tag}")
        return None

    def _tagged(self, node: yaml.Node, at: Key, kind: str) -> None:
        if node.tag != f"{_TAG}{kind}":
            self._flaw(_line(node), at, f"tag {node.tag} is not supported")

    def _clean(self, text: str, line: int, at: Key) -> bool:
        # Both would pass here and break the first file name or terminal they meet.
        if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
            self._flaw(line, at, "text with a NUL or half a surrogate pair")
            return False
        return True

    def _flaw(self, line: int, at: Key, message: str) -> None:
        self.flaws.append(Flaw(line, at, message))


def parse(raw: bytes) -> Text:
    """The values of one YAML document. Never raises: what is wrong is in `flaws`; an empty document is `{}`."""
    reading = _Reading()
    try:
        node = compose(raw)
        tree = reading.value(node, ()) if node is not None else None
    except (_TooMuch, yaml.YAMLError, ValueError, OverflowError, RecursionError) as exc:
        return Text(lines=reading.lines, written=reading.written, flaws=(*reading.flaws, _flaw_of(exc)))
    if not isinstance(tree, dict | None):
        reading.flaws.append(Flaw(1, (), "must hold keys and values, like `harness:` with its settings below"))
        tree = {}
    return Text(tree or {}, reading.lines, reading.written, tuple(reading.flaws))


def compose(raw: bytes) -> yaml.Node | None:
    """The node graph of one document; None if it is empty. Raises yaml.YAMLError, ValueError or RecursionError."""
    if len(raw) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    loader = Loader(raw.decode("utf-8-sig"))
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def scalar(text: str) -> Any:
    """A value from outside the file (a variable), read as the file would read it unquoted."""
    for (name, pattern, _first), make in zip(_CORE, (None, None, int, float), strict=True):
        if make and re.fullmatch(pattern, text) and math.isfinite(make(text)):
            return make(text)
        if name == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
    return text


def leaves(value: Any, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every scalar and every empty collection of a tree, with its key, in order."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    empty = True
    for key, child in children:
        empty = False
        yield from leaves(child, (*at, key))
    if empty:
        yield at, value


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _flaw_of(exc: Exception) -> Flaw:
    match exc:
        case _TooMuch():
            return Flaw(exc.line, (), str(exc))
        case yaml.MarkedYAMLError():
            mark = exc.problem_mark or exc.context_mark
            said = " ".join(part for part in (exc.context, exc.problem) if part)
            return Flaw(mark.line + 1 if mark else 1, (), f"not readable as YAML: {said}")
        case UnicodeDecodeError():
            return Flaw(exc.object[: exc.start].count(b"\n") + 1, (), "not UTF-8 text")
        case RecursionError():
            return Flaw(1, (), f"nested deeper than {MAX_DEPTH}")
    return Flaw(1, (), f"not readable as YAML: {exc}")
