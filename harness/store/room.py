"""Whether an item with resources or a scope may run beside what runs now: a function that the lease calls in SQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is taken at one moment: lanes and repositories that take no more, resources by name, and the scopes that are
    worked on, by repository.
    """

    lanes: tuple[str, ...] = ()
    repos: tuple[str, ...] = ()
    resources: Collection[str] = ()
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything may be in an item's way."""
        return bool(self.lanes or self.repos or self.resources or self.scopes)


@lru_cache(maxsize=65536)
def wishes(exclusive: str) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Repository, resources and scope of an item, of `items.exclusive`."""
    repo, resources, scope = json.loads(exclusive)
    return repo, tuple(resources), tuple(scope)


class Room:
    """`has_room` of one connection. Items that wish for the same are judged once a lease, however many there are."""

    def __init__(self) -> None:
        self._crowd = Crowd()
        self._default: str | None = None
        self._judged: dict[str, bool] = {}

    def look(self, crowd: Crowd, default_repository: str | None) -> None:
        """Judge by this from here on."""
        self._crowd, self._default = crowd, default_repository
        self._judged = {}

    def __call__(self, exclusive: str) -> bool:
        found = self._judged.get(exclusive)
        if found is None:
            found = self._judged[exclusive] = self._judge(exclusive)
        return found

    def _judge(self, exclusive: str) -> bool:
        repo, resources, scope = wishes(exclusive)
        if not set(resources).isdisjoint(self._crowd.resources):
            return False
        worked_on = self._crowd.scopes.get(repo or self._default or "")
        if not scope or not worked_on:
            return True
        from harness.model.globs_meet import meet  # noqa: PLC0415 - for queues with scopes only

        return not meet(worked_on, scope)
