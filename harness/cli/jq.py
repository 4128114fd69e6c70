"""`--jq`: an expression of the caller, run in a process of its own that has no environment and a limit on everything.

The expression may loop for ever or ask for all memory: neither may hurt the command, let alone the loop.
"""

from __future__ import annotations

import json
import subprocess
import sys

from harness.model.errors import Usage

DEADLINE_SECONDS = 5.0
MEMORY_BYTES = 1 << 30
REFUSED = 3


def filtered(document: str, expression: str, option: str = "--jq", seconds: float = DEADLINE_SECONDS) -> str:
    """Each result on a line, text without quotes. Raises Usage for an expression that fails or takes too long; `option`
    is where it was given.
    """
    worker = [sys.executable, "-I", "-m", "harness.cli.jq", expression]
    shown = repr(" ".join(expression.split()))
    try:
        done = subprocess.run(
            worker, input=document, env={}, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise Usage(f"{option} {shown} took longer than {seconds:g} s", hint="simplify it") from exc
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = lines[-1] if lines else f"ended with {done.returncode}"
        raise Usage(f"{option} {shown} failed", cause=said, hint=f"the JSON it works on: the same without {option}")
    return done.stdout


def work(expression: str) -> int:
    """The worker's whole life: one document on stdin, results on stdout."""
    import resource  # noqa: PLC0415 - only the worker needs these two

    import jq  # noqa: PLC0415

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        for result in jq.compile(expression).input_text(sys.stdin.read()):
            text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
            sys.stdout.write(text + "\n")
    except (ValueError, MemoryError) as exc:
        sys.stderr.write(" ".join(str(exc).split()) + "\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(work(sys.argv[1]))
