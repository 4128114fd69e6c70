"""Tasks as people write them in markdown: read without losing a character, changed a line at a time. Pure.

Two shapes, which one page may mix:

    ### [task-017] Mend the parser        - [ ] Mend the parser
    - **repo**: app                         what is indented below belongs to it
    - **priority**: high                  - [x] Write the docs (done)
    - **description**: It fails on tabs.
      Indented lines go on with the field.
    Any other line of the block is its note.

`parse` gives pieces that joined are the page again: `"".join(piece.text for piece in parse(page)) == page`. A block
reaches to the next heading of level 1 to 3; what stands in a code fence is never a heading. `with_fields` changes
single lines of a block and leaves the others as they were typed. `document_of` is the block as `parse_item` reads it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

_HEADING = re.compile(r"(#{1,3})[ \t]+(.*)")
_TITLE = re.compile(r"(?:\[(?P<id>[^\[\]]*)\](?!\()[ \t]*)?(?P<title>.*)")
_FIELD = re.compile(r"[-*+][ \t]+\*\*(?P<name>[^*:]+?):?\*\*[ \t]*:?[ \t]*(?P<value>.*)")
_CHECK = re.compile(r"(?:[-*+]|\d+[.)])[ \t]+\[(?P<mark>[ xX])\](?:[ \t]+(?P<rest>.*)|$)")
_FENCE = re.compile(r"[ ]{0,3}(?P<fence>`{3,}|~{3,})")
_RULE = re.compile(r"[ ]{0,3}(?:(?:-[ ]*){3,}|(?:\*[ ]*){3,}|(?:_[ ]*){3,})")
_TASK = 3
"""The level of a task's heading."""
PLACEHOLDER = re.compile(r"|new|[a-z]+-N+", re.IGNORECASE)
"""What stands in the brackets of a task that has no id yet: nothing, `new`, `task-NNN`."""

LISTS = frozenset({"depends_on", "labels", "resources", "scope"})
NUMBERS: Mapping[str, type] = MappingProxyType({"max_attempts": int, "timeout_seconds": float, "max_cost_usd": float})
NOBODY = frozenset({"", "unassigned", "nobody", "none", "-"})
_DONE = frozenset({"done", "completed", "complete", "closed"})


@dataclass(frozen=True, slots=True)
class Loose:
    """Text between tasks, as it was typed."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """One task. `line` counts from 1; `fields` by name in lower case with `_`, the first of a name counts; `notes` are
    the lines that are neither heading nor field; `check` = it is a line of a check list.
    """

    line: int
    text: str
    id: str | None
    title: str
    fields: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    done: bool = False
    check: bool = False


Piece = Loose | Block


def parse(page: str) -> list[Piece]:
    """The pieces of a page, in order; nothing that is typed is missing. Never raises: what is no task is loose text."""
    lines = page.splitlines(keepends=True)
    found: list[Piece] = []
    at = loose = 0
    for begins, ends, block in _blocks(lines):
        at = begins
        if at > loose:
            found.append(Loose(loose + 1, "".join(lines[loose:at])))
        found.append(block)
        loose = ends
    if loose < len(lines):
        found.append(Loose(loose + 1, "".join(lines[loose:])))
    return found


def blocks(page: str) -> list[Block]:
    """The tasks of a page alone."""
    return [piece for piece in parse(page) if isinstance(piece, Block)]


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, int, Block]]:
    """Index of the first line, of the line after the last, and the block."""
    fenced = _fenced(lines)
    at = 0
    while at < len(lines):
        ends = at + 1
        if not fenced[at]:
            if _level(lines[at]) == _TASK:
                ends = _end_of_block(lines, fenced, at)
                if (block := _task(lines[at:ends], fenced[at:ends], at + 1)) is not None:
                    yield at, ends, block
                else:
                    ends = at + 1
            elif (check := _CHECK.fullmatch(_bare(lines[at]))) is not None:
                ends = _end_of_check(lines, at)
                yield at, ends, _checked(check, lines[at:ends], at + 1)
        at = ends


def _fenced(lines: Sequence[str]) -> list[bool]:
    """Which lines stand in a code fence, its own two lines included."""
    found: list[bool] = []
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        inside = bool(fence)
        if mark and not fence:
            fence, inside = mark["fence"], True
        elif mark and mark["fence"].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        found.append(inside)
    return found


def _bare(line: str) -> str:
    return line.rstrip()


def _level(line: str) -> int | None:
    heading = _HEADING.fullmatch(_bare(line))
    return len(heading[1]) if heading else None


def _end_of_block(lines: Sequence[str], fenced: Sequence[bool], at: int) -> int:
    after = (n for n in range(at + 1, len(lines)) if not fenced[n] and _level(lines[n]) is not None)
    return next(after, len(lines))


def _end_of_check(lines: Sequence[str], at: int) -> int:
    """What is indented below belongs to it, with blank lines in between, not with those after."""
    ends = at + 1
    for n in range(at + 1, len(lines)):
        if lines[n].strip():
            if not lines[n].startswith((" ", "\t")):
                break
            ends = n + 1
    return ends


def _task(lines: Sequence[str], fenced: Sequence[bool], line: int) -> Block | None:
    """None for a heading that is none of a task: it has neither brackets nor a field below."""
    heading = _HEADING.fullmatch(_bare(lines[0]))
    assert heading is not None
    words = _TITLE.fullmatch(heading[2].strip())
    assert words is not None
    fields, notes = _body(lines[1:], fenced[1:])
    if words["id"] is None and not fields:
        return None
    done = bool(fields.get("completed")) or fields.get("status", "").lower() in _DONE
    return Block(line, "".join(lines), _id(words["id"]), words["title"].strip(), fields, notes, done)


def _id(given: str | None) -> str | None:
    return None if given is None or PLACEHOLDER.fullmatch(given.strip()) else given.strip()


def _body(lines: Sequence[str], fenced: Sequence[bool]) -> tuple[dict[str, str], str]:
    fields: dict[str, str] = {}
    notes: list[str] = []
    goes_on: str | None = None
    for line, inside in zip(lines, fenced, strict=True):
        bare = _bare(line)
        found = None if inside else _FIELD.fullmatch(bare)
        if found is not None and (name := _name(found["name"])) not in fields:
            fields[name] = found["value"].strip()
            goes_on = name
        elif goes_on is not None and bare and bare[0] in " \t":
            fields[goes_on] = f"{fields[goes_on]}\n{bare.strip()}".lstrip("\n")
        else:
            goes_on = None
            notes.append(bare)
    kept = [line for line, inside in zip(notes, _fenced(notes), strict=True) if inside or not _RULE.fullmatch(line)]
    return fields, "\n".join(kept).strip("\n")


def _name(text: str) -> str:
    return re.sub(r"[ \t-]+", "_", text.strip().lower())


def _checked(check: re.Match[str], lines: Sequence[str], line: int) -> Block:
    words = _TITLE.fullmatch((check["rest"] or "").strip())
    assert words is not None
    notes = "\n".join(_bare(each).strip() for each in lines[1:])
    done = check["mark"] != " "
    return Block(line, "".join(lines), _id(words["id"]), words["title"].strip(), {}, notes, done, check=True)


# --- what the store reads ---------------------------------------------------------------------------------------------


def document_of(block: Block) -> dict[str, Any]:
    """The task as `harness.model.itemform.parse_item` takes it. Values stay as typed: that function judges them.

    A task without an id gets one of its title, so that the same page read twice names the same item. `branch` of a
    task is where its work lies, that of an item where work goes: it is kept as `task_branch`. Notes follow the
    description.
    """
    document: dict[str, Any] = {"id": block.id or derived_id(block.title), "title": block.title}
    for name, value in block.fields.items():
        if value and name not in {"id", "title", "description"}:
            document["task_branch" if name == "branch" else name] = _value(name, value)
    if str(document.get("assigned", "")).lower() in NOBODY:
        document.pop("assigned", None)
    said = [part for part in (block.fields.get("description", ""), block.notes) if part]
    if said:
        document["description"] = "\n\n".join(said)
    return document


def derived_id(title: str) -> str:
    """The id of a task that is known by its title alone: words that differ in spaces or case are the same task."""
    same = " ".join(title.lower().split())
    return f"md_{hashlib.sha256(same.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def _value(name: str, value: str) -> Any:
    if name in LISTS:
        return [each.strip() for each in re.split(r"[,\n]", value) if each.strip()]
    if name in NUMBERS:
        try:
            return NUMBERS[name](value)
        except ValueError:
            return value
    return value.lower() if name == "priority" else value


# --- writing ----------------------------------------------------------------------------------------------------------


def render(task: str, title: str, fields: Mapping[str, str], notes: str = "") -> str:
    """A new block in the documented shape, with a blank line at its end."""
    lines = [f"### [{task}] {' '.join(title.split())}", *(_field(name, value) for name, value in fields.items())]
    return "\n".join([*lines, *([notes] if notes else [])]) + "\n\n"


def _field(name: str, value: str) -> str:
    return f"- **{name}**: " + "\n  ".join(line for line in value.strip().splitlines() if line.strip())


def with_fields(block: Block, changes: Mapping[str, str]) -> Block:
    """The block with these fields, each in its own line or after the last field; every other line as it was typed."""
    lines = block.text.splitlines(keepends=True)
    fenced = _fenced(lines)
    left, out, last, skipping = dict(changes), [lines[0]], 1, False
    for line, inside in zip(lines[1:], fenced[1:], strict=True):
        found = None if inside else _FIELD.fullmatch(_bare(line))
        if found is None and skipping and line.strip() and line[0] in " \t":
            continue
        skipping = found is not None and _name(found["name"]) in left
        if skipping:
            assert found is not None
            line = _field(found["name"], left.pop(_name(found["name"]))) + "\n"  # noqa: PLW2901
        out.append(line)
        if found is not None or (last == len(out) - 1 and line.strip() and line[0] in " \t"):
            last = len(out)
    out[last - 1] = _ended(out[last - 1])
    out[last:last] = [_field(name, value) + "\n" for name, value in left.items()]
    return _again(block, "".join(out))


def with_id(block: Block, task: str) -> Block:
    """The block with this id in its heading or behind its box."""
    first, *rest = block.text.splitlines(keepends=True)
    head = re.match(r"(?P<mark>#{3}[ \t]+|(?:[-*+]|\d+[.)])[ \t]+\[[ xX]\][ \t]+)(?:\[[^\[\]]*\](?!\()[ \t]*)?", first)
    assert head is not None
    return replace(_again(block, f"{head['mark']}[{task}] {first[head.end() :]}" + "".join(rest)), id=task)


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"


def _again(block: Block, text: str) -> Block:
    (found,) = blocks(text)
    return replace(found, line=block.line)
