"""What follows an integration: a review, pulls into long-lived checkouts (P4, P13). On record first, done once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.app.following import ConfigErrands
from harness.model.journal import Followup
from harness.ops.snapshot import take
from harness.ops.why import why
from tests.engine.test_integration import repository
from tests.engine.test_pushing import another
from tests.kit.engine import Engine, engine
from tests.kit.loop import git

pytestmark = pytest.mark.process


def following(folder: Path, **after: Any) -> list[dict[str, Any]]:
    return repository(folder, gate="true", after=after)


async def steps(loop: Engine, item: str = "one") -> Sequence[Followup]:
    return await loop.parts.books(lambda s: s.followups(item=item))


async def integrated(loop: Engine, *names: str) -> None:
    for name in names or ("one",):
        await loop.add(name)
    await loop.run(once=True)
    assert await loop.outcomes(*(names or ("one",))) == ["verified"] * max(1, len(names))


# --- the review -------------------------------------------------------------------------------------------------------


async def test_integrated_work_is_followed_by_one_item_that_reviews_that_commit(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=following(tmp_path, review=True)) as loop:
        await integrated(loop)
        merged = loop.git("rev-parse", "main")
        (step,) = await steps(loop)
        assert (step.step, step.state, step.merged) == ("review", "done", merged)
        review = await loop.item(step.made or "")
        assert (review.kind, review.lane, review.repo) == ("review", "review", "app")
        assert f"{step.base}..{merged}" in review.description
        assert "title of one" in review.description
        assert review.rank_at is not None
        assert (review.rank_at - loop.now).days > 29, "the lane's handicap holds"


async def test_without_a_word_in_the_configuration_nothing_follows(tmp_path: Path) -> None:
    async with engine(tmp_path) as loop:
        await integrated(loop)
        assert await steps(loop) == []


async def test_what_is_not_on_the_branch_is_not_followed_until_it_is(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, after={"review": True})) as loop:
        await loop.add("one")
        await loop.run(once=True)
        assert (await loop.outcomes("one"), await steps(loop)) == (["claimed"], [])
        await loop.parts.integrator.apply("one")
        assert [step.state for step in await steps(loop)] == ["done"]


async def test_a_drained_queue_has_had_its_reviews(tmp_path: Path) -> None:
    script = ({"write": {"path": "result.md", "content": "fine\n"}}, {"complete": "done"})
    async with engine(tmp_path, repositories=following(tmp_path, review=True)) as loop:
        await loop.add("one")
        await loop.run(drain=True, max_iterations=1)
        (step,) = await steps(loop)
        review = step.made or ""
        await loop.parts.books(
            lambda s: s.update(review, {"extra": {"script": list(script)}}, actor="test", now=loop.now)
        )
        await loop.run(drain=True)
        assert await loop.outcomes(review) == ["claimed"]
        assert await steps(loop, review) == [], "a review brings nothing to the branch, so nothing follows it"


async def test_a_review_that_was_cut_off_is_added_once_whoever_comes_next(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=repository(tmp_path, after={"review": True})) as loop:
        await loop.add("one")
        await loop.run(once=True)
        await another(loop).apply("one")  # which can do nothing of what follows, as one that dies right then
        (step,) = await steps(loop)
        assert (step.state, step.reason) == ("wanted", "")
        assert any("review of" in line for line in take(loop.parts.home, loop.now).reasons)
        review = ConfigErrands(loop.parts.planner, loop.parts.clock).review(await loop.item("one"), step)
        await loop.parts.books(lambda s: s.add([review], actor="one that died before it said so", now=loop.now))
        for _ in range(2):
            await loop.parts.integrator.tick()
        assert [(again.state, again.made) for again in await steps(loop)] == [("done", review.id)]
        assert len(await loop.parts.books(lambda s: s.items())) == 2


# --- pulls ------------------------------------------------------------------------------------------------------------


def worktree(folder: Path, name: str = "service") -> Path:
    """A detached worktree at the tip, as services have (P4)."""
    git(folder / "app", "worktree", "add", "-q", "--detach", str(folder / name), "main")
    return folder / name


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")


async def test_long_lived_worktrees_and_clones_go_along(tmp_path: Path) -> None:
    pull = [str(tmp_path / "service"), str(tmp_path / "clone"), "../app"]
    async with engine(tmp_path, repositories=following(tmp_path, pull=pull)) as loop:
        service = worktree(tmp_path)
        git(tmp_path, "clone", "-q", str(loop.repository), str(tmp_path / "clone"))
        await integrated(loop)
        tip = loop.git("rev-parse", "main")
        assert [head(each) for each in (service, tmp_path / "clone")] == [tip, tip]
        assert (service / "one.txt").read_text() == "one\n"
        assert git(tmp_path / "clone", "status", "--porcelain", "--branch").startswith("## main")
        assert [step.state for step in await steps(loop)] == ["done"] * 3


def dirty(folder: Path) -> None:
    (folder / "README.md").write_text("of a person\n")


async def test_a_checkout_that_cannot_go_along_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    pull = [str(tmp_path / "service"), str(tmp_path / "other")]
    async with engine(tmp_path, repositories=following(tmp_path, pull=pull)) as loop:
        service, other = worktree(tmp_path), worktree(tmp_path, "other")
        dirty(service)
        before = head(service)
        await integrated(loop)
        left, gone = await steps(loop)
        assert (left.state, "uncommitted changes: README.md" in left.reason) == ("wanted", True), left.reason
        assert (head(service), (service / "README.md").read_text()) == (before, "of a person\n")
        assert (gone.state, head(other)) == ("done", loop.git("rev-parse", "main")), "the others go along"
        assert any(f"pull into {service}" in line for line in take(loop.parts.home, loop.now).reasons)
        assert f"pull into {service}" in why(loop.parts.home, "one", {}).facts.next
        await loop.parts.integrator.tick()
        assert loop.heard.kinds().count("followup.waits") == 1, "it is said once"


async def test_once_it_is_free_it_goes_along_with_everything_that_came_meanwhile(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=following(tmp_path, pull=[str(tmp_path / "service")])) as loop:
        service = worktree(tmp_path)
        dirty(service)
        await loop.add("one")
        await loop.add("two")
        await loop.run(drain=True)
        git(service, "checkout", "-q", "--", ".")
        await loop.parts.integrator.tick()
        assert head(service) == loop.git("rev-parse", "main")
        assert [step.state for name in ("one", "two") for step in await steps(loop, name)] == ["done", "done"]


async def test_a_folder_that_is_not_there_is_said_and_tried_again(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=following(tmp_path, pull=[str(tmp_path / "service")])) as loop:
        await integrated(loop)
        (step,) = await steps(loop)
        assert (step.state, "does not exist" in step.reason) == ("wanted", True)
        service = worktree(tmp_path)
        git(service, "checkout", "-q", "HEAD~1")
        await loop.parts.integrator.tick()
        assert head(service) == loop.git("rev-parse", "main")


async def test_a_rollback_is_pulled_too_and_not_reviewed(tmp_path: Path) -> None:
    settings = following(tmp_path, review=True, pull=[str(tmp_path / "service")])
    async with engine(tmp_path, repositories=settings) as loop:
        service = worktree(tmp_path)
        await integrated(loop)
        row = (await loop.parts.books(lambda s: s.integrations(item="one")))[-1]
        await loop.parts.integrator.undo([row], "test")
        assert head(service) == loop.git("rev-parse", "main")
        assert not (service / "one.txt").exists()
        assert [step.step for step in await steps(loop)] == ["review", "pull", "pull"]


async def test_work_on_another_branch_is_not_pulled(tmp_path: Path) -> None:
    async with engine(tmp_path, repositories=following(tmp_path, pull=[str(tmp_path / "service")])) as loop:
        loop.git("branch", "next")
        service = worktree(tmp_path)
        await loop.add("one", branch="next")
        await loop.run(once=True)
        assert (await steps(loop), head(service)) == ([], loop.git("rev-parse", "main"))
