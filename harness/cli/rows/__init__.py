"""What a row of the command table is; the rows themselves, by what they are for. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is what is typed, `target` `module:attribute` of a click command, `answers` commands of the seeds."""

    path: str
    help: str
    target: str = ""
    answers: tuple[str, ...] = ()

    @property
    def built(self) -> bool:
        return bool(self.target)


def built(path: str, help_: str, target: str, *answers: str) -> Entry:
    """`target` is below `harness.cli`."""
    return Entry(path, help_, f"harness.cli.{target}", answers)


def later(path: str, help_: str, *answers: str) -> Entry:
    return Entry(path, help_, "", answers)
