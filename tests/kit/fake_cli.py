"""A Claude CLI that goes wrong once, as the real one cannot be made to go wrong; from then on it is the real one.

A program of its own, standard library only: `python -I -S fake_cli.py FAULT CLI ARGUMENTS...`. That it was met is
remembered in the workspace's git directory, which the next session of the item finds again; `going_wrong` writes the
small script that an operator would name under `agents.*.cli`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

MIB = 1 << 20
LONG_LINE_BYTES = 50 * MIB
FLOOD_BYTES = 20 * MIB


def going_wrong(folder: Path, fault: str, cli: Path) -> Path:
    """A program in `folder` that plays `fault` in its first session and is `cli` in all others."""
    assert fault in FAULTS
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"claude-{fault}"
    words = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), fault, str(cli)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return program


def main() -> None:
    fault, cli, *arguments = sys.argv[1:]
    if "--version" not in arguments and _is_first(Path(".git", f"{fault}.met")):
        FAULTS[fault]()
    os.execv(cli, [cli, *arguments])


def _is_first(mark: Path) -> bool:
    try:
        mark.touch(0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True


# --- what every fault but noise begins with: a session that has begun and been given its prompt ------------------------


def _until_the_prompt() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            answer = {"commands": [], "hook_on_failure_supported": True, "hooks_applied": True}
            given = {"subtype": "success", "request_id": message["request_id"], "response": answer}
            _frame(type="control_response", response=given)
        elif message["type"] == "user":
            _frame(
                type="system", subtype="init", session_id="fake", model="fake", uuid="0", claude_code_version="9.9.9"
            )
            return


def _frame(**fields: Any) -> None:
    _write(json.dumps(fields).encode() + b"\n")


def _write(data: bytes, to: int = 1) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(to, view) :]


def _lives_on() -> None:
    while True:
        time.sleep(3600)


# --- the faults -------------------------------------------------------------------------------------------------------


def _noise() -> None:
    """All that a reader has to put up with, and then a session as it should be."""
    _write(b"[SandboxDebug] this is no frame\n" * 1000)
    _write(b"\n\r\n[]\n42\nnull\n")
    _frame(type="of_tomorrow", payload={"a": [1, None]})
    _frame(type="system", subtype="of_tomorrow", session_id="s", uuid="u")
    _write('{"type":"of_tomorrow","text":"\N{GRINNING FACE}'.encode())  # makes each character of the line four bytes
    for _ in range(LONG_LINE_BYTES // MIB):
        _write(b"y" * MIB)
    _write(b'"}\n')
    for _ in range(FLOOD_BYTES // MIB):
        _write(b"warning: something is deprecated\n" * (MIB // 33), to=2)
        _write(b"no end of line " * (MIB // 150), to=2)


def _silent() -> None:
    _until_the_prompt()
    _lives_on()


def _no_result() -> None:
    _until_the_prompt()
    os._exit(0)


def _half_line() -> None:
    _until_the_prompt()
    _write(b'{"type":"assistant","message":{"role":"assis')
    os._exit(0)


def _broken_line() -> None:
    """Goes on as if nothing were wrong, so whoever reads it has to end it."""
    _until_the_prompt()
    _write(b'{"type": broken}\n')
    _lives_on()


def _no_utf8() -> None:
    _until_the_prompt()
    _write(b'{"type":"system","subtype":"x","text":"\xff\xfe"}\n')
    _lives_on()


FAULTS: Mapping[str, Callable[[], None]] = {
    "noise": _noise,
    "silent": _silent,
    "no-result": _no_result,
    "half-line": _half_line,
    "broken-line": _broken_line,
    "no-utf8": _no_utf8,
}

if __name__ == "__main__":
    main()
