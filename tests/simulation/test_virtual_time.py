"""Virtual time: it jumps, it is the same every time, and what is killed has no effect any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from harness.testing.virtual import Boundary, Deadlock, Killed, Process, Timeline, VirtualLoop


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class Effects:
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def write(self, text: str) -> str:
        self.seen.append(text)
        return text


def test_a_day_passes_at_once() -> None:
    async def story() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(story()) == 86_400
    assert time.monotonic() - began < 1


def test_waiting_for_what_can_never_happen_is_said() -> None:
    with pytest.raises(Deadlock):
        run(asyncio.Event().wait())


def test_work_for_a_thread_is_done_in_place() -> None:
    async def story() -> list[int]:
        return [await asyncio.to_thread(sum, (1, 2)), await asyncio.to_thread(max, 4, 5)]

    assert run(story()) == [3, 5]


def test_a_killed_process_has_no_effect_any_more_not_even_by_its_cleanup() -> None:
    effects = Effects()

    async def story() -> None:
        process = Process("loop", Timeline())
        port = Boundary(process, effects)

        async def main() -> None:
            try:
                await port.write("before")
                await asyncio.sleep(10)
                await port.write("after")
            finally:
                await port.write("cleanup")

        task = process.start(main())
        await asyncio.sleep(5)
        process.kill()
        await process.gone()
        assert isinstance(task.exception(), Killed)

    run(story())
    assert effects.seen == ["before"]


@pytest.mark.parametrize(("fuse", "seen"), [(1, []), (2, ["one"]), (3, ["one"]), (4, ["one", "two"])])
def test_a_fuse_kills_before_or_after_the_effect_of_a_call(fuse: int, seen: list[str]) -> None:
    effects = Effects()

    async def story() -> None:
        process = Process("loop", Timeline())
        process.fuse = fuse
        port = Boundary(process, effects)

        async def main() -> None:
            await port.write("one")
            await port.write("two")

        await asyncio.wait([process.start(main())])

    run(story())
    assert effects.seen == seen


def test_a_frozen_process_goes_on_where_it_was() -> None:
    effects = Effects()

    async def story() -> None:
        process = Process("loop", Timeline())
        port = Boundary(process, effects)
        process.freeze()
        task = process.start(port.write("late"))
        await asyncio.sleep(100)
        assert effects.seen == []
        process.thaw()
        assert await task == "late"

    run(story())


def test_timers_of_the_same_moment_are_due_in_the_order_in_which_they_were_set() -> None:
    due: list[str] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(7, due.append, "later")
        timers = [loop.call_at(5, due.append, name) for name in "abcdefgh"]
        timers[2].cancel()
        await asyncio.sleep(5)
        assert due == ["a", "b", "d", "e", "f", "g", "h"]
        await asyncio.sleep(5)

    run(story())
    assert due[-1] == "later"


def test_a_set_of_tasks_has_the_order_in_which_they_were_made() -> None:
    async def story() -> list[str]:
        tasks = [asyncio.ensure_future(asyncio.sleep(1)) for _ in range(20)]
        assert list(dict.fromkeys(hash(task) for task in tasks)) == sorted(hash(task) for task in tasks)
        done, _ = await asyncio.wait(tasks)
        return [task.get_name() for task in done]

    assert run(story()) == run(story())
