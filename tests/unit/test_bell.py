"""The bell: no ring after a ticket is missed, a wait ends at its time, who was called off is no longer waited on."""

from __future__ import annotations

import asyncio

import pytest

from harness.engine.bell import Bell


async def test_a_ring_between_the_ticket_and_the_wait_is_not_missed() -> None:
    bell = Bell()
    ticket = bell.ticket()
    bell.ring()
    assert await bell.after(ticket, None)


async def test_one_ring_wakes_all_who_wait() -> None:
    bell = Bell()
    waits = [asyncio.ensure_future(bell.after(bell.ticket(), seconds)) for seconds in (None, 60)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.gather(*waits) == [True, True]


async def test_a_wait_without_a_ring_is_over_at_its_time() -> None:
    bell = Bell()
    assert not await bell.after(bell.ticket(), 0.001)
    bell.ring()
    assert not await bell.after(bell.ticket(), 0)


async def test_a_wait_that_was_called_off_neither_takes_nor_hinders_a_ring() -> None:
    bell = Bell()
    gone, stays = (asyncio.ensure_future(bell.after(bell.ticket(), None)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    bell.ring()
    assert await stays
