"""What simulated sessions cost, and what the operator lets them cost in all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from random import Random

from harness.model.budget import Budgets

MOST_USD = 1.0
MOST_OVER = 1.2
"""A session is held to its own limit between two requests only: its last one may go beyond."""


class Money:
    """Costs by session (None = nobody will ever know) and the budgets of the loop that runs."""

    def __init__(self, random: Random) -> None:
        self.budgets = Budgets()
        self.costs: dict[str, Decimal | None] = {}
        self._random = random
        self._spent: defaultdict[str, Decimal] = defaultdict(Decimal)

    def charge(self, session: str, kind: str) -> None:
        """A session begins: what it will have cost at its end."""
        chance = self._random.random()
        most = MOST_USD if chance < 0.98 else MOST_OVER
        cost = _dollars(self._random.uniform(0.01, most))
        self.costs[session] = None if chance < 0.04 else cost
        self._spent[kind] += cost

    def draw(self) -> None:
        """The budgets of a new loop: mostly none, else little more than is spent already."""
        random, kind = self._random, self._random.choice((*self._spent, "default"))
        total = sum(self._spent.values(), Decimal(0)) + _dollars(random.uniform(0, 40))
        of_kind = self._spent[kind] + _dollars(random.uniform(0, 8))
        limits = (
            (0.2, Budgets(total=total)),
            (0.15, Budgets(day=_dollars(random.uniform(2, 60)))),
            (0.15, Budgets(kinds={kind: of_kind})),
            (0.1, Budgets(item=_dollars(random.uniform(0.5, 4)))),
        )
        chance = random.random()
        self.budgets = Budgets()
        for share, budgets in limits:
            if chance < share:
                self.budgets = budgets
                return
            chance -= share

    def raise_(self) -> None:
        """The operator allows more."""
        more, now = _dollars(self._random.uniform(1, 30)), self.budgets
        self.budgets = replace(
            now,
            item=None if now.item is None else now.item + more / 10,
            day=None if now.day is None else now.day + more,
            total=None if now.total is None else now.total + more,
            kinds={kind: limit + more for kind, limit in now.kinds.items()},
        )


def _dollars(amount: float) -> Decimal:
    return Decimal(f"{amount:.4f}")
