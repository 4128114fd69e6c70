"""docs/reference/config.md, made from the schema: `python -m harness.config.reference > docs/reference/config.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from harness.config.fields import Key
from harness.config.layers import NUMBERS, SWITCHES_OFF
from harness.config.problems import in_words, schema
from harness.config.schema import Config
from harness.config.text import MAX_ALIASES, MAX_BYTES, MAX_DEPTH

_HEAD = f"""# config.yaml

Made from the schema by `python -m harness.config.reference`, kept current by a test. The shipped file shows
all defaults.

- Unknown keys and values of another type are errors; all are named at once, with line, value and what is allowed.
- A key that is absent has its default. An empty section (`sources:` with nothing below) is the same as an absent one.
- Scalars follow YAML 1.2: only `true` and `false` are switches, `no` is text, `012` and `1:30` are no numbers. Merge
  keys (`<<`) and tags are refused; a file has at most {MAX_BYTES} bytes, depth {MAX_DEPTH} and {MAX_ALIASES} aliases.
- Secrets are never written here: `env:NAME` or `file:PATH` says where one is (the file readable by its owner only).
- Each value: default < config.yaml < environment < flags; `./loop config show --origin` says which one holds.
"""
_LEVELS = """
## Which value holds for a session

`session_timeout stall_threshold max_attempts model agent allowed_tools disallowed_tools permission_mode max_turns
max_cost_usd max_tokens` may be set at several levels. The first that sets a value wins: item, repository, kind, agent,
`harness`; for a review `kinds.NAME.review` before all of them. A written `null` lifts `max_turns`, `max_cost_usd`,
`max_tokens` and `allowed_tools`; with the others it means *not set here*.
"""
_PLACES: Mapping[str, Key] = MappingProxyType(
    {
        "harness": ("harness",),
        "harness.interrupts": ("harness", "interrupts"),
        "agents.NAME (type: claude)": ("agents", "NAME"),
        "agents.NAME (another type)": ("agents", "NAME"),
        "repositories[]": ("repositories", 0),
        "repositories[].after": ("repositories", 0, "after"),
        "repositories[].after.build": ("repositories", 0, "after", "build"),
        "repositories[].before_push[]": ("repositories", 0, "before_push", 0),
        "repositories[].gates[] (type: command)": ("repositories", 0, "gates", 0),
        "repositories[].gates[] (type: regression)": ("repositories", 0, "gates", 0),
        "repositories[].gates[] (type: scope)": ("repositories", 0, "gates", 0),
        "repositories[].gates[] (type: clean)": ("repositories", 0, "gates", 0),
        "repositories[].gates[] (type: tamper)": ("repositories", 0, "gates", 0),
        "repositories[].gates[] (type: spec)": ("repositories", 0, "gates", 0),
        "repositories[].gates[] (another type)": ("repositories", 0, "gates", 0),
        "kinds.NAME": ("kinds", "NAME"),
        "kinds.NAME.review": ("kinds", "NAME", "review"),
        "lanes.NAME": ("lanes", "NAME"),
        "policy[]": ("policy", 0),
        "isolation": ("isolation",),
        "sources[]": ("sources", 0),
        "notifiers[]": ("notifiers", 0),
        "schedules.NAME": ("schedules", "NAME"),
        "schedules.NAME.item": ("schedules", "NAME", "item"),
        "schedules.NAME.command": ("schedules", "NAME", "command"),
        "budgets": ("budgets",),
        "pressure": ("pressure",),
        "watch": ("watch",),
        "watch.cpu_percent": ("watch", "cpu_percent"),
        "watch.memory_percent": ("watch", "memory_percent"),
        "watch.disk_mb_per_second": ("watch", "disk_mb_per_second"),
        "watch.file_changes_per_minute": ("watch", "file_changes_per_minute"),
        "watch.loop_memory_mib": ("watch", "loop_memory_mib"),
        "workspaces": ("workspaces",),
        "backups": ("backups",),
        "retention": ("retention",),
    }
)


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "\n## Top level\n\n", *_table(schema())]
    for title, key in _PLACES.items():
        node = _section(key, title.partition("(")[2].rstrip(")"))
        parts += [f"\n## {title}\n\n{node['description']}\n\n", *_table(node)]
    return "".join([*parts, _LEVELS, *_environment()])


def _section(key: Key, kind: str) -> Mapping[str, Any]:
    """The part of the schema for a place; `kind` is what its title says of the type, empty if it has none."""
    adapter = "Other" if kind == "another type" else kind.removeprefix("type: ").capitalize()
    name = {
        ("harness",): "HarnessSection",
        ("harness", "interrupts"): "Interrupts",
        ("agents", "NAME"): f"{adapter}AgentSection",
        ("repositories", 0): "RepositorySection",
        ("repositories", 0, "gates", 0): f"{adapter}GateSection",
        ("repositories", 0, "after"): "AfterSection",
        ("repositories", 0, "after", "build"): "BuildSection",
        ("repositories", 0, "before_push", 0): "PushCheckSection",
        ("kinds", "NAME", "review"): "ReviewSection",
        ("schedules", "NAME", "item"): "ScheduledItemSection",
        ("schedules", "NAME", "command"): "ScheduledCommandSection",
        ("watch", "cpu_percent"): "CpuSection",
        ("watch", "memory_percent"): "MemorySection",
        ("watch", "disk_mb_per_second"): "DiskSection",
        ("watch", "file_changes_per_minute"): "FilesSection",
        ("watch", "loop_memory_mib"): "LoopMemorySection",
    }.get(key) or f"{str(key[0]).removesuffix('s').capitalize()}Section"
    node: Mapping[str, Any] = schema()["$defs"]["PolicySection" if key[0] == "policy" else name]
    return node


def _table(node: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | default | allowed | what |\n|---|---|---|---|\n"
    for name, field in node["properties"].items():
        default = _default(field, name, required=name in node.get("required", ()))
        may = in_words([field]).replace("|", "\\|")
        what = " ".join(_description(field).split()).replace("|", "\\|")
        yield f"| `{name}` | {default} | {may} | {what} |\n"


def _description(field: Mapping[str, Any]) -> str:
    """Its own, or that of the section it holds."""
    section = schema()["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
    return str(field.get("description") or section.get("description", ""))


def _default(field: Mapping[str, Any], name: str, *, required: bool) -> str:
    if required:
        return "required"
    value = field.get("default", {})
    if isinstance(value, dict):
        return "below" if name in Config.model_fields and name != "environment" else f"`{json.dumps(value)}`"
    return f"`{json.dumps(value)}`"


def _environment() -> Iterator[str]:
    yield "\n## Variables over config.yaml\n\n| variable | what |\n|---|---|\n"
    for name, key in NUMBERS.items():
        yield f"| `{name}` | `{'.'.join(map(str, key))}` |\n"
    for name, (key_name, value) in SWITCHES_OFF.items():
        off = json.dumps(value).strip('"')
        yield f"| `{name}` | `0`: `{key_name}: {off}` in every repository; `1`: each repository's own setting |\n"
    yield "| `DEBUG` `VERBOSE` `CLAUDE_DEBUG` | more in the logs; of the loop, and of the CLI |\n"
    yield "| `BD_ACTOR` | actor recorded on items and commits; default `loop` |\n"
    yield "| `BD_RIG` | repository of items that name none; default the first one |\n"
    yield "| `GT_ROOT` | base of relative repository paths; default the folder of config.yaml |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
