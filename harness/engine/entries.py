"""The journal of one item or session, whole, however long it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.model.journal import Entry

PAGE = 500


class Journal(Protocol):
    """What of a store it takes; the one that only reads has it too."""

    def journal(
        self, *, item: str | None = None, session: str | None = None, after: int = 0, limit: int = 200
    ) -> Sequence[Entry]: ...


def entries(store: Journal, *, item: str | None = None, session: str | None = None) -> Iterator[Entry]:
    """Oldest first, a page of PAGE at a time."""
    after = 0
    while page := store.journal(item=item, session=session, after=after, limit=PAGE):
        yield from page
        after = page[-1].seq or after
        if len(page) < PAGE:
            return
