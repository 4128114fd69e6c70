"""`./loop merge …`: proved work on its way to its branch, and back."""

from __future__ import annotations

from collections.abc import Sequence

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.model.errors import Usage
from harness.ops.answers import Change, Rows


@command(examples=("./loop merge status", "./loop merge status --json --jq '.rows[] | select(.what == \"conflict\")'"))
def status(call: Invocation) -> Rows:
    """What waits for its branch or its remote, and what would conflict with what."""
    from harness.ops import merge  # noqa: PLC0415  # git and the configuration cost other commands nothing

    return merge.status(call.home, call.environ, call.now())


@command(examples=("./loop merge apply wrk_1a2b3c4d",))
@click.argument("item")
def apply(call: Invocation, item: str) -> Change:
    """Bring kept work (claimed, or verified and held up) to its branch."""
    from harness.app import merging  # noqa: PLC0415

    done = merging.apply(call.home, item, call.actor, call.environ)
    lines = [f"{done.repo}: {done.branch} is now at {done.commit}", *_left(done.unpushed, done.outstanding)]
    return Change(done.item, applied=True, detail="\n".join(lines))


def _left(unpushed: str, outstanding: Sequence[str]) -> Sequence[str]:
    """What is not done yet, a line each."""
    return [*([f"not pushed yet: {unpushed}"] if unpushed else []), *outstanding]


@command(examples=("./loop merge abort wrk_1a2b3c4d",))
@click.argument("item")
def abort(call: Invocation, item: str) -> Change:
    """Give up an integration that waits; the work stays under a ref."""
    from harness.ops import merge  # noqa: PLC0415

    return merge.abort(call.home, item, call.actor, call.now())


@command(
    examples=(
        "./loop merge rollback wrk_1a2b3c4d",
        "./loop merge rollback --run 1a2b3c4d --dry-run",
        "./loop merge rollback wrk_1a2b3c4d --red-already",
    )
)
@click.argument("item", required=False)
@click.option("--run", metavar="RUN", help="Everything that was integrated during this run of the loop.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and whether it conflicts; run no gates.")
@click.option("--red-already", is_flag=True, help="Also if gates stay red that are red on the branch as it is.")
def rollback(call: Invocation, item: str | None, run: str | None, dry_run: bool, red_already: bool) -> Change:
    """Take integrated work back: commits that undo it, newest first, proved once, then one move forward."""
    if (item is None) is (run is None):
        raise Usage("what is to be taken back?", hint="./loop merge rollback ITEM, or --run RUN (one of them)")
    from harness.app import merging  # noqa: PLC0415

    how = {"dry_run": dry_run, "red_already": red_already}
    done = merging.rollback(call.home, call.environ, call.actor, item=item, run=run, **how)
    word = "would be taken back" if dry_run else "taken back"
    lines = [f"{word} on {each.branch} of {each.repo}: {', '.join(each.items)} ({each.commit})" for each in done]
    lines += [f"{each.branch} of {each.repo} was red, and is red still ({each.red})" for each in done if each.red]
    lines += [line for each in done for line in _left(each.unpushed, each.outstanding)]
    lines += ["nothing was moved; the gates run on the result first"] if dry_run else []
    return Change(item or run or "", applied=not dry_run, dry_run=dry_run, detail="\n".join(lines))
