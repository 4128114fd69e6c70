"""What is wrong with a configuration, said so that it can be mended: place, key, value, what is allowed (H3)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from harness.config.documented import described
from harness.config.fields import NAME, VARIABLE, Key
from harness.config.layers import Layers
from harness.config.schema import Config
from harness.config.secret import MASK, REFERENCE, looks_secret
from harness.config.text import leaves
from harness.model.errors import ConfigError

_LONGEST = 80
_SECRET_SECTIONS = ("environment", "agents", "sources", "notifiers")
_PATTERNS = {
    NAME: "a name (letters, digits, and . _ - inside)",
    VARIABLE: "the name of a variable",
    REFERENCE: "env:NAME or file:PATH",
}
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `place` is `config.yaml:LINE`, `env NAME` or `flag --x`; `key` is dotted, empty for the whole."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


def dotted(key: Key, tree: Any) -> str:
    """The key as people write it: entries of lists by their name if they have one, else by position."""
    parts: list[str] = []
    for part in key:
        tree = _child(tree, part)
        name = tree.get("name") if isinstance(part, int) and isinstance(tree, Mapping) else None
        parts.append(name if isinstance(name, str) and name else str(part))
    return ".".join(parts)


def of_text(layers: Layers) -> Iterator[Problem]:
    """Flaws of the text itself, and variables that cannot be read."""
    for flaw in layers.text.flaws:
        yield Problem(f"{layers.file}:{flaw.line}", dotted(flaw.key, layers.tree), flaw.message)
    for place, message in layers.wrong:
        yield Problem(place, "", message)


def of_secrets(layers: Layers) -> Iterator[Problem]:
    """Secrets that stand in the file instead of being named there (C37); their values are not repeated."""
    for section in _SECRET_SECTIONS:
        for key, value in leaves(layers.tree.get(section), (section,)):
            if looks_secret(_last_name(key), value):
                allowed = "env:NAME or file:PATH (mode 600)"
                yield Problem(
                    layers.place(key), dotted(key, layers.tree), f"a secret is written here; allowed: {allowed}"
                )


def of_schema(layers: Layers, error: ValidationError) -> Iterator[Problem]:
    """One problem a place: the branches of a union complain separately, the operator made one mistake."""
    seen: set[Key] = set()
    for detail in error.errors(include_url=False):
        key = _real(detail["loc"], layers.tree, missing=detail["type"] == "missing")
        if key not in seen:
            seen.add(key)
            yield Problem(layers.place(key), dotted(key, layers.tree), _message(layers, key, detail))


def of_contradictions(layers: Layers, found: Iterator[tuple[Key, str]]) -> Iterator[Problem]:
    for key, message in found:
        yield Problem(layers.place(key), dotted(key, layers.tree), message)


def failure(file: str, problems: Sequence[Problem]) -> ConfigError:
    """All problems as one error (exit 78)."""
    hint = "mend it, then `./loop config check`; every key: `./loop config schema`"
    if len(problems) == 1:
        return ConfigError(str(problems[0]), hint=hint)
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(f"{file} has {len(problems)} problems:{lines}", hint=hint)


@cache
def schema() -> Mapping[str, Any]:
    """JSON Schema of config.yaml."""
    return described(Config.model_json_schema(), Config)


def allowed(key: Key) -> str:
    """What may stand at a key, in words."""
    return in_words(_nodes(key))


def in_words(nodes: Sequence[Mapping[str, Any]]) -> str:
    """What these parts of the schema allow."""
    found = [words for node in nodes for branch in _branches(node) for words in _words(branch)]
    # A number of either kind is one thing to the reader.
    words = [one for one in found if not (one.startswith("a whole ") and one.replace("a whole ", "a ", 1) in found)]
    return " or ".join(dict.fromkeys(words)) or "nothing"


def _message(layers: Layers, key: Key, detail: Mapping[str, Any]) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(key)
        case "missing":
            return f"is missing; allowed: {allowed(key)}"
        case "value_error":
            return str(detail["ctx"]["error"])
    if "[key]" in map(str, detail["loc"]):
        variable = key[:1] == ("environment",)
        return f"{_last_name(key)!r} is not allowed; allowed: {_PATTERNS[VARIABLE if variable else NAME]}"
    may = allowed(key)
    quote = " (in quotes)" if "text" in may and isinstance(_at(layers.tree, key), int | float) else ""
    return f"{_shown(layers, key)} is not allowed; allowed: {may}{quote}"


def _unknown(key: Key) -> str:
    known = sorted({name for node in _nodes(key[:-1]) for name in node.get("properties", {})})
    near = difflib.get_close_matches(str(key[-1]), known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known: {', '.join(known)}"


def _shown(layers: Layers, key: Key) -> str:
    """The value as it was written; never one that looks like a secret."""
    value = _at(layers.tree, key)
    if looks_secret(_last_name(key), value) or (key[:1] == ("environment",) and isinstance(value, str)):
        return MASK
    written = layers.text.written.get(key) if key not in layers.over else None
    text = written or json.dumps(value, default=str, ensure_ascii=False)
    return repr(text[:_LONGEST] + "…") if len(text) > _LONGEST else text if text.isprintable() else repr(text)


def _real(loc: Sequence[str | int], tree: Any, *, missing: bool) -> Key:
    """The key in the file for pydantic's location, which names branches of unions in between."""
    key: list[str | int] = []
    for n, part in enumerate(loc):
        last = n == len(loc) - 1
        if _has(tree, part) or (missing and last):
            key.append(part)
            tree = _child(tree, part)
    return tuple(key)


def _has(tree: Any, part: str | int) -> bool:
    if isinstance(tree, Mapping):
        return part in tree
    return isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree)


def _at(tree: Any, key: Key) -> Any:
    for part in key:
        tree = _child(tree, part)
    return tree


def _child(tree: Any, part: str | int) -> Any:
    return tree[part] if _has(tree, part) else None


def _last_name(key: Key) -> str:
    return next((part for part in reversed(key) if isinstance(part, str)), "")


def _nodes(key: Key) -> list[Mapping[str, Any]]:
    """The parts of the schema that describe a key; several for a union."""
    nodes = _branches(schema())
    for part in key:
        nodes = [branch for node in nodes for below in _below(node, part) for branch in _branches(below)]
    return nodes


def _branches(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in node:
        return _branches(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    options = node.get("anyOf") or node.get("oneOf")
    return [branch for option in options for branch in _branches(option)] if options else [node]


def _below(node: Mapping[str, Any], part: str | int) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(part) or node.get("additionalProperties")
        found = found or next(iter(node.get("patternProperties", {}).values()), None)
    if isinstance(found, Mapping):
        yield found


def _words(node: Mapping[str, Any]) -> Iterator[str]:
    if "const" in node or "enum" in node:
        yield from (json.dumps(value).strip('"') for value in node.get("enum", [node.get("const")]))
        return
    if node.get("type") == "array" and (inside := in_words([node["items"]])) != _KINDS["object"]:
        yield f"a list of {inside}"
        return
    words = _PATTERNS.get(node.get("pattern", "")) or _KINDS.get(node.get("type", ""), "anything")
    limits = [
        f"{sign} {node[name]}"
        for name, sign in (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
        if name in node
    ]
    yield " ".join([words, ", ".join(limits)]).strip()
