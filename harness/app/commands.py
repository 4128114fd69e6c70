"""Shell commands of the operator's that are no gates: contained and fenced as those are, in a checkout of ours."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.app.environments import Environments
from harness.git import foreign
from harness.model.outfit import CACHE
from harness.ports import Ended

LOGS = 3
REPORT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """`action` and `repo` name the log. `given`: variable -> content of a file that it names; `answer`: the variable of
    a file that the command may write; `cache`: a folder that it may keep things in, named by HARNESS_CACHE.
    """

    action: str
    repo: str
    run: str
    timeout_seconds: float
    given: Mapping[str, bytes] = field(default_factory=dict)
    answer: str = ""
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """How it ended; `answer` is what it wrote where it was told to, None if nothing that can be read."""

    ended: Ended
    command: str
    log: Path
    answer: bytes | None = None

    @property
    def green(self) -> bool:
        return self.ended.code == 0 and not self.ended.timed_out

    @property
    def words(self) -> str:
        """The command, its exit and the end of its output."""
        late = " (timed out)" if self.ended.timed_out else ""
        return f"$ {self.command}\nexit {self.ended.code}{late}\n{self.ended.tail}"


@dataclass(frozen=True, slots=True)
class Commands:
    """Every run has a HOME and a TMPDIR of its own; the output is `<logs>/<action>-<repo>.log`, two older ones kept."""

    environments: Environments
    logs: Path

    async def run(self, order: Order, folder: Path) -> Told:
        """Run it in `folder`. Raises HarnessError if it could not be run at all."""
        room = f"{order.action}-{secrets.token_hex(6)}"
        log = self.logs / f"{order.action}-{order.repo}.log"
        _make_room(log)
        try:
            variables = self.environments.gate(room)
            files = Path(variables["TMPDIR"])
            for name, content in order.given.items():
                (files / name).write_bytes(content)
            variables |= {CACHE: str(order.cache)} if order.cache is not None else {}
            named = [*order.given, *([order.answer] if order.answer else [])]
            end = await self.environments.runner(
                ["/bin/sh", "-c", order.run],
                cwd=folder,
                env=variables | {name: str(files / name) for name in named},
                log=log,
                session=room,
                folder=self.environments.room(room) / "init",
                timeout_seconds=order.timeout_seconds,
            )
            answer = foreign.read(files, order.answer, limit=REPORT_BYTES) if order.answer else None
        finally:
            self.environments.tidy(room)
        return Told(end, order.run, log, answer)


def _make_room(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    for number in range(LOGS - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))
