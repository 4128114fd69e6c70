"""Where the guards and checkups of a real loop have their figures from: its configuration, and this machine."""

from __future__ import annotations

from harness.app.planner import ConfigPlanner
from harness.engine.checkup import CheckupTools
from harness.engine.guards import Sources
from harness.model.budget import Budgets
from harness.model.pressure import Readings, Thresholds
from harness.model.vitals import Rule, Rules
from harness.proc import resources
from harness.proc.gauge import SessionGauge


def sources(planner: ConfigPlanner) -> Sources:
    # asked each time, so that a reload counts
    def budgets() -> Budgets:
        return planner.loaded.config.budgets.budgets()

    def thresholds() -> Thresholds:
        return planner.loaded.config.pressure.thresholds()

    def own_rule() -> Rule:
        return planner.loaded.config.watch.rules()["loop_memory"]

    return Sources(budgets, _readings, thresholds, resources.own_rss, own_rule)


def checkups(planner: ConfigPlanner) -> CheckupTools:
    def rules() -> Rules:
        return planner.loaded.config.watch.rules()

    return CheckupTools(lambda brief: SessionGauge(brief.paths.workspace), rules)


def _readings() -> Readings:
    found, (few, most) = resources.memory(), resources.descriptors()
    total, available = (found.total, found.available) if found is not None else (None, None)
    return Readings(total, available, resources.cpu_stalled(), few, most)
