"""A budget is one for the loop and its worker processes, whoever of them begins a session (H34, R6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.budget import Purse
from harness.model.brief import Limits
from harness.model.budget import Budgets
from harness.model.outcome import Claimed, Disposition
from harness.model.session import SessionStatus
from harness.model.work import Lease, WorkItem, WorkState
from harness.ports import Settlement
from tests.kit.books import Desktop, desktop
from tests.kit.stores import RULES, add, item, session


class Plans:
    """A planner for which every session may cost 5 dollars."""

    def plan(self, _item: WorkItem) -> Any:
        return SimpleNamespace(limits=Limits(max_cost_usd=5))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desktop]:
    async with desktop(tmp_path) as made:
        add(made.store, *(item(name, kind="sweep" if name == "d" else "default") for name in "abcd"))
        yield made


def purse(desk: Desktop, **budgets: Any) -> Purse:
    return Purse(desk.books, desk.clock, desk.state, Plans(), lambda: Budgets(**budgets))  # type: ignore[arg-type]


def take(desk: Desktop, owner: str) -> Lease:
    held = desk.store.lease(owner, RULES, desk.clock.now())
    assert held is not None
    return held


async def ended(desk: Desktop, money: Purse, held: Lease, cost: str | None) -> None:
    """A session of this lease that has ended, and its item with it."""
    row = replace(session(held, f"ses_{held.item.id}"), status=SessionStatus.COMPLETED, ended_at=desk.clock.now())
    desk.store.open_session(held, session(held, row.id))
    row = replace(row, metrics={"cost_usd": cost})
    done = Disposition(WorkState.DONE, "claimed")
    desk.store.settle(held, Settlement(Claimed(None), done, session=row), desk.clock.now())
    await money.settled(held, Claimed(None), row)


async def test_what_another_process_has_reserved_is_not_there_to_be_reserved(desk: Desktop) -> None:
    loop, worker = purse(desk, day=Decimal(9)), purse(desk, day=Decimal(9))
    assert await worker.admit(take(desk, "worker-1")) is None
    refused = await loop.admit(take(desk, "loop-1"))
    assert refused is not None
    assert "$5.00 of $9.00" in refused.reason


@pytest.mark.parametrize(("cost", "shown"), [("1.5", None), (None, "$5.00 of $9.00"), ("4.5", "$4.50 of $9.00")])
async def test_what_another_process_spent_counts_exactly_and_as_reserved_if_nobody_knows(
    desk: Desktop, cost: str | None, shown: str | None
) -> None:
    loop, worker = purse(desk, total=Decimal(9)), purse(desk, total=Decimal(9))
    first = take(desk, "loop-1")
    assert await loop.admit(first) is None
    await ended(desk, loop, first, "0")
    held = take(desk, "worker-1")
    assert await worker.admit(held) is None
    await ended(desk, worker, held, cost)
    refused = await loop.admit(take(desk, "loop-1"))
    assert (refused is None) is (shown is None)
    assert shown is None or (refused is not None and shown in refused.reason)


async def test_a_dead_process_gives_back_what_it_reserved_with_its_lease(desk: Desktop) -> None:
    loop, worker = purse(desk, day=Decimal(9)), purse(desk, day=Decimal(9))
    lost = take(desk, "worker-1")
    assert await worker.admit(lost) is None
    desk.store.settle(lost, Settlement(Claimed(None), Disposition(WorkState.DONE, "settled")), desk.clock.now())
    assert await loop.admit(take(desk, "loop-1")) is None


async def test_a_kind_has_one_budget_in_all_processes(desk: Desktop) -> None:
    loop, worker = purse(desk, kinds={"sweep": Decimal(6)}), purse(desk, kinds={"sweep": Decimal(6)})
    for _ in "abc":
        assert await worker.admit(take(desk, "worker-1")) is None
    add(desk.store, item("e", kind="sweep"))
    assert await worker.admit(take(desk, "worker-1")) is None
    assert await loop.admit(take(desk, "loop-1")) is not None
