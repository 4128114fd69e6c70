"""`python -m chaos` itself: a few strikes, audited; what it finds is the subject of `make chaos` (B1)."""

import subprocess
import sys

import pytest

from tests.kit.command import ROOT

pytestmark = [pytest.mark.night, pytest.mark.process]


def test_a_few_strikes_are_audited_and_break_no_promise():
    few = ("--kills", "5", "--real", "0", "--disk", "0", "--stops", "2", "--seed", "7")
    done = subprocess.run(
        [sys.executable, "-m", "chaos", *few], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all parts: 0 violations" in done.stdout
