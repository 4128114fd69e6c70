"""What work may cost in all, beside what one session may: reserved before a session begins, settled after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Budgets:
    """US dollars; None or absent = no limit. `day` is the local calendar day; `kinds` by name of the kind."""

    item: Decimal | None = None
    day: Decimal | None = None
    total: Decimal | None = None
    kinds: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.kinds) or any(limit is not None for limit in (self.item, self.day, self.total))


@dataclass(frozen=True, slots=True)
class Committed:
    """US dollars spent, and reserved for sessions that run, towards each budget of one item."""

    item: Decimal
    kind: Decimal
    day: Decimal
    total: Decimal

    def beside(self, others: Others, kind: str) -> Committed:
        """With what other processes have; an item is worked on by one of them at a time."""
        return Committed(self.item, self.kind + others.of_kind(kind), self.day + others.all, self.total + others.all)


@dataclass(frozen=True, slots=True)
class Others:
    """US dollars by kind that other processes have reserved for sessions that run, and spent since we counted."""

    reserved: Mapping[str, Decimal]
    spent: Mapping[str, Decimal]

    def of_kind(self, kind: str) -> Decimal:
        return self.reserved.get(kind, Decimal(0)) + self.spent.get(kind, Decimal(0))

    @property
    def all(self) -> Decimal:
        return sum((*self.reserved.values(), *self.spent.values()), Decimal(0))


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The budget that a session would exceed: item, kind, day or total."""

    name: str
    limit: Decimal
    committed: Decimal
    wanted: Decimal

    def __str__(self) -> str:
        used = f"${_cents(self.committed)} of ${_cents(self.limit)} are spent or reserved"
        return f"{used}, a session may cost ${_cents(self.wanted)}"


def exceeded(budgets: Budgets, kind: str, committed: Committed, wanted: Decimal) -> Exceeded | None:
    """The first budget, the narrowest first, that `wanted` more would exceed. A used-up one refuses also wanted 0."""
    limits = {"item": budgets.item, "kind": budgets.kinds.get(kind), "day": budgets.day, "total": budgets.total}
    for name, limit in limits.items():
        used: Decimal = getattr(committed, name)
        if limit is not None and (used + wanted > limit or used >= limit):
            return Exceeded(name, limit, used, wanted)
    return None


def _cents(amount: Decimal) -> str:
    return f"{amount:.2f}"
