"""The store thread: calls in order, none cut short, entries in the event loop's thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from harness.model.errors import NotFound
from harness.model.work import WorkState
from harness.store.sqlite import SqliteStore
from harness.store.thread import StoreThread
from tests.kit.stores import NOW, add, item


@pytest.fixture
def told():
    return []


@pytest.fixture
async def store(tmp_path, told):
    def tell(entries):
        told.append((threading.current_thread(), [entry.item for entry in entries]))

    thread = StoreThread(SqliteStore(tmp_path / "harness.db"), tell)
    yield thread
    await thread.close()


async def test_calls_run_on_one_thread_in_order_and_return_what_they_return(store):
    threads = await asyncio.gather(*(store(lambda _: threading.current_thread()) for _ in range(5)))
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    order = []
    await asyncio.gather(*(store(lambda _, n=n: order.append(n)) for n in range(20)))
    assert order == list(range(20))


async def test_entries_are_told_in_order_in_the_event_loop_before_the_caller_goes_on(store, told):
    for name in ("a", "b"):
        await store(lambda s, name=name: add(s, item(name)))
        assert told[-1] == (threading.current_thread(), [name])


async def test_an_error_reaches_the_caller_and_what_was_committed_before_it_is_told(store, told):
    def half(opened):
        add(opened, item("a"))
        opened.move("zz", WorkState.PARKED, "", actor="me", now=NOW)

    with pytest.raises(NotFound):
        await store(half)
    assert [names for _, names in told] == [["a"]]


async def test_a_call_that_has_begun_is_seen_through_when_its_task_is_cancelled(store, told):
    begun, go_on = threading.Event(), threading.Event()

    def slow(opened):
        begun.set()
        assert go_on.wait(5)
        add(opened, item("a"))

    task = asyncio.create_task(store(slow))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [names for _, names in told] == [["a"]]
    assert (await store(lambda s: s.item("a"))).id == "a"


async def test_a_call_that_waits_its_turn_does_not_happen_once_cancelled(store):
    begun, go_on = threading.Event(), threading.Event()

    def slow(_):
        begun.set()
        assert go_on.wait(5)

    first = asyncio.create_task(store(slow))
    await asyncio.to_thread(begun.wait, 5)
    second = asyncio.create_task(store(lambda s: add(s, item("a"))))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    assert await store(lambda s: s.item("a")) is None


async def test_closing_waits_for_what_was_begun_and_may_be_repeated(tmp_path):
    store = StoreThread(SqliteStore(tmp_path / "harness.db"), lambda _: None)
    task = asyncio.create_task(store(lambda s: add(s, item("a"))))
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    await task
    again = SqliteStore(tmp_path / "harness.db")
    assert again.item("a").id == "a"
    again.close()
