"""`push: true`: what is integrated goes to the remote, forward only; what the remote says never undoes it (R10, P27)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.config.load import load
from harness.engine.integrator import Integrator
from harness.engine.mover import IntegratorTools
from harness.git.merge import GitMerger
from harness.model.journal import Integration
from harness.ops.snapshot import take
from harness.ops.why import why
from tests.engine.test_integration import repository
from tests.kit.engine import Engine, engine
from tests.kit.remote import remote_of

pytestmark = pytest.mark.process
"""Gates of these tests write outside of their own folders."""


def pushing(folder: Path, gate: str = "true", **more: Any) -> list[dict[str, Any]]:
    return repository(folder, gate=gate, push=True, **more)


async def rows(loop: Engine) -> Sequence[Integration]:
    return await loop.parts.books(lambda s: s.integrations())


def told(loop: Engine, kind: str) -> list[str]:
    return [str(entry.data.get("reason")) for entry in loop.heard.entries if entry.kind == kind]


class Tomorrow:
    """A clock that is a day ahead and does not wait: whatever was put off is due."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 1e9

    async def sleep(self, seconds: float) -> None:
        del seconds


def another(loop: Engine) -> Integrator:
    """The integrator of a next loop, or of a command, on the same books."""
    parts = loop.parts
    merger = GitMerger(parts.home.benches, under=parts.home.state)
    return Integrator(
        IntegratorTools(parts.books, Tomorrow(), parts.state, parts.home, merger, parts.readers.prover, parts.planner)
    )


async def done(loop: Engine, *names: str) -> None:
    for name in names:
        await loop.add(name)
    await loop.run(drain=True)
    assert await loop.outcomes(*names) == ["verified"] * len(names)


async def test_each_item_is_one_push(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=pushing(tmp_path)) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one", "two")
        assert there.main == loop.git("rev-parse", "main")
        assert len(there.taken) == 2
        assert [(row.push, row.push_reason) for row in await rows(loop)] == [("pushed", "origin")] * 2
        assert "pushed to origin" in why(loop.parts.home, "one", {}).facts.next


async def test_nothing_is_pushed_unless_the_repository_says_so(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true")) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        await another(loop).tick()
        assert there.taken == []
        assert (await rows(loop))[0].push == "none"


async def test_what_somebody_else_pushed_is_fetched_merged_proved_and_kept(tmp_path: Path) -> None:
    gate = f"ls >> {tmp_path}/proofs; echo -- >> {tmp_path}/proofs"
    async with engine(tmp_path, repositories=pushing(tmp_path, gate)) as loop:
        there = remote_of(loop.repository)
        theirs = there.theirs(theirs__txt="theirs\n")
        await done(loop, "one")
        assert there.main == loop.git("rev-parse", "main")
        assert loop.git("show", "main:theirs.txt") == "theirs"
        assert loop.git("show", "main:one.txt") == "one"
        assert there.git("merge-base", theirs, "main") == theirs
        proofs = (tmp_path / "proofs").read_text().split("--\n")
        assert {"one.txt", "theirs.txt"} <= set(proofs[1].split()), "the gates ran on what was pushed"
        assert [(row.kind, row.state) for row in await rows(loop)] == [("work", "applied"), ("sync", "applied")]
        assert len(there.taken) == 2
        assert (loop.repository / "theirs.txt").exists(), "the checkout went along"


async def test_red_together_with_the_remote_stays_here_and_says_so(tmp_path: Path) -> None:
    gate = "! { test -f one.txt && test -f theirs.txt; }"
    async with engine(tmp_path, repositories=pushing(tmp_path, gate)) as loop:
        there = remote_of(loop.repository)
        theirs = there.theirs(theirs__txt="theirs\n")
        await done(loop, "one")
        assert there.main == theirs
        assert loop.git("show", "main:one.txt") == "one"
        (said,) = told(loop, "integration.unpushed")
        assert "merged with what the remote has" in said


async def test_a_conflict_with_the_remote_is_a_persons_and_then_it_is_pushed_by_itself(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=pushing(tmp_path)) as loop:
        there = remote_of(loop.repository)
        there.theirs(one__txt="theirs\n")
        await done(loop, "one")
        (said,) = told(loop, "integration.unpushed")
        assert "one.txt" in said
        assert "pull --no-rebase" in said
        loop.git("fetch", "-q", "origin")
        loop.git("merge", "-q", "-X", "ours", "-m", "both", "origin/main")
        await another(loop).tick()
        assert there.main == loop.git("rev-parse", "main")
        assert (await rows(loop))[0].push == "pushed"


async def test_a_remote_that_is_away_holds_nothing_up_and_gets_everything_later(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=pushing(tmp_path)) as loop:
        there = remote_of(loop.repository)
        away = there.path.rename(tmp_path / "away.git")
        await done(loop, "one", "two")
        for _ in range(2):
            await another(loop).tick()
        assert len(told(loop, "integration.unpushed")) == 2, "said once an item, however often it is tried"
        now = take(loop.parts.home, loop.now)
        assert now.unpushed == 2
        assert any(reason.startswith("unpushed 2 on main of app") for reason in now.reasons)
        assert "not pushed yet" in why(loop.parts.home, "one", {}).facts.next
        away.rename(there.path)
        await another(loop).tick()
        assert there.main == loop.git("rev-parse", "main")
        assert take(loop.parts.home, loop.now).unpushed == 0


async def test_what_failed_waits_before_it_is_tried_again(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=pushing(tmp_path)) as loop:
        there = remote_of(loop.repository)
        there.hook("pre-receive", f"echo asked >> {tmp_path}/asked; exit 1")
        await done(loop, "one")
        await loop.parts.integrator.tick()
        assert (tmp_path / "asked").read_text().split() == ["asked"]


async def test_a_branch_that_is_always_faster_is_left_alone_after_five_rejections(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=pushing(tmp_path, f"sh {tmp_path}/faster.sh")) as loop:
        there = remote_of(loop.repository)
        there.theirs(first__txt="x")
        clone = there.path.parent / "somebody-0"
        push = f"cd {clone} && date +%N > f && git add f && git -c user.name=o -c user.email=o@o commit -qm f && git push -q"
        (tmp_path / "faster.sh").write_text(f"unset GIT_DIR; export HOME={tmp_path}; {push}\n")
        await done(loop, "one")
        assert len(told(loop, "integration.rejected")) == 5
        (said,) = told(loop, "integration.unpushed")
        assert "rejected 5 times" in said
        assert loop.git("show", "main:one.txt") == "one"
        (tmp_path / "faster.sh").write_text("true\n")
        await another(loop).tick()
        assert there.main == loop.git("rev-parse", "main")


async def test_a_push_that_arrived_before_a_crash_is_not_made_twice(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=pushing(tmp_path)) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        (row,) = await rows(loop)
        await loop.parts.books(lambda s: s.publish([row.id], "wanted", "", loop.now))
        await another(loop).tick()
        assert len(there.taken) == 1
        assert (await rows(loop))[0].push == "pushed"


async def test_applied_by_hand_is_pushed_too_and_says_if_not(tmp_path: Path) -> None:
    settings = [{"name": "app", "path": str(tmp_path / "app"), "branch": "main", "gates": [], "push": True}]
    async with engine(tmp_path, repositories=settings) as loop:
        there = remote_of(loop.repository)
        for name in ("one", "two"):
            await loop.add(name)
        await loop.run(drain=True)
        assert there.taken == []
        assert (await another(loop).apply("one")).unpushed == ""
        assert there.main == loop.git("rev-parse", "main")
        there.path.rename(tmp_path / "away.git")
        assert "does not" in (await another(loop).apply("two")).unpushed


async def test_switched_off_afterwards_it_is_not_pushed(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, gate="true")) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        (row,) = await rows(loop)
        await loop.parts.books(lambda s: s.publish([row.id], "wanted", "", loop.now))
        await another(loop).tick()
        assert (there.taken, (await rows(loop))[0].push) == ([], "none")


CHECK = """\
python3 -c '
import json, os, sys
told = json.load(sys.stdin)
assert told["schema"] == "loop.push/1" and told["repo"] == "app" and told["branch"] == "main", told
json.dump({"step": "lint", "reason": "told " + " ".join(told["items"]), "mend": "run the linter"}, open(os.environ["HARNESS_REPORT"], "w"))
'
test ! -f bad.txt
"""


def asking(folder: Path, *checks: dict[str, Any]) -> list[dict[str, Any]]:
    return pushing(folder, before_push=list(checks))


def report(loop: Engine) -> dict[str, Any]:
    (path,) = (loop.parts.home.pushes / "app").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


async def test_what_is_asked_before_a_push_is_told_what_it_is_and_may_pass_it(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=asking(tmp_path, {"name": "ci", "run": CHECK})) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        assert there.main == loop.git("rev-parse", "main")
        kept = report(loop)
        assert (kept["verdict"], kept["items"], kept["commit"]) == ("passed", ["one"], there.main)
        assert [line.partition(" ")[2] for line in kept["commits"]] == ["add one.txt"]


async def test_a_refusal_stops_the_push_says_why_and_what_is_integrated_stands(tmp_path: Path) -> None:
    never = {"name": "never", "run": f"touch {tmp_path}/asked"}
    async with engine(tmp_path, repositories=asking(tmp_path, {"name": "ci", "run": CHECK}, never)) as loop:
        there = remote_of(loop.repository)
        await done(loop, "bad")
        assert there.taken == []
        assert loop.git("show", "main:bad.txt") == "bad"
        (row,) = await rows(loop)
        assert row.push == "wanted"
        assert "before_push: ci refused at lint: told bad; run the linter" in row.push_reason
        assert any("refused at lint" in line for line in take(loop.parts.home, loop.now).reasons)
        assert "refused at lint" in why(loop.parts.home, "bad", {}).facts.next
        kept = report(loop)
        assert (kept["verdict"], [check["name"] for check in kept["checks"]]) == ("refused", ["ci"])
        assert kept["checks"][0]["report"]["step"] == "lint"
        assert not (tmp_path / "asked").exists(), "the first refusal is the last word"


async def test_what_was_refused_is_asked_about_again_and_pushed_once_it_passes(tmp_path: Path) -> None:
    run = f"test -e {tmp_path}/fine || {{ echo not yet; exit 1; }}"
    async with engine(tmp_path, repositories=asking(tmp_path, {"name": "ci", "run": run, "mend": "wait"})) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        assert "ci refused: not yet; wait" in (await rows(loop))[0].push_reason
        (tmp_path / "fine").touch()
        await Integrator(replace(loop.parts.aftermath.tools, clock=Tomorrow())).tick()
        assert (there.main, (await rows(loop))[0].push) == (loop.git("rev-parse", "main"), "pushed")


class Hours:
    """A clock that is moved on by hand and does not wait."""

    def __init__(self) -> None:
        self.seconds = 1e6

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        del seconds


def times(file: Path) -> int:
    return len(file.read_text().split())


async def test_a_commit_that_passed_is_not_asked_about_again_while_its_remote_is_away(tmp_path: Path) -> None:
    run = f"echo asked >> {tmp_path}/asked"
    async with engine(tmp_path, repositories=asking(tmp_path, {"name": "ci", "run": run})) as loop:
        there = remote_of(loop.repository)
        there.path.rename(tmp_path / "away.git")
        await done(loop, "one")
        clock, before = Hours(), times(tmp_path / "asked")
        next_loop = Integrator(replace(loop.parts.aftermath.tools, clock=clock))
        for _ in range(3):
            await next_loop.tick()
            clock.seconds += 86400
        assert times(tmp_path / "asked") == before + 1, "each loop asks once"
        (tmp_path / "away.git").rename(there.path)
        await next_loop.tick()
        assert (there.main, times(tmp_path / "asked")) == (loop.git("rev-parse", "main"), before + 1)


async def test_a_refusal_holds_for_half_an_hour_or_until_something_else_is_asked(tmp_path: Path) -> None:
    run = f"echo asked >> {tmp_path}/asked; exit 1"
    async with engine(tmp_path, repositories=asking(tmp_path, {"name": "ci", "run": run})) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        clock = Hours()
        next_loop = Integrator(replace(loop.parts.aftermath.tools, clock=clock))
        seen = []
        for seconds in (0, 600, 600, 3600):
            clock.seconds += seconds
            await next_loop.tick()
            seen.append(times(tmp_path / "asked"))
        assert seen == [2, 2, 2, 3]
        home = loop.parts.home
        home.config.write_text(home.config.read_text().replace("exit 1", "exit 0"))
        loop.parts.planner.loaded = load(home.root, {})
        clock.seconds += 1500
        await next_loop.tick()
        assert there.main == loop.git("rev-parse", "main")


@pytest.mark.parametrize(
    ("run", "word"),
    [
        ("no-such-program", "ci broken"),
        ("sleep 60", "ci refused: not finished after"),
        ('ln -s /etc/passwd "$HARNESS_REPORT"; exit 1', "ci refused: exit 1"),
        ("head -c 3 /dev/urandom > $HARNESS_REPORT; exit 1", "ci refused: exit 1"),
    ],
    ids=["missing", "late", "link", "nonsense"],
)
async def test_a_check_that_says_nothing_of_use_lets_nothing_pass(tmp_path: Path, run: str, word: str) -> None:
    check = {"name": "ci", "run": run, "timeout_seconds": 1}
    async with engine(tmp_path, repositories=asking(tmp_path, check)) as loop:
        there = remote_of(loop.repository)
        await done(loop, "one")
        assert (there.taken, word in (await rows(loop))[0].push_reason) == ([], True), await rows(loop)
        assert "root:" not in json.dumps(report(loop))
