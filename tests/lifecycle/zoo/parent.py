"""A loop for one process: becomes subreaper, starts agent-init from stdin's words, and ends it when told to.

Says agent-init's pid, waits for "ready" from the agent; then `stay` sleeps, `end-stuck` stops agent-init so that it can
do nothing itself, ends the tree from outside and prints who is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

from harness.proc.contain import become_subreaper, command, end
from harness.proc.identity import identify


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
    os.kill(process.pid, signal.SIGSTOP)
    left = asyncio.run(end(root, term_seconds=0.2, kill_seconds=5, session=session))
    print([each.pid for each in left], flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
