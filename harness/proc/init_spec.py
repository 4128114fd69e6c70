"""What agent-init is told, as `contain.write_spec` wrote it. Standard library only: agent-init runs on this."""

# ruff: noqa: PTH123 - importing pathlib would be a third of agent-init's start-up
from __future__ import annotations

import json
import os
import stat

TYPE_CHECKING = False  # importing typing costs as much as everything else here together
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HANGUP_SECONDS = 8.0


class CannotStart(Exception):
    """Nothing was started; `status` is the exit code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Spec:
    """What HARNESS_AGENT_SPEC names, checked as far as a wrong one would do harm."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.argv0: str = raw["argv0"]
        self.session: str = raw["session"]
        self.log, self.err, self.lock, self.record = (str(raw[key]) for key in ("log", "err", "lock", "record"))
        self.isolation: Mapping[str, Any] = raw.get("isolation") or {}
        self.handed_over: Mapping[str, str] = raw.get("handed_over") or {}
        self.limits: Mapping[str, int | None] = raw.get("limits") or {}
        self.grace = float(raw.get("grace_seconds", 3.0))
        self.hangup = float(raw.get("hangup_seconds", HANGUP_SECONDS)) if raw.get("end_on_hangup") else None
        self.frames = raw.get("format", "frames") == "frames"
        self.parent: int | None = raw.get("parent")

    @classmethod
    def load(cls) -> Spec:
        path = os.environ.pop("HARNESS_AGENT_SPEC", "")
        if not path:
            raise CannotStart(78, "HARNESS_AGENT_SPEC is not set: agent-init is started by the loop, not by hand")
        try:
            with open(path, encoding="utf-8") as file:
                if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    raise CannotStart(78, f"{path} can be written by others: it must have mode 0600")
                return cls(json.load(file))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise CannotStart(78, f"cannot use {path}: {type(exc).__name__}: {exc}") from exc
