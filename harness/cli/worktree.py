"""`./loop worktree …`: workspaces."""

from __future__ import annotations

import click

from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.ops.answers import Change, Rows


@command(examples=("./loop worktree list", "./loop worktree list --json --jq '.rows[] | select(.problem != \"\")'"))
def list_(call: Invocation) -> Rows:
    """All workspaces, and what is wrong with broken ones. Exit 1 if one is broken."""
    from harness.ops import worktrees  # noqa: PLC0415  # git costs other commands nothing

    return worktrees.list_(call.home, call.now())


@command(examples=("./loop worktree repair", "./loop worktree repair wrk_1a2b3c4d --dry-run"))
@click.argument("items", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say what is broken and what would be done.")
def repair(call: Invocation, items: tuple[str, ...], dry_run: bool) -> Change:
    """Mend broken workspaces: what is left is saved under a ref, then only what is broken is made anew.

    All of them, or those of ITEMS. One that a running session works in is left alone.
    """
    from harness.ops import worktrees  # noqa: PLC0415

    return worktrees.repair(call.home, items, dry_run=dry_run)


@command(examples=("./loop worktree prune --dry-run", "./loop worktree prune", "./loop worktree prune wrk_1a2b3c4d"))
@click.argument("items", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
def prune(call: Invocation, items: tuple[str, ...], dry_run: bool) -> Change:
    """Remove workspaces that nobody needs: of finished items, or of ITEMS whatever their state; each is saved first."""
    from harness.ops import worktrees  # noqa: PLC0415

    return worktrees.prune(call.home, call.now(), call.environ, items, dry_run=dry_run)
