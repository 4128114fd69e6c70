"""Adds a repository to config.yaml as a person would: every other byte stays (contract 2)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from harness import fs
from harness.config.load import FILE, load, read
from harness.config.text import compose, parse
from harness.model.errors import ConfigError, Usage

_MODE = 0o644


def shipped() -> str:
    """The configuration that comes with the program: every default visible, no repository."""
    return (resources.files("harness.config") / "shipped.yaml").read_text(encoding="utf-8")


def add_repository(home: Path, name: str, path: str, branch: str, test: str | None, *, yes: bool = False) -> Path:
    """Write the repository into `home`'s config.yaml, making one from the shipped text if there is none.

    `test` becomes the gate `tests`. A file that names repositories already is changed only with `yes`. Returns the
    file. Raises Usage if that is missing or the name is taken, ConfigError if the result would not load.
    """
    file = home / FILE
    exists = file.exists()
    if exists:
        load(home, {})
    text = read(file).decode() if exists else shipped()
    mark, text = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    before = parse(text.encode()).tree
    _may_add(before, name, path, yes=yes)
    entry = _entry(name, path, branch, test)
    after = with_repository(text, entry)
    _check(before, after, entry, file)
    fs.replace(file.resolve(), mark + after, mode=file.stat().st_mode & 0o777 if exists else _MODE)
    return file


def with_repository(text: str, entry: Mapping[str, Any]) -> str:
    """The text with one more repository. Raises ConfigError where the file's style leaves no place for it."""
    root = compose(text.encode())
    if root is None:
        return _after(text, f"repositories:\n{_block(entry, 2)}")
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise _by_hand(entry)
    listed = next((value for key, value in root.value if key.value == "repositories"), None)
    if listed is None:
        return _after(text, f"repositories:\n{_block(entry, 2)}")
    if isinstance(listed, yaml.SequenceNode) and listed.value:
        return _appended(text, listed, entry)
    if text[listed.start_mark.index : listed.end_mark.index] not in {"[]", "", "null", "~"}:
        raise _by_hand(entry)
    return _instead(text, listed, entry)


def _may_add(tree: Mapping[str, Any], name: str, path: str, *, yes: bool) -> None:
    names = [repository["name"] for repository in tree.get("repositories") or ()]
    if name in names:
        raise Usage(f"repository {name!r} is in config.yaml already", hint="another --name NAME, or edit config.yaml")
    if names and not yes:
        raise Usage(
            f"config.yaml names repositories already: {', '.join(names)}",
            hint=f"./loop repo add {path} --name {name} adds one more; or repeat this with --yes",
        )


def _entry(name: str, path: str, branch: str, test: str | None) -> dict[str, Any]:
    gates = [{"name": "tests", "type": "command", "run": test}] if test else []
    return {"name": name, "path": path, "branch": branch, "gates": gates}


def _instead(text: str, empty: yaml.Node, entry: Mapping[str, Any]) -> str:
    """Entry in place of an empty list; a comment behind it stays on the key's line."""
    start, end = empty.start_mark.index, empty.end_mark.index
    if start == end:
        start = end = text.rindex("repositories:", 0, start) + len("repositories:")
    newline = text.find("\n", end)
    if newline < 0:
        text, newline = f"{text}\n", len(text)
    return f"{text[:start].rstrip(' ')}{text[end : newline + 1]}{_block(entry, 2)}{text[newline + 1 :]}"


def _appended(text: str, listed: yaml.SequenceNode, entry: Mapping[str, Any]) -> str:
    last = listed.value[-1].end_mark.index
    if listed.flow_style:
        return f"{text[:last]}, {_flow(entry)}{text[last:]}"
    # A block ends where the next token begins: go back over blank lines and comments to its own last line.
    kept = text[:last].splitlines(keepends=True)
    trailing = text[last:] if kept and kept[-1].endswith("\n") else ""
    if not trailing:
        newline = text.find("\n", last)
        kept = (text if newline < 0 else text[: newline + 1]).splitlines(keepends=True)
    while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith("#")):
        kept.pop()
    head = "".join(kept)
    rest = text[len(head) :]
    return f"{head if head.endswith(chr(10)) else head + chr(10)}{_block(entry, listed.start_mark.column)}{rest}"


def _after(text: str, addition: str) -> str:
    return f"{text}\n{addition}" if text and not text.endswith("\n") else f"{text}{addition}"


def _block(entry: Mapping[str, Any], indent: int) -> str:
    pad = " " * indent
    lines = [f"{key}: {_flow(value)}" for key, value in entry.items() if key != "gates"]
    lines.append("gates:" if entry["gates"] else "gates: []")
    lines += [f"  - {_flow(gate)}" for gate in entry["gates"]]
    return f"{pad}- " + f"\n{pad}  ".join(lines) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = value.replace("/", "").replace("-", "").replace(".", "").replace("_", "")
    if plain.isalnum() and plain.isascii() and plain[0].isalpha() and value[0] not in "-." and not _reads_else(value):
        return str(value)
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=1_000_000)
    return quoted.rstrip("\n")


def _reads_else(value: str) -> bool:
    return bool(parse(f"key: {value}".encode()).tree != {"key": value})


def _check(before: Mapping[str, Any], after: str, entry: Mapping[str, Any], file: Path) -> None:
    """The edit must mean exactly what was asked: the old values and one repository more."""
    wished = {**before, "repositories": [*(before.get("repositories") or ()), dict(entry)]}
    read_back = parse(after.encode())
    if read_back.flaws or read_back.tree != wished:
        raise _by_hand(entry, f" {file}")


def _by_hand(entry: Mapping[str, Any], where: str = "") -> ConfigError:
    return ConfigError(
        f"cannot add a repository to{where or ' config.yaml'} as it is written",
        hint=f"add it by hand under `repositories:`: - {_flow(entry)}",
    )
