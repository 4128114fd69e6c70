"""A loop that is killed anywhere on the way to the remote: one integration, at most one push of it, nothing lost (R10)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.rehearsal.stage import Rehearsal
from tests.kit.loop import Yard, make_home, make_repository, sessions, until
from tests.kit.remote import Remote, remote_of

pytestmark = [pytest.mark.process, pytest.mark.slow]

WORK = [{"write": {"path": "work.txt", "content": "done\n"}}, {"commit": "add work.txt"}, {"complete": "all of it"}]
MOST_STARTS = 4


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Yard]:
    """A yard whose scripted agent works in a repository that is pushed."""
    with Rehearsal(sessions()) as api:
        made = Yard(tmp_path, api)
        open_ = {"agents": {"default": {"type": "scripted"}}, "isolation": {"level": "none"}}
        make_home(made.home.root, make_repository(made.repository), gate=f"sh {tmp_path}/gate.sh", **open_)
        config = made.home.root / "config.yaml"
        settings = yaml.safe_load(config.read_text())
        settings["repositories"][0]["push"] = True
        config.write_text(yaml.safe_dump(settings))
        (tmp_path / "gate.sh").write_text("test -f work.txt\n")
        try:
            yield made
        finally:
            made.clear()


@pytest.fixture
def there(place: Yard) -> Remote:
    return remote_of(place.repository)


def killing(place: Yard, *, when: str = "true") -> str:
    """A shell line that kills the loop, once, and stays alive meanwhile so that nothing goes on behind it."""
    once = place.folder / "killed"
    return f"if {when} && mkdir {once} 2>/dev/null; then kill -9 $(cat {place.home.pid_file}); fi"


def to_the_end(place: Yard) -> int:
    """Start loops until one ends by itself; how many were killed."""
    for killed in range(MOST_STARTS):
        loop = place.start("run", "--drain")
        if (status := loop.ended(60)) != -signal.SIGKILL:
            assert status == 0, loop.output
            return killed
    raise AssertionError("every loop was killed")


def assert_once(place: Yard, there: Remote, *, pushes: int = 1) -> None:
    """On the branch once, at the remote once, with one session, and on record as such."""
    item = place.item("one")
    assert (item.state, item.outcome, item.attempts) == ("done", "verified", 0), item.reason
    assert len(place.sessions("one")) == 1
    assert there.main == place.git("rev-parse", "main")
    assert len(there.taken) == pushes
    with place.store() as store:
        rows = [row for row in store.integrations(item="one") if row.state == "applied"]
    assert [row.push for row in rows if row.kind == "work"] == ["pushed"]
    subjects = there.git("log", "--format=%s", "main").splitlines()
    assert subjects.count("add work.txt") == 1


@pytest.mark.night
def test_killed_while_the_gates_run(place: Yard, there: Remote) -> None:
    (place.folder / "gate.sh").write_text(f"{killing(place)}\ntest -f work.txt\n")
    place.add("one", script=WORK)
    assert to_the_end(place) == 1
    assert_once(place, there)


def test_killed_before_the_remote_took_it(place: Yard, there: Remote) -> None:
    there.hook(
        "pre-receive", f"{killing(place)}; test -d {place.folder}/again || {{ mkdir {place.folder}/again; exit 1; }}"
    )
    place.add("one", script=WORK)
    assert to_the_end(place) == 1
    assert_once(place, there)


def test_killed_after_the_remote_took_it(place: Yard, there: Remote) -> None:
    there.hook("post-receive", f"cat >> {there.path}/taken; {killing(place)}")
    place.add("one", script=WORK)
    assert to_the_end(place) == 1
    assert_once(place, there)


@pytest.mark.night
def test_killed_while_it_is_proved_with_what_the_remote_had(place: Yard, there: Remote) -> None:
    there.theirs(theirs__txt="x")
    (place.folder / "gate.sh").write_text(f"{killing(place, when='test -f theirs.txt')}\ntest -f work.txt\n")
    place.add("one", script=WORK)
    assert to_the_end(place) == 1
    assert_once(place, there, pushes=2)
    assert there.git("show", "main:theirs.txt") == "x"


@pytest.mark.night
@pytest.mark.parametrize("event", ["integration.intended", "integration.applied"])
def test_killed_as_soon_as_the_journal_has_it(place: Yard, there: Remote, event: str) -> None:
    there.hook("pre-receive", "sleep 0.5")
    place.add("one", script=WORK)
    loop = place.start("run", "--drain")
    until(lambda: event in kinds(place) or not loop.running, what=event)
    loop.signal(signal.SIGKILL)
    loop.ended()
    to_the_end(place)
    assert_once(place, there)


def kinds(place: Yard) -> set[str]:
    if not place.home.database.exists():
        return set()
    with place.store() as store:
        return {entry.kind for entry in store.journal(limit=10_000)}


def test_a_remote_that_is_away_holds_no_item_up_and_the_next_loop_pushes(place: Yard, there: Remote) -> None:
    away = there.path.rename(place.folder / "away.git")
    place.add("one", script=WORK)
    assert to_the_end(place) == 0
    assert place.ask("status")["unpushed"] == 1
    assert "not pushed yet" in place.ask("why", "one")["next"]
    away.rename(there.path)
    place.add("two", script=[{"write": {"path": "two.txt", "content": "2\n"}}, *WORK[1:]])
    assert to_the_end(place) == 0
    assert there.main == place.git("rev-parse", "main")
    assert place.ask("status")["unpushed"] == 0


def test_the_switch_of_the_environment_turns_pushing_off(place: Yard, there: Remote) -> None:
    place.add("one", script=WORK)
    status, said = place.run("run", "--drain", PIPELINE_AUTO_PUSH="0")
    assert status == 0, said
    assert place.git("show", "main:work.txt") == "done"
    assert there.taken == []
    found: dict[str, Any] = place.ask("status")
    assert found["unpushed"] == 0
