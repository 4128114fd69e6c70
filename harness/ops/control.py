"""Pause, resume, stop: orders to a loop that may or may not run (H16, H19)."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from harness import fs
from harness.interrupt_file import read_reason
from harness.model.errors import NotRunning, Refused
from harness.model.home import Home
from harness.ops.answers import Change
from harness.ops.books import running, writing
from harness.ops.snapshot import loop_pid
from harness.ops.workers import at_work, workers
from harness.proc.identity import Identity, alive, identify
from harness.proc.identity import signal as send

POLL_SECONDS = 0.1
BETWEEN_INTERRUPTS_SECONDS = 0.3
"""Two signals of a kind that meet in the kernel are one."""


def pause(home: Home, reason: str) -> Change:
    """Write the interrupt file. One that is there already keeps its reason: somebody waits for its removal."""
    before = read_reason(home.interrupt_file)
    if before is not None:
        return Change("loop", applied=False, detail=f"paused already: {before}")
    fs.replace(home.interrupt_file, f"{reason.strip()}\n" if reason.strip() else "", mode=0o644)
    said = read_reason(home.interrupt_file)
    when = "it pauses within 2 s" if at_work(home) else "no loop runs here; it will start paused"
    return Change("loop", applied=True, detail=f"pausing: {said}\n{when}; ./loop resume ends it")


def resume(home: Home, actor: str, now: datetime) -> Change:
    """Remove the interrupt file and end every other pause, so that what it held up is tried again at once."""
    reason = read_reason(home.interrupt_file)
    if reason is not None:
        _remove(home)
    ended: list[str] = [] if reason is None else [f"interrupt file removed: {reason}"]
    if home.database.exists():
        with writing(home) as store, store.together():
            for pause_ in store.pauses():
                store.close_pause(pause_.scope, pause_.source, actor, now)
                if pause_.kind != "file":
                    ended.append(f"{pause_.scope}: {pause_.reason}")
    if not ended:
        return Change("loop", applied=False, detail="nothing is paused")
    after = [] if at_work(home) else ["no loop runs here: ./loop run"]
    return Change("loop", applied=True, detail="\n".join(["resumed", *ended, *after]))


def _remove(home: Home) -> None:
    try:
        home.interrupt_file.unlink(missing_ok=True)
    except OSError as exc:
        raise Refused(
            f"{home.interrupt_file} cannot be removed: {exc.strerror}", hint="remove what has that name by hand"
        ) from exc


def stop(home: Home, *, now: bool, wait_seconds: float, sleep: Callable[[float], None] = time.sleep) -> Change:
    """TERM to exactly the loop that holds the lock and the workers that hold theirs (`now`: INT twice), then wait.

    Raises NotRunning. Not ended in time: exit 1.
    """
    targets = _holders(home)
    for process in targets.values():
        send(process, signal.SIGINT if now else signal.SIGTERM)
    if now:
        sleep(BETWEEN_INTERRUPTS_SECONDS)
        for process in targets.values():
            send(process, signal.SIGINT)
    began, told, late = time.monotonic(), [], False
    for name, process in targets.items():
        ended, waited = _wait(process, began, wait_seconds, sleep)
        late = late or not ended
        hint = "" if now else "; ./loop stop --now ends its sessions at once"
        said = f"{name} has ended (pid {process.pid}, after {waited:.1f} s)"
        told.append(said if ended else f"pid {process.pid} still winds up after {waited:.0f} s{hint}")
    return Change("loop", applied=not late, detail="\n".join(told), exit_code=int(late))


def _holders(home: Home) -> Mapping[str, Identity]:
    """The loop and the workers that live, by what they are called. Raises NotRunning if there is none."""
    found = {"the loop": _loop(home)} | {f"worker {each.pid}": identify(each.pid) for each in workers(home)}
    living = {name: process for name, process in found.items() if process is not None}
    if not living:
        raise NotRunning(f"no loop runs on {home.state}", hint="./loop status; ./loop run starts one")
    return living


def _loop(home: Home) -> Identity | None:
    pid = loop_pid(home)
    loop = identify(pid) if pid is not None else None
    # The lock last: held after the identity was taken, so the pid in it is its holder's and nobody else's.
    return loop if loop is not None and running(home) else None


def _wait(process: Identity, began: float, wait_seconds: float, sleep: Callable[[float], None]) -> tuple[bool, float]:
    while alive(process):
        if time.monotonic() - began > wait_seconds:
            return False, time.monotonic() - began
        sleep(POLL_SECONDS)
    return True, time.monotonic() - began
