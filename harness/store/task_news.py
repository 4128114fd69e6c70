"""What became another in the store since a block was written: fields that somebody changed elsewhere."""

from __future__ import annotations

from harness.model.errors import Usage
from harness.model.itemform import ALIASES, Form, parse_fields
from harness.model.taskmd import Block
from harness.model.taskpage import same_words, shown, wish_of
from harness.model.work import WorkItem

_ANYTHING = Form()


def news(block: Block, item: WorkItem) -> dict[str, str]:
    """Fields of the block whose value is not the item's, in the item's words; another spelling is no news."""
    said = wish_of(block)
    found: dict[str, str] = {}
    for key, words in shown(item).items():
        name = ALIASES.get(key, key)
        stored = getattr(item, name)
        if key == "assigned" and (stored is None or key not in said):
            continue
        if key == "description":
            # notes below the fields belong to it: they are nobody's to rewrite
            if not block.notes and not same_words(str(said.get(key, "")), item.description):
                found[key] = words
        elif _value(key, name, said) != stored and (key in said or key in block.fields):
            found[key] = words
    return found


def _value(key: str, name: str, said: dict[str, object]) -> object:
    try:
        return parse_fields({key: said[key]}, _ANYTHING).get(name) if key in said else None
    except Usage:
        return None
