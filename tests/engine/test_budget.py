"""Budgets: reserved before a session begins, settled with its exact cost, and refused in words (issue 3.6, H34)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.budget import Purse
from harness.model.brief import Limits
from harness.model.budget import Budgets, Committed, exceeded
from harness.model.outcome import Claimed, Disposition, Failed
from harness.model.session import SessionStatus
from harness.model.work import Continuation, Lease, WorkItem, WorkState
from harness.ports import Settlement
from tests.kit.books import Desktop, desktop
from tests.kit.engine import engine
from tests.kit.stores import RULES, add, item, lease, session

NONE = Committed(*[Decimal(0)] * 4)


@dataclass
class Plans:
    """A planner for which every session may cost the same."""

    most: float | None = 5

    def plan(self, item: WorkItem) -> Any:
        return SimpleNamespace(limits=Limits(max_cost_usd=self.most))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, *(item(name, kind="sweep" if name == "s" else "default") for name in "abcs"))
        yield made


def purse(desk: Desktop, budgets: Budgets, most: float | None = 5) -> Purse:
    return Purse(desk.books, desk.clock, desk.state, Plans(most), lambda: budgets)


def take(desk: Desktop) -> Lease:
    return lease(desk.store, now=desk.clock.now())


async def ended(desk: Desktop, money: Purse, held: Lease, cost: str | None, *, estimate: str | None = None) -> None:
    """A session of this lease that has ended, settled as the engine does it."""
    name = f"ses_{held.item.id}{held.fence}"
    desk.store.open_session(held, session(held, name))
    row = replace(
        session(held, name),
        status=SessionStatus.COMPLETED,
        ended_at=desk.clock.now(),
        metrics={"cost_usd": cost, "estimated_cost_usd": estimate},
    )
    back = Disposition(WorkState.READY, "again")
    desk.store.settle(held, Settlement(Claimed(None), back, session=row), desk.clock.now())
    await money.settled(held, Claimed(None), row)


@pytest.mark.parametrize(
    ("budgets", "committed", "wanted", "name"),
    [
        (Budgets(), NONE, "5", None),
        (Budgets(item=Decimal(5)), NONE, "5", None),
        (Budgets(item=Decimal("4.99")), NONE, "5", "item"),
        (Budgets(day=Decimal(5)), replace(NONE, day=Decimal("0.01")), "5", "day"),
        (Budgets(total=Decimal(5)), replace(NONE, total=Decimal(5)), "0", "total"),
        (Budgets(kinds={"sweep": Decimal(1)}), NONE, "5", "kind"),
        (Budgets(kinds={"other": Decimal(1)}), NONE, "5", None),
    ],
)
def test_the_first_budget_that_a_session_would_exceed(
    budgets: Budgets, committed: Committed, wanted: str, name: str | None
) -> None:
    over = exceeded(budgets, "sweep", committed, Decimal(wanted))
    assert (over.name if over else None) == name


async def test_running_sessions_hold_their_reservation_and_what_they_leave_is_given_back(desk: Desktop) -> None:
    money = purse(desk, Budgets(day=Decimal(9)))
    first, second = take(desk), take(desk)
    assert await money.admit(first) is None
    refused = await money.admit(second)
    assert refused is not None
    assert refused.state is WorkState.READY
    (pause,) = desk.store.pauses()
    assert (pause.scope, pause.kind) == ("loop", "hold")
    assert "$5.00 of $9.00 are spent or reserved, a session may cost $5.00" in pause.reason
    await ended(desk, money, first, "1.2500000001")
    assert desk.store.pauses() == []
    assert await money.admit(second) is None


async def test_the_day_ends_at_local_midnight_and_the_sums_begin_anew(desk: Desktop) -> None:
    money = purse(desk, Budgets(day=Decimal(5)))
    first = take(desk)
    assert await money.admit(first) is None
    await ended(desk, money, first, "0.5")
    held = take(desk)
    assert (await money.admit(held)) is not None
    until = desk.store.pauses()[0].until
    assert (until.astimezone().hour, until.astimezone().minute) == (0, 0)
    assert timedelta(0) < until - desk.clock.now() <= timedelta(days=1)
    desk.clock.move((until - desk.clock.now()).total_seconds())
    assert desk.store.lease("a", RULES, desk.clock.now()) is not None
    assert await money.admit(held) is None


@pytest.mark.parametrize("jump", [-365, -3, 365])
async def test_a_day_is_the_one_that_the_clock_shows_also_after_it_was_set(desk: Desktop, jump: int) -> None:
    money = purse(desk, Budgets(day=Decimal(5)))
    first = take(desk)
    assert await money.admit(first) is None
    await ended(desk, money, first, "0.5")
    desk.clock.set(jump * 86400)
    assert await money.admit(take(desk)) is None


async def test_an_item_that_used_up_its_budget_waits_for_a_person(desk: Desktop) -> None:
    money = purse(desk, Budgets(item=Decimal(6)))
    first = take(desk)
    assert await money.admit(first) is None
    await ended(desk, money, first, "2")
    again = take(desk)
    assert again.item.id == first.item.id
    refused = await money.admit(again)
    assert refused is not None
    assert refused.state is WorkState.WAITING
    assert "budgets.item_usd: $2.00 of $6.00" in refused.reason
    assert await money.admit(take(desk)) is None
    assert desk.store.pauses() == []


async def test_a_kind_that_used_up_its_budget_leaves_the_others_alone(desk: Desktop) -> None:
    money = purse(desk, Budgets(kinds={"sweep": Decimal(4)}))
    for _ in "abc":
        assert await money.admit(take(desk)) is None
    assert await money.admit(take(desk)) is not None
    (pause,) = desk.store.pauses()
    assert pause.scope == "kind:sweep"
    assert "./loop resume" in pause.reason


async def test_a_cost_that_is_unknown_counts_as_reserved_and_a_new_loop_reads_what_is_known(desk: Desktop) -> None:
    budgets = Budgets(total=Decimal(10))
    money = purse(desk, budgets)
    for cost in ("5", None):
        held = take(desk)
        assert await money.admit(held) is None
        await ended(desk, money, held, cost)
    assert await money.admit(take(desk)) is not None
    after = purse(desk, budgets)
    await after.begin()
    assert desk.store.pauses() == []
    assert await after.admit(take(desk)) is None


async def test_what_an_attempt_without_a_session_had_reserved_is_given_back(desk: Desktop) -> None:
    money = purse(desk, Budgets(day=Decimal(9)))
    first, second = take(desk), take(desk)
    assert await money.admit(first) is None
    assert await money.admit(second) is not None
    assert len(desk.store.pauses()) == 1
    await money.settled(first, Failed("setup"), None)
    assert (desk.store.pauses(), money.reserved) == ([], {})
    assert await money.admit(second) is None


async def test_a_session_that_was_killed_counts_with_its_estimate_also_for_the_next_loop(desk: Desktop) -> None:
    budgets = Budgets(total=Decimal(7))
    money, held = purse(desk, budgets), take(desk)
    assert await money.admit(held) is None
    await ended(desk, money, held, None, estimate="2.5")
    assert await money.admit(take(desk)) is not None
    after = purse(desk, budgets)
    await after.begin()
    refused = await after.admit(take(desk))
    assert refused is not None
    assert "$2.50 of $7.00 are spent or reserved" in refused.reason


async def test_sealed_work_needs_no_budget(desk: Desktop) -> None:
    money = purse(desk, Budgets(total=Decimal(1)))
    held = take(desk)
    sealed = replace(held, item=replace(held.item, continuation=Continuation("seal", "", seal="c0ffee")))
    assert await money.admit(sealed) is None
    assert await money.admit(held) is not None


async def test_a_session_whose_work_is_proved_later_is_paid_for_once(desk: Desktop) -> None:
    money = purse(desk, Budgets(total=Decimal(16)))
    held = take(desk)
    assert await money.admit(held) is None
    await ended(desk, money, held, "5")
    again = take(desk)
    sealed = replace(again, item=replace(again.item, continuation=Continuation("seal", "", seal="c0ffee")))
    assert await money.admit(sealed) is None
    row = replace(session(held), status=SessionStatus.COMPLETED, metrics={"cost_usd": "5"})
    await money.settled(sealed, Claimed("c0ffee"), row)
    assert await money.admit(take(desk)) is None
    assert await money.admit(take(desk)) is None, "5 are spent and 5 reserved: there is room for 5 more"


async def test_without_a_limit_of_its_own_a_session_begins_while_anything_is_left(desk: Desktop) -> None:
    money = purse(desk, Budgets(total=Decimal(1)), most=None)
    first = take(desk)
    assert await money.admit(first) is None
    await ended(desk, money, first, "1.5")
    assert await money.admit(take(desk)) is not None


@pytest.mark.process
async def test_a_refused_item_goes_back_untouched_and_status_says_why(tmp_path: Path) -> None:
    scripted = {"default": {"type": "scripted", "max_cost_usd": 5}}
    async with engine(tmp_path, budgets={"day_usd": 3}, agents=scripted) as loop:
        await loop.add("one")
        await loop.run(drain=True)
        found = await loop.item("one")
        assert (found.state, found.attempts, found.rescues, found.deferrals) == (WorkState.READY, 0, 0, 0)
        assert "budgets.day_usd" in found.reason
        assert await loop.sessions("one") == []
        (pause,) = await loop.pauses()
        assert pause.source == "budget"
        assert loop.heard.kinds().count("loop.paused") == 1
