"""Commands in disguise: refused by their text, or harmless behind the fence (R7)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.model.policy import Policy
from harness.ops.policy import WORKSPACE, corpus
from harness.proc.isolation import reach
from harness.proc.view import View

POLICY = Policy((), (WORKSPACE,))
REACHED = reach("outer", os.environ["PATH"], View())
PLACES = {"secret": "secret", "outside": "outside", "state": "state", "hooks": "hooks"}


def of(expected: str, places: dict[str, str] = PLACES) -> list[str]:
    return [command for word, command in corpus(places) if word == expected]


def test_the_corpus_is_large_enough() -> None:
    assert len(of("denied")) + len(of("held")) >= 100


@pytest.mark.parametrize("command", of("denied"))
def test_what_text_can_see_is_denied(command: str) -> None:
    assert POLICY.judge("Bash", {"command": command}) is not None


@pytest.mark.parametrize("command", of("allowed"))
def test_ordinary_work_goes_through(command: str) -> None:
    assert POLICY.judge("Bash", {"command": command}) is None


@pytest.mark.slow
@pytest.mark.skipif(REACHED.level != "outer", reason=f"bubblewrap cannot be used here: {REACHED.why}")
@pytest.mark.parametrize("number", range(len(of("held"))))
def test_what_text_cannot_see_is_held_by_the_fence(tmp_path: Path, number: int) -> None:
    """Run for real, on files made for it: nothing outside changes, and no secret is said."""
    places = {name: tmp_path / "me" / name for name in PLACES}
    workspace = tmp_path / "workspace"
    for folder in (places["hooks"], workspace):
        folder.mkdir(parents=True)
    for name in ("secret", "outside", "state"):
        places[name].write_text(f"canary of {name}\n")
    before = {
        path: (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in (tmp_path / "me").rglob("*")
    }
    view = View(hidden=(places["secret"], places["state"]), readable=(tmp_path / "me",), writable=(workspace,))
    script = of("held", {name: str(place) for name, place in places.items()})[number]
    done = subprocess.run(
        [REACHED.program, *view.arguments(), "--chdir", str(workspace), "--", "/bin/bash", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"canary of secret" not in done.stdout + done.stderr
    assert b"canary of state" not in done.stdout + done.stderr
    after = {
        path: (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in (tmp_path / "me").rglob("*")
    }
    assert after == before
