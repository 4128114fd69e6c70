"""agent-init: runs one agent (or gate, or service) and is the reason why nothing of it outlives it (architecture 2).

Started as `python -I -S agent_init.py ARGS...`; `HARNESS_AGENT_SPEC` names the file that `contain.write_spec` wrote.
Standard library only, one thread. It is a child subreaper, so every orphan of the agent becomes its child, and waitpid
saying ECHILD proves that nothing is left (H14, research/reliability-security 1). It ends on SIGTERM, when its parent
dies, or when stdin hangs up and the agent stays. PDEATHSIG follows the *thread* that forked: callers must start
agent-init from a thread that lives as long as they do, which in practice means their main thread.

Exit code: the agent's; 128 + signal; 75 lock held; 78 bad spec or isolation not available; 126/127 cannot be started.
Without prctl (macOS, untested) containment is best effort, and the record says so.
"""

# ruff: noqa: PTH105, PTH108 - importing pathlib would be a third of the start-up
from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100 - `-I -S` knows no packages but Python's own

from harness.model.redact import Redactor
from harness.proc.init_spec import CannotStart, Spec
from harness.proc.outer import Outer
from harness.proc.output import FrameLog, Onward, TextLog
from harness.proc.procfs import (
    ENDED,
    SET_CHILD_SUBREAPER,
    SET_PDEATHSIG,
    boot_id,
    descendants,
    prctl,
    start_time,
    stat_fields,
    timestamp,
)

TYPE_CHECKING = False  # importing typing costs as much as everything else here together
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn

CHUNK = 1 << 16
ONWARD_ROOM = 1 << 20
LOG_BYTES, ERR_BYTES = 1 << 26, 1 << 20
SWEEP_SECONDS = 10.0
ISOLATION_FAILED = 78 << 8  # as waitpid would tell it
READER_SECONDS, READER_SECONDS_STOPPING = 5.0, 1.0  # for a reader of ours that takes nothing, after the end
HANGUP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class AgentInit:
    """One agent from its start to the death of its last descendant."""

    def __init__(self, spec: Spec, arguments: list[str], *, exact: bool) -> None:
        self.spec = spec
        self.arguments = arguments
        self.exact = exact
        self.agent = 0
        self.status: int | None = None
        self.asked: list[int] = []
        self.stop_at: float | None = None
        self.hangup_at: float | None = None
        self.watch_stdin = spec.hangup is not None
        self.killed: set[int] = set()
        self.reasons: list[str] = []
        self.parent = os.getppid()
        pid = os.getpid()
        self.facts: dict[str, Any] = {
            "pid": pid,
            "start": start_time(pid),
            "boot": boot_id(),
            "agent_pid": None,
            "agent_start": None,
            "exit": None,
            "signal": None,
            "killed": 0,
            "contained": None,
            "reached_isolation": "none",
            "started_at": timestamp(),
            "ended_at": None,
            "log_truncated": False,
            "reason": "",
        }

    def run(self) -> int:
        self._lock()
        try:
            self._isolate()
            self._open()
            self._start()
        except (CannotStart, OSError) as refused:
            self._note(str(refused))
            self._record(exit=getattr(refused, "status", 126), contained="exact", ended_at=timestamp())
            raise
        self._record(agent_pid=self.agent, agent_start=start_time(self.agent))
        try:
            while self.status is None and not self._overdue():
                self._attend()
        finally:
            contained = self._sweep()
        self._drain()
        self._finish(contained)
        return self._exit_code()

    # start

    def _lock(self) -> None:
        """Held by us and by every descendant that does not close it: free when the tree is dead."""
        self.lock = os.open(self.spec.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(5):  # a probe of `lock.is_free` may hold it for a moment
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(self.lock, 0)
                os.pwrite(self.lock, f"agent-init {os.getpid()} {self.spec.session}\n".encode(), 0)
                return
            time.sleep(0.01)
        holder = os.pread(self.lock, 200, 0).decode(errors="replace").strip()
        raise CannotStart(75, f"lock {self.spec.lock} is held by {holder or 'another process'}")

    def _isolate(self) -> None:
        """The loop has found out what can be reached; here it is only held to what is required."""
        isolation = self.spec.isolation
        level, reached = isolation.get("level", "none"), isolation.get("reached", "none")
        self.outer = Outer(list(isolation.get("argv") or ()))
        self.facts["reached_isolation"] = reached
        if reached != level and isolation.get("required"):
            raise CannotStart(78, f"isolation {level} is required, but only {reached} can be reached")
        if reached != level:
            self._note(f"isolation {level} is not available: {reached} is reached")

    def _open(self) -> None:
        spec, limits = self.spec, self.spec.limits
        redactor = Redactor(os.environ)
        kind = FrameLog if spec.frames else TextLog
        try:
            self.log = kind(spec.log, limits.get("log_bytes") or LOG_BYTES, redactor)
            self.err = self.log
            if spec.err != spec.log:
                self.err = TextLog(spec.err, limits.get("err_bytes") or ERR_BYTES, redactor)
        except OSError as exc:
            raise CannotStart(78, f"cannot open {exc.filename}: {exc.strerror}") from exc
        self.onward = Onward(frames=self.spec.frames)

    def _start(self) -> None:
        self.wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, lambda number, _frame: self.asked.append(number))
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self.out, out = os.pipe2(os.O_CLOEXEC)
        self.errors, errors = os.pipe2(os.O_CLOEXEC) if self.spec.err != self.spec.log else (-1, out)
        trouble, report = os.pipe2(os.O_CLOEXEC)
        command = self._command()
        handed = hand_over(self.spec.handed_over)
        self.agent = os.fork()
        if not self.agent:
            self._become_agent(command, out, errors, report, handed)
        self.outer.started()
        for end in {out, errors, report, *handed}:
            os.close(end)
        for end in {self.out, self.errors} - {-1}:
            os.set_blocking(end, False)
        failure = os.read(trouble, 4096).decode()
        os.close(trouble)
        if failure:
            os.waitpid(self.agent, 0)
            status, _, message = failure.partition(" ")
            raise CannotStart(int(status), message)

    def _command(self) -> list[str]:
        try:
            return self.outer.command(self.spec.argv0, self.arguments)
        except FileNotFoundError as exc:
            raise CannotStart(127, f"cannot start {self.spec.argv0}: {exc.strerror}") from exc

    def _become_agent(self, command: list[str], out: int, errors: int, report: int, handed: list[int]) -> NoReturn:
        """In the child. The report pipe closes by itself when exec succeeds."""
        try:
            os.setsid()
            if self.exact and (not prctl(SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != self.facts["pid"]):
                os._exit(137)
            for signum in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGQUIT):
                signal.signal(signum, signal.SIG_DFL)
            self._limit()
            os.dup2(out, 1)
            os.dup2(errors, 2)
            for given in (self.lock, *handed):
                os.set_inheritable(given, True)
            self.outer.inherit()
            os.environ["HARNESS_SESSION"] = self.spec.session
            os.execvp(command[0], command)  # noqa: S606 - this is the point
        except OSError as exc:
            status = 127 if exc.errno in (errno.ENOENT, errno.ENOTDIR) else 126
            os.write(report, f"{status} cannot start {command[0]}: {exc.strerror}".encode())
        finally:
            os._exit(127)

    def _limit(self) -> None:
        for kind, wanted in ((resource.RLIMIT_NOFILE, "nofile"), (resource.RLIMIT_CORE, "core")):
            value = self.spec.limits.get(wanted)
            if value is not None:
                hard = resource.getrlimit(kind)[1]
                resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
        os.nice(self.spec.limits.get("nice") or 0)

    # while it runs

    def _attend(self) -> None:
        """Wait for the next thing to happen and deal with it."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        if self.out >= 0 and len(self.onward.buffer) < ONWARD_ROOM:
            poll.register(self.out, select.POLLIN)
        if self.errors >= 0:
            poll.register(self.errors, select.POLLIN)
        if self.onward.buffer:
            poll.register(1, select.POLLOUT)
        if self.watch_stdin:
            poll.register(0, HANGUP)
        for ready, event in poll.poll(self._patience()):
            if ready == 0:
                self._hang_up(event)
            elif ready == 1:
                self.onward.write()
            elif ready == self.wake:
                self._wake()
            else:
                self._copy(ready)

    def _patience(self) -> float | None:
        """Milliseconds until something is due; None = wait for events."""
        due = [moment for moment in (self.stop_at, self.hangup_at) if moment is not None]
        if not self.exact:
            due.append(time.monotonic() + 1)
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None

    def _copy(self, source: int) -> bool:
        """Copy one chunk; False when there is nothing to copy now."""
        try:
            chunk = os.read(source, CHUNK)
        except BlockingIOError:
            return False
        if source == self.out:
            self.log.feed(chunk)
            self.onward.feed(chunk)
        else:
            self.err.feed(chunk)
        if not chunk:
            os.close(source)
            self.out, self.errors = (-1 if end == source else end for end in (self.out, self.errors))
        return bool(chunk)

    def _hang_up(self, event: int) -> None:
        if event & HANGUP:
            self.watch_stdin = False
            self.hangup_at = time.monotonic() + (self.spec.hangup or 0)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake, 512):
                pass
        while self.asked:
            signum = self.asked.pop(0)
            if signum == signal.SIGTERM:
                self._stop("the process that started it has ended" if self._orphaned() else "asked to stop (SIGTERM)")
            else:
                self._signal(signum)
        self._reap()

    def _orphaned(self) -> bool:
        return os.getppid() != self.parent

    def _stop(self, reason: str) -> None:
        """SIGTERM now, SIGKILL after the grace; asked again: SIGKILL now."""
        if self.stop_at is None:
            self._note(reason)
            self._signal(signal.SIGTERM)
            self.stop_at = time.monotonic() + self.spec.grace
        else:
            self.stop_at = time.monotonic()

    def _signal(self, signum: int) -> None:
        """The pid is our child's for certain: nobody but us can reap it."""
        if self.status is None:
            self.outer.signal(self.agent, signum)

    def _overdue(self) -> bool:
        now = time.monotonic()
        if self.hangup_at is not None and now >= self.hangup_at:
            self.hangup_at = None
            self._stop(f"stdin hung up {self.spec.hangup:g} s ago and the agent stayed")
        if not self.exact and self.stop_at is None and self._orphaned():
            self._stop("the process that started it has ended")
        return self.stop_at is not None and now >= self.stop_at

    # the end

    def _reap(self) -> bool:
        """Take the status of everybody who has ended. True = no child is left, hence no descendant."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.agent:
                self.status = status
                self._judge_isolation(status)

    def _judge_isolation(self, status: int) -> None:
        """An isolation that fails while it is set up ends the session as one that is missing, never without it."""
        if self.outer.refused(status):
            self._note("the isolation could not be set up, nothing was started; what bubblewrap said is in the log")
            self.status = ISOLATION_FAILED

    def _sweep(self) -> str:
        """SIGKILL until waitpid says ECHILD. Groups are killed at once, which no fork can slip through."""
        give_up = time.monotonic() + SWEEP_SECONDS
        while not self._reap():
            if time.monotonic() > give_up:
                left = sorted(descendants(os.getpid()))
                self._note(f"still alive after {SWEEP_SECONDS:g} s of SIGKILL: {left}")
                return "failed"
            self._kill(descendants(os.getpid()))
            time.sleep(0.001)
        return "exact" if self.exact else "best_effort"

    def _kill(self, pids: Iterable[int]) -> None:
        for pid in pids:
            fields = stat_fields(pid)
            if not fields or fields[0] in ENDED:
                continue
            if not self.outer.keeps(pid):
                self.killed.add(pid)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                # Groups of descendants hold descendants only: the agent began a session of its own.
                if (group := os.getpgid(pid)) != os.getpgid(0):
                    os.killpg(group, signal.SIGKILL)

    def _drain(self) -> None:
        """Nobody of the tree can write any more: take what the pipes still hold."""
        for source in (self.out, self.errors):
            while source >= 0 and self._copy(source):
                pass
        self.log.close()
        if self.err is not self.log:
            self.err.close()
        self.onward.finish(READER_SECONDS if self.stop_at is None else READER_SECONDS_STOPPING)

    def _finish(self, contained: str) -> None:
        status = self.status
        died = status is not None and os.WIFSIGNALED(status)
        for log in {self.log, self.err}:
            if log.file.error:
                self._note(f"{log.file.lost} records of a log are lost: {log.file.error}")
        self._record(
            exit=None if status is None or died else os.WEXITSTATUS(status),
            signal=os.WTERMSIG(status) if status is not None and died else None,
            killed=len(self.killed),
            contained=contained,
            log_truncated=self.log.file.full,
            ended_at=timestamp(),
        )

    def _exit_code(self) -> int:
        code = 70 if self.status is None else os.waitstatus_to_exitcode(self.status)
        return 128 - code if code < 0 else code

    def _note(self, reason: str) -> None:
        self.reasons.append(reason)

    def _record(self, **facts: Any) -> None:
        """Replace the record. A full disk must not end the agent: the exit code still tells the most."""
        self.facts.update(facts, reason="; ".join(self.reasons))
        temporary = f"{self.spec.record}.{os.getpid()}"
        try:
            with open(temporary, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                json.dump(self.facts, file)
            os.replace(temporary, self.spec.record)
        except OSError as exc:
            complain(f"cannot write {self.spec.record}: {exc.strerror}")
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def hand_over(names: Mapping[str, str]) -> list[int]:
    """Take secrets out of the environment into pipes that can be read once; their read ends."""
    handed = []
    for name, descriptor in names.items():
        value = os.environ.pop(name, "")
        if not value:
            continue
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.write(writer, os.fsencode(value))  # far less than a pipe holds
        os.close(writer)
        os.set_blocking(reader, True)
        os.environ[descriptor] = str(reader)
        handed.append(reader)
    return handed


def complain(message: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"agent-init: {message}\n".encode(errors="replace"))


def require_parent(parent: int) -> None:
    """PDEATHSIG says nothing about a parent that died before it was set."""
    if os.getppid() != parent:
        raise CannotStart(75, f"process {parent}, which started agent-init, has ended")


def main() -> int:
    parent = os.getppid()
    exact = sys.platform == "linux" and prctl(SET_CHILD_SUBREAPER, 1) and prctl(SET_PDEATHSIG, signal.SIGTERM)
    try:
        spec = Spec.load()
        require_parent(spec.parent or parent)
        with contextlib.suppress(PermissionError):  # already the leader of a group, which serves as well
            os.setsid()
        return AgentInit(spec, sys.argv[1:], exact=exact).run()
    except CannotStart as refused:
        complain(str(refused))
        return refused.status
    except OSError as failed:
        complain(str(failed))
        return 126


if __name__ == "__main__":
    sys.exit(main())
