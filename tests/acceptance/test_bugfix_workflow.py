"""P16: a bug is fixed with a test that shows it, proved by the whole suite, reviewed, with evidence that is verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.bugfix import Fix, tree, workshop
from tests.kit.loop import git

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.night]

OLD = {
    "shout/__init__.py": "def shout(text):\n    return text.upper() + '!'\n",
    "tests/test_shout.py": "from shout import shout\n\n\ndef test_loud():\n    assert shout('a') == 'A!'\n",
}
MENDED = {"shout/__init__.py": "def shout(text):\n    return text.upper().rstrip('!') + '!'\n"}
SHOWN = {
    "tests/test_twice.py": "from shout import shout\n\n\ndef test_once_is_enough():\n    assert shout('a!') == 'A!'\n"
}
SHOWS_NOTHING = {"tests/test_more.py": "from shout import shout\n\n\ndef test_b():\n    assert shout('b') == 'B!'\n"}
OBJECT = "verdict: findings\n\n## Findings\n\n- major shout/__init__.py:2: '!!' alone is lost\n"
BREAKS = {"shout/__init__.py": "def shout(text):\n    return 'A!'\n"}


def test_only_a_fix_that_its_own_test_shows_is_integrated(tmp_path: Path) -> None:
    old = tree(tmp_path / "old", OLD)
    fixes = [
        Fix("without-a-test", tree(tmp_path / "1", OLD, MENDED), 1),
        Fix("a-test-that-shows-nothing", tree(tmp_path / "2", OLD, MENDED, SHOWS_NOTHING), 2),
        Fix("a-test-without-the-fix", tree(tmp_path / "3", OLD, SHOWN), 3),
        Fix("breaks-the-suite", tree(tmp_path / "4", OLD, BREAKS, SHOWN, SHOWS_NOTHING), 4),
        Fix("objected-to", tree(tmp_path / "5", OLD, MENDED, SHOWN), 5, review=OBJECT),
        Fix("right", tree(tmp_path / "6", OLD, MENDED, SHOWN), 6),
    ]
    reasons = {
        "without-a-test": "no test was added or changed",
        "a-test-that-shows-nothing": "the changed tests pass without the fix too",
        "a-test-without-the-fix": "gate suite: failed",
        "breaks-the-suite": "gate suite: failed",
    }
    with workshop(tmp_path / "shop", old, fixes) as shop:
        place = shop.place
        status, said = place.run("run", "--drain", seconds=120)
        assert status == 1, said  # four of six failed, and a person is asked about one
        for name, reason in reasons.items():
            assert shop.attempt(name).ending == "gate_failed"
            assert reason in place.run("why", name)[1]
        objected = place.item("objected-to")
        assert (objected.state, objected.attempts) == ("waiting", 0)
        assert [row.role.value for row in place.sessions("objected-to")] == ["work", "review", "work", "review"]
        assert "'!!' alone is lost" in place.run("why", "objected-to")[1]
        assert all(row.role.value == "work" for name in reasons for row in place.sessions(name))
        assert place.item("right").outcome == "verified"
        assert shop.runs("right", "review") == [("seal", True)]
        assert shop.runs("right", "regression") == [("head", True), ("base + tests", False)]
        assert shop.runs("right", "suite") == [("head", True)]
        app = tmp_path / "shop/repository"
        assert git(app, "log", "--format=%s", "main").splitlines() == ["Fix right", "The older version"]
        message = git(app, "log", "-1", "--format=%B", "main")
        assert "Harness-Item: right" in message
        assert f"Harness-Session: {place.sessions('right')[0].id}" in message
        proved, told = place.run("evidence", "right")
        assert proved == 0, told
        assert (app / "tests/test_twice.py").read_text() == SHOWN["tests/test_twice.py"]
