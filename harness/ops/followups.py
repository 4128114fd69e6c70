"""What is outstanding after integrations, in lines for `status`, `why` and `merge status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.journal import Followup
from harness.store.reader import StoreReader


def outstanding(store: StoreReader) -> Iterator[str]:
    """A line each: the newest of steps that wait for the same, and the last build where it failed."""
    for step in latest(store.followups()):
        yield step.sentence
    yield from (f"{build.sentence}; what was built before stays in use" for build in failed_builds(store))


def unfinished(steps: Sequence[Followup]) -> Iterator[str]:
    """A line for each step of one item that is not done."""
    return (step.sentence for step in latest(steps) if step.state in ("wanted", "failed"))


def latest(steps: Sequence[Followup]) -> Sequence[Followup]:
    """Of steps that are the same but for their commit the newest; every review is one of its own."""
    found: dict[tuple[str, ...], Followup] = {}
    for step in steps:
        alone = step.merged if step.step == "review" else ""
        found[step.step, step.repo, step.branch, step.target, alone] = step
    return list(found.values())


def failed_builds(store: StoreReader) -> Iterator[Followup]:
    """The last build of each repository, if it failed."""
    return (build for build in store.last_builds() if build.state == "failed")
