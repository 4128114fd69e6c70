"""A loop for one process: becomes subreaper, starts agent-init from stdin's words, and ends it when told to.

Says agent-init's pid, waits for "ready" from the agent; then `stay` sleeps. `end-stopped` stops agent-init, `end-stuck`
holds it as a debugger does, so that it can do nothing itself; both end the tree and print who is left.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time

from harness.proc.contain import become_subreaper, command, end
from harness.proc.identity import identify

PTRACE_ATTACH = 16


def hold(pid: int) -> None:
    if ctypes.CDLL(None, use_errno=True).ptrace(PTRACE_ATTACH, pid, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)


def main() -> None:
    action, session, *arguments = sys.argv[1:]
    become_subreaper()
    process = subprocess.Popen([*command(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    print(process.pid, flush=True)  # noqa: T201
    if action == "stay":
        time.sleep(600)
    root = identify(process.pid)
    assert root is not None
    if action == "end-stuck":
        hold(process.pid)
    else:
        os.kill(process.pid, signal.SIGSTOP)
    left = asyncio.run(end(root, term_seconds=0.2, kill_seconds=5, session=session))
    print([each.pid for each in left], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
