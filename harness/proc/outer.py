"""agent-init's side of an isolation from outside: the agent is started through bubblewrap, which stands in between.

Standard library only: agent-init runs on this. bubblewrap (our child) makes a pid namespace; its first process is
bubblewrap again, the agent is the second. When the agent ends, bubblewrap ends with its status, and the kernel kills
whatever is left in the namespace; when agent-init or bubblewrap is killed, all of it dies (`--die-with-parent`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from harness.proc.procfs import PARENT, children, read, stat_fields

FIRST = b"2"
"""The agent's pid in its own namespace."""


class Outer:
    """What stands between agent-init and the agent. With an empty `argv`, nothing does."""

    def __init__(self, argv: list[str]) -> None:
        self.argv = argv
        self._report = self._theirs = -1

    def command(self, program: str, arguments: list[str]) -> list[str]:
        """What to execute in place of `program`. Raises FileNotFoundError: bubblewrap would not tell it apart."""
        if not self.argv:
            return [program, *arguments]
        if not _there(program):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
        self._report, self._theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._report, False)
        return [self.argv[0], "--json-status-fd", str(self._theirs), *self.argv[1:], "--", program, *arguments]

    def inherit(self) -> None:
        """In the child: let bubblewrap have its end of the report."""
        if self._theirs >= 0:
            os.set_inheritable(self._theirs, True)

    def started(self) -> None:
        """In agent-init, after the fork."""
        if self._theirs >= 0:
            os.close(self._theirs)

    def refused(self, status: int) -> bool:
        """Whether bubblewrap itself failed: it reports an exit code only of a command that it has executed."""
        if self._report < 0 or not os.WIFEXITED(status) or os.WEXITSTATUS(status) != 1:
            return False
        with contextlib.suppress(BlockingIOError):
            return b'"exit-code"' not in os.read(self._report, 4096)
        return True

    def keeps(self, pid: int) -> bool:
        """Whether this is the first process of the namespace: ours, not one that an agent left behind."""
        return bool(self.argv) and _number_inside(pid) == b"1"

    def signal(self, child: int, signum: int) -> None:
        """Signal the agent: our child itself, or the one behind it while there is one."""
        agent = self._agent(child) if self.argv else None
        if agent is None:
            os.kill(child, signum)
            return
        init, pid = agent
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                fields = stat_fields(pid)
                if fields and int(fields[PARENT]) == init:  # not another process that got its number meanwhile
                    signal.pidfd_send_signal(handle, signum)
            finally:
                os.close(handle)

    def _agent(self, bubblewrap: int) -> tuple[int, int] | None:
        for init in children(bubblewrap):
            for pid in children(init):
                if _number_inside(pid) == FIRST:
                    return init, pid
        return None


def _number_inside(pid: int) -> bytes:
    """The pid as the innermost namespace has it."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return line.split()[-1]
    return b""


def _there(program: str) -> bool:
    if "/" in program:
        return os.access(program, os.X_OK)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(f"{folder}/{program}", os.X_OK) for folder in path)
