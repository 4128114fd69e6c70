"""Whoever keeps the workspaces, refs and backups of one loop within bounds, made from its configuration."""

from __future__ import annotations

from harness.app.backing import LoopBackups
from harness.app.planner import ConfigPlanner
from harness.engine.backups import Backups
from harness.engine.housekeeper import Housekeeper
from harness.engine.quota import QuotaWatch
from harness.engine.state import LoopState
from harness.engine.supervisor import Component
from harness.git.upkeep import GitUpkeep
from harness.model.home import Home
from harness.model.retention import Quota, Retention
from harness.ports import Books, Clock, RepositoryRef, Workspaces


def make_keepers(
    home: Home, books: Books, clock: Clock, state: LoopState, workspaces: Workspaces, planner: ConfigPlanner
) -> tuple[Component, ...]:
    upkeep = GitUpkeep(home.worktrees)

    # asked each time, so that a reload counts
    def keep() -> Retention:
        return planner.loaded.config.workspaces.retention()

    def limits() -> Quota:
        return planner.loaded.config.workspaces.quota()

    def repositories() -> list[RepositoryRef]:
        loaded = planner.loaded
        known = [RepositoryRef(each.name, loaded.path(each), each.branch) for each in loaded.config.repositories]
        return [repo for repo in known if repo.path.is_dir()]

    return (
        Housekeeper(books, clock, state, workspaces, keep, upkeep, repositories),
        QuotaWatch(books, clock, state, workspaces, upkeep, limits),
        Backups(books, clock, state, LoopBackups(home, clock, lambda: planner.loaded.config.backups)),
    )
