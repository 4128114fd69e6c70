"""A commit that takes work back, whatever its history: the way from the branch with it to the branch before it."""

from __future__ import annotations

from harness.git.run import Git
from harness.git.trees import three_way
from harness.model.errors import Conflict, Refused


async def reverted(git: Git, onto: str, base: str, commit: str, item: str) -> str:
    """The commit on `onto` that undoes what led from `base` to `commit`; what came later stays.

    Raises Conflict with the files that later work changed, Refused if nothing of the work is left, GitError.
    """
    step = await three_way(git, commit, onto, base)
    if step.clashes:
        files = ", ".join(step.paths[:10])
        listed = await git.run("log", "--max-count=10", "--format=%h %s", f"{commit}..{onto}", "--", *step.paths)
        raise Conflict(
            f"{item} cannot be taken back: later work changed {files}",
            paths=step.paths,
            hint="take the later work back first, or all of a run: ./loop merge rollback --run RUN",
            cause=listed.text,
        )
    if step.tree == await git.line("rev-parse", f"{onto}^{{tree}}"):
        raise Refused(f"nothing of {item} is left on the branch: there is nothing to take back")
    subject = await git.line("log", "-1", "--format=%s", commit)
    message = f"Revert {item}: {subject}\n\nTakes back {commit}.\n\nHarness-Item: {item}\nHarness-Reverts: {commit}\n"
    return await git.line("commit-tree", step.tree, "-p", onto, feed=message.encode())
