"""Gates: what they judge, and how a contained command is run for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.model.verdict import Verdict
from harness.model.work import WorkItem


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A path that differs between base and head; `status` A, M, D or T as git has it (a rename is a D and an A)."""

    path: str
    status: str


class Change(Protocol):
    """What sealed work changes, read from git's objects: nothing of the agent's runs. Raises GitError."""

    @property
    def base(self) -> str: ...
    @property
    def head(self) -> str: ...
    async def files(self) -> Sequence[ChangedFile]: ...
    async def text(self, commit: str, path: str) -> str | None:
        """A text file of at most 1 MiB as it is in `commit`; None if it is absent or something else."""
        ...

    async def graft(self, onto: str, source: str, paths: Sequence[str]) -> str:
        """A commit like `onto`, but with `paths` as they are in `source` (gone if they are absent there)."""
        ...


@dataclass(frozen=True, slots=True)
class GateTerms:
    """How a gate is run.

    `proves`: a passed one makes work verified (else it is a guard, which can only object). `compares`: it looks at the
    change itself and is not run on the base. `checkout`: `GateCase.folder` is a clean checkout. `after`: it runs when
    the others have, and is told what they left. `retry`: red is run again so often, each time in a new checkout.
    `resources`: what no other gate of the loop may use meanwhile (R15).
    """

    proves: bool = True
    compares: bool = False
    checkout: bool = True
    after: bool = False
    retry: int = 0
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateCase:
    """What a gate judges: a checkout in `folder`, or the document at `document` (R13).

    `change` is None for a document and on the base. `elsewhere(commit, name)` opens the same case in a clean checkout
    of another commit, with a log of that name. `left`: gate -> paths it left behind in its checkout. `on`: head, base.
    """

    item: WorkItem
    folder: Path
    commit: str
    environment: Mapping[str, str]
    log: Path
    scratch: Path
    document: Path | None = None
    on: str = "head"
    change: Change | None = None
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)
    opener: Callable[[str, str], AbstractAsyncContextManager[GateCase]] | None = None
    leftovers: Callable[[], Awaitable[Sequence[str]]] | None = None

    def elsewhere(self, commit: str, name: str) -> AbstractAsyncContextManager[GateCase]:
        """Raises ValueError where there is no repository to open a commit of."""
        if self.opener is None:
            raise ValueError("this case has no other commits")
        return self.opener(commit, name)


class Ended(Protocol):
    """How a contained command ended; `code` 126 or 127 = it could not be started; `tail` the end of its output."""

    @property
    def code(self) -> int: ...
    @property
    def timed_out(self) -> bool: ...
    @property
    def seconds(self) -> float: ...
    @property
    def tail(self) -> str: ...


class Runner(Protocol):
    """Runs a command behind agent-init and returns when it and everything it started have ended (architecture 6)."""

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        session: str,
        folder: Path,
        timeout_seconds: float,
    ) -> Ended:
        """`env` is the whole environment, `session` this run's own mark, `folder` for spec, record and lock.
        Raises HarnessError.
        """
        ...


class Gate(Protocol):
    """A class of its own is made with (name, runner, kinds=…, and its options of the configuration)."""

    name: str
    kinds: tuple[str, ...]
    terms: GateTerms

    async def judge(self, case: GateCase) -> Verdict:
        """Raises DiskFull: no verdict can be had then."""
        ...
