"""Budgets: what a session may cost is reserved before it begins and settled with its exact cost after it (H34).

What other processes of the home reserve and spend counts as well, in the same transaction (`Store.reserve`). A session
that would exceed a budget does not begin. Item: the item waits for a person. Kind and total: a hold until the
budget is raised. Day: a hold until local midnight. Room that sessions leave unspent is given back at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from harness.engine.plan import Planner
from harness.engine.state import LoopState
from harness.model.budget import Budgets, Committed, Exceeded, exceeded
from harness.model.errors import HarnessError
from harness.model.outcome import Disposition, Outcome
from harness.model.session import SessionRow
from harness.model.work import Lease, WorkItem, WorkState
from harness.ports import Books, Clock

SOURCE = "budget"


@dataclass(slots=True)
class Purse:
    """A Door and a Witness. `budgets` is asked anew each time, so that a reload counts; sums are read once a day."""

    books: Books
    clock: Clock
    state: LoopState
    planner: Planner
    budgets: Callable[[], Budgets]
    _reserved: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    _kinds: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    _today: Decimal = Decimal(0)
    _midnight: datetime | None = None
    _day: date | None = None
    _counted: int = 0
    """Up to which entry of the journal the sums are whole; then they are ours, and others are asked after."""
    _holds: bool = False

    @property
    def reserved(self) -> Mapping[str, Decimal]:
        """US dollars held back for sessions that run, by item."""
        return {item: amount for item, (_, amount) in self._reserved.items()}

    def rest(self) -> float:
        return 0.0

    async def begin(self) -> None:
        """A start looks at the budgets afresh: they may have been raised."""
        self._holds = True  # an earlier loop may have held something
        await self._reopen("asked again at the start")

    async def admit(self, lease: Lease) -> Disposition | None:
        budgets, item = self.budgets(), lease.item
        wanted = self._wanted(item) if budgets.any else None
        if wanted is None:
            return None
        await self._count()
        ours = await self._committed(item)
        over = await self.books(
            lambda s: s.reserve(
                lease, wanted, self._counted, lambda o: exceeded(budgets, item.kind, ours.beside(o, item.kind), wanted)
            )
        )
        if over is None:
            self._reserved[item.id] = item.kind, wanted
            return None
        return await self._refuse(item, over)

    async def settled(self, lease: Lease, outcome: Outcome, session: SessionRow | None) -> None:  # noqa: ARG002 - a cost has no outcome
        """A cost that is unknown (the agent was killed) counts as its estimate, else as what was reserved for it."""
        kind, reserved = self._reserved.pop(lease.item.id, (lease.item.kind, Decimal(0)))
        if self._midnight is None:
            return
        cost = Decimal(0) if session is None or _is_only_proved(lease.item) else _cost(session, reserved)
        self._kinds[kind] += cost
        self._today += cost
        if cost < reserved:
            await self._reopen("a session left some of its reservation")

    def _wanted(self, item: WorkItem) -> Decimal | None:
        """None for an attempt without a session, or one that fails before it."""
        if _is_only_proved(item):
            return None
        try:
            most = self.planner.plan(item).limits.max_cost_usd
        except HarnessError:
            return None
        return Decimal(str(most or 0))

    async def _count(self) -> None:
        now = self.clock.now()
        day = now.astimezone().date()
        if day == self._day:
            return
        today, self._midnight = _begin(day), _begin(day + timedelta(days=1))
        spent, of_today, self._counted = await self.books(lambda s: s.sums(today))
        self._kinds, self._today = defaultdict(Decimal, spent), sum(of_today.values(), Decimal(0))
        self._day = day

    async def _committed(self, item: WorkItem) -> Committed:
        spent = sum((await self.books(lambda s: s.spent(item=item.id))).values(), Decimal(0))
        reserved = sum((amount for _, amount in self._reserved.values()), Decimal(0))
        same_kind = sum((amount for kind, amount in self._reserved.values() if kind == item.kind), Decimal(0))
        total = sum(self._kinds.values(), Decimal(0))
        return Committed(spent, self._kinds[item.kind] + same_kind, self._today + reserved, total + reserved)

    async def _refuse(self, item: WorkItem, over: Exceeded) -> Disposition:
        names = {"item": "budgets.item_usd", "kind": f"budgets.kind.{item.kind}"}
        key = names.get(over.name, f"budgets.{over.name}_usd")
        reason = f"budget: {key}: {over}"
        if over.name == "item":
            return Disposition(WorkState.WAITING, f"{reason}; raise it, then ./loop queue retry {item.id}")
        scope = f"kind:{item.kind}" if over.name == "kind" else "loop"
        until = self._midnight if over.name == "day" else None
        said = reason if until else f"{reason}; raise it, then ./loop resume"
        now = self.clock.now()
        self._holds = True
        await self.books(lambda s: s.open_pause(scope, "hold", said, SOURCE, now, until=until))
        self._holds = True  # again: while a full disk kept it waiting, somebody may have looked and found none
        self.state.bell.ring()
        return Disposition(WorkState.READY, f"not begun: {reason}")

    async def _reopen(self, why: str) -> None:
        """End what was held for want of money; nobody else holds in our name."""
        if not self._holds:
            return
        self._holds = False
        now = self.clock.now()
        scopes = [p.scope for p in await self.books(lambda s: s.pauses()) if p.source == SOURCE]
        if scopes:
            await self.books(lambda s: [s.close_pause(scope, SOURCE, why, now) for scope in scopes])
            self.state.bell.ring()


def _is_only_proved(item: WorkItem) -> bool:
    """What its session cost was counted when that ended, under an earlier lease."""
    return item.continuation is not None and item.continuation.mode == "seal"


def _cost(session: SessionRow, reserved: Decimal) -> Decimal:
    told = session.metrics.get("estimated_cost_usd") or session.metrics.get("cost_usd")
    return reserved if told is None else Decimal(str(told))


def _begin(day: date) -> datetime:
    """Of a day where we are: one in which the hour changes has 23 or 25 of them."""
    return datetime.combine(day, time()).astimezone()
