"""What the rehearsal remembers: what it billed and what it was sent, the oracle for the loop's own numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import fs
from harness.rehearsal.conversation import Request


@dataclass(frozen=True)
class Billed:
    """One answered request. An error costs nothing; `cut` = broken off in mid-stream, billed but never seen whole."""

    at: str
    conversation: str
    model: str
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    status: int
    stream: bool
    side: bool
    cut: bool = False


@dataclass(frozen=True)
class Received:
    """One request as it came. Header names only: values may be credentials. `body` is kept in memory, never written."""

    at: str
    method: str
    path: str
    headers: tuple[str, ...]
    conversation: str = ""
    model: str = ""
    stream: bool = False
    messages: int = 0
    tools: tuple[str, ...] = ()
    system_characters: int = 0
    prompt: str = ""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass
class Records:
    """Appends to memory and, where a file is named, one JSON object a line; `keep_bodies` serves tests."""

    bill_file: Path | None = None
    requests_file: Path | None = None
    keep_bodies: bool = False
    bill: list[Billed] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)

    def billed(self, entry: Billed) -> None:
        self.bill.append(entry)
        if self.bill_file:
            fs.append(self.bill_file, json.dumps(asdict(entry)))

    def received(self, method: str, path: str, headers: Mapping[str, str], request: Request | None = None) -> None:
        entry = _received(method, path, tuple(sorted(headers)), request, keep_body=self.keep_bodies)
        self.requests.append(entry)
        if self.requests_file:
            written = {key: value for key, value in asdict(entry).items() if key != "body"}
            fs.append(self.requests_file, json.dumps(written))


def moment() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _received(
    method: str, path: str, headers: tuple[str, ...], request: Request | None, *, keep_body: bool
) -> Received:
    if request is None:
        return Received(moment(), method, path, headers)
    system = request.body.get("system") or ""
    return Received(
        at=moment(),
        method=method,
        path=path,
        headers=headers,
        conversation=request.conversation,
        model=request.model,
        stream=request.stream,
        messages=len(request.messages),
        tools=tuple(str(tool.get("name", "")) for tool in request.body.get("tools") or ()),
        system_characters=len(system) if isinstance(system, str) else sum(len(part.get("text", "")) for part in system),
        prompt=request.prompt[:200],
        body=request.body if keep_body else {},
    )
