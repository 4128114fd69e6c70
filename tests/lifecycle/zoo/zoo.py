"""Every kind of process an agent leaves behind, and an agent that leaves them (H14, issue A5).

`zoo.py MARKER then-ACTION KIND...` lets the kinds loose, says "ready" once all of them run, and then exits or stays.
The marker is in the argv of everybody, so that a test can count exactly who is left.
"""

from __future__ import annotations

import os
import signal
import sys
import time

FOREVER = 600


def sleep_on() -> None:
    give_up = time.monotonic() + FOREVER
    while time.monotonic() < give_up:
        time.sleep(1)


def ready(line: int) -> None:
    os.write(line, b".")
    os.close(line)


def be_deaf() -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)


def plain(line: int) -> None:
    ready(line)
    sleep_on()


def deaf(line: int) -> None:
    be_deaf()
    plain(line)


def nohup(line: int) -> None:
    os.execvp("nohup", ["nohup", *again("plain", line)])


def setsid(line: int) -> None:
    os.setsid()
    deaf(line)


def daemon(line: int) -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    deaf(line)


def bare(line: int) -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execve(sys.executable, again("deaf", line), {})


def stopped(line: int) -> None:
    ready(line)
    os.kill(os.getpid(), signal.SIGSTOP)
    sleep_on()


def respawner(line: int) -> None:
    be_deaf()
    while True:
        child = os.fork()
        if not child:
            ready(line)
            sleep_on()
        os.waitpid(child, 0)
        line = os.open(os.devnull, os.O_WRONLY)


def storm(line: int) -> None:
    """A new pid, group and session every 10 ms."""
    be_deaf()
    ready(line)
    give_up = time.monotonic() + FOREVER
    while time.monotonic() < give_up:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.01)


def gale(line: int) -> None:
    """A new pid as fast as the machine can."""
    be_deaf()
    ready(line)
    give_up = time.monotonic() + FOREVER
    while time.monotonic() < give_up:
        if os.fork():
            os._exit(0)


KINDS = {each.__name__: each for each in (plain, deaf, nohup, setsid, daemon, bare, stopped, respawner, storm, gale)}


def again(kind: str, line: int) -> list[str]:
    return [sys.executable, "-I", "-S", __file__, sys.argv[1], f"as-{kind}", str(line)]


def let_loose(kinds: list[str]) -> None:
    here, there = os.pipe()
    os.set_inheritable(there, True)
    for kind in kinds:
        if not os.fork():
            os.close(here)
            KINDS[kind](there)
            os._exit(0)
    os.close(there)
    arrived = 0
    while arrived < len(kinds):
        arrived += len(os.read(here, len(kinds))) or sys.exit("an animal died early")


def main() -> None:
    _, _, action, *rest = sys.argv
    if action.startswith("as-"):
        KINDS[action.removeprefix("as-")](int(rest[0]))
        return
    let_loose(rest or list(KINDS))
    if action == "then-ignore":
        be_deaf()
    os.write(1, b'{"type":"ready"}\n')
    if action != "then-exit":
        sleep_on()


if __name__ == "__main__":
    main()
