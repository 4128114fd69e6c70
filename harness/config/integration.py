"""How proved work gets to its branch (`repositories[].integration`): ways out of a conflict, batches, trailers."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.config.fields import Many, Section, Text
from harness.ports import Ways


def _one_line_of_type_and_id(value: str) -> str:
    if set(re.findall(r"\{[^}]*\}?|\}", value)) - {"{type}", "{id}"} or not value.isprintable():
        raise ValueError("a prefix is one line; only {type} and {id} are filled in")
    return value


Way = Literal["rebase", "merge", "rerere", "union", "regenerate", "agent", "person"]
Trailer = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+: \S.*$")]
Prefix = Annotated[str, Field(max_length=200), AfterValidator(_one_line_of_type_and_id)]
MENDING = ("rerere", "union", "regenerate")


class RegenerateSection(Section):
    """Files that a command makes: in a conflict the branch's file is taken, and the command run on the merged tree."""

    paths: Annotated[Many[Text], Field(min_length=1)]
    """Globs of the files, from the top of the repository."""
    run: Text
    """Shell command, run as gates are: in a clean checkout, contained, without credentials of the model."""


class IntegrationSection(Section):
    """How proved work gets to its branch."""

    conflicts: Many[Way] = ("merge", "agent", "person")
    """What is tried, in this order, when the branch has moved on: `rebase` or `merge`; what `merge` leaves is mended by
    `rerere`, `union`, `regenerate`; then `agent` gives the item another session with the conflict in its prompt, and
    `person` asks. Gates judge every result."""
    union: Many[Text] = ()
    """Globs of files that take the lines of both sides (`union`), such as changelogs."""
    regenerate: Many[RegenerateSection] = ()
    """Files that are made anew (`regenerate`), such as lock files."""
    batch: Annotated[int, Field(ge=1, le=64)] = 1
    """Most pieces of proved work that one run of the gates judges together when several wait; red ones are found by
    halving. Each is still a merge of its own. Never for kinds whose template is `fix-bug`."""
    prefix: Prefix = ""
    """Beginning of the subject of every commit of the work; `{type}` and `{id}` are the item's, as in
    `[pipeline] {type} {id}: `."""
    trailers: Many[Trailer] = ()
    """Lines at the end of every commit of the work, such as `Co-authored-by: Name <address>`."""

    @model_validator(mode="after")
    def _in_order(self) -> IntegrationSection:
        order = self.conflicts
        if len(set(order)) != len(order):
            raise ValueError("conflicts: a way is named twice")
        if not order or order[0] not in ("rebase", "merge"):
            raise ValueError("conflicts begins with rebase or merge")
        ranks = [0 if way in ("rebase", "merge") else 1 if way in MENDING else 2 for way in order]
        if ranks != sorted(ranks):
            raise ValueError("conflicts: rebase and merge come first, agent and person last")
        if "merge" not in order and any(way in MENDING for way in order):
            raise ValueError("conflicts: rerere, union and regenerate mend what merge leaves; name merge before them")
        if ("union" in order) != bool(self.union) or ("regenerate" in order) != bool(self.regenerate):
            raise ValueError("union and regenerate need both: their place in conflicts, and their files")
        if any(trailer.startswith("Harness-") for trailer in self.trailers):
            raise ValueError("trailers: Harness-… are written by the loop itself")
        return self

    def ways(self) -> Ways:
        """The same as git takes it."""
        commands = tuple((tuple(each.paths), each.run) for each in self.regenerate)
        return Ways(tuple(self.conflicts), tuple(self.union), commands)
