"""Integrations: the intent is on record before any branch moves, so that a crash leaves something to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from harness.model.errors import LeaseLost, Usage
from harness.model.journal import Entry, Integration
from harness.store import rows
from harness.store.database import known
from harness.store.leases import Leases

_FACTS = frozenset({"merged", "reason", "paths"})
_OPEN = frozenset({"intended", "held"})


class Integrations(Leases):
    def intend(self, integration: Integration) -> Integration:
        """Write the intent; the row with its number. Raises LeaseLost if the item has been leased again since."""
        with self.together():
            item = self._item(integration.item)
            if item.fence != integration.fence:
                raise LeaseLost(
                    f"{item.id} was leased again since (lease {item.fence}, not {integration.fence})",
                    hint=f"./loop why {item.id}",
                )
            began = integration.began_at
            if began is None:
                raise Usage("an integration needs its time", hint="give began_at")
            values = {
                name: getattr(integration, name)
                for name in ("item", "fence", "repo", "branch", "base", "seal", "merged", "reason", "kind", "push")
            }
            values |= {"paths": rows.packed(integration.paths), "began_at": rows.ms(began)}
            values["followed_by"] = rows.packed(integration.followed_by)
            number = self.insert("integration_insert", values)
            data = {"integration": number, "repo": integration.repo, "branch": integration.branch}
            data |= {"base": integration.base, "seal": integration.seal}
            self.record(Entry(began, "integration.intended", "loop", item=integration.item, data=data))
            return self._integration(number)

    def resolve(self, integration: int, state: str, now: datetime, **facts: Any) -> Integration:
        """What became of it; facts: merged, reason, paths. Applied: what follows it is wanted from here on.

        Raises NotFound, Usage for another fact.
        """
        if unknown := sorted(facts.keys() - _FACTS):
            raise Usage(f"an integration has no {', '.join(unknown)}", hint=f"it has {', '.join(sorted(_FACTS))}")
        with self.together():
            after = replace(self._integration(integration), **facts)
            values = {"id": integration, "state": state, "merged": after.merged, "reason": after.reason}
            ended = None if state in _OPEN else rows.ms(now)
            self.run("integration_resolve", **values, paths=rows.packed(after.paths), ended_at=ended)
            if state == "applied":
                for step, target in after.followed_by:
                    self.run("followup_insert", integration=integration, step=step, target=target, now=rows.ms(now))
            data = {"integration": integration, "repo": after.repo, "branch": after.branch} | facts
            self.record(Entry(now, f"integration.{state}", "loop", item=after.item, data=data))
            return self._integration(integration)

    def _integration(self, number: int) -> Integration:
        return rows.integration(known(self.one("integration_get", id=number), "integration", str(number)))

    def publish(self, integrations: Sequence[int], push: str, reason: str, now: datetime) -> None:
        """Whether these are at their remote: `push` none, wanted or pushed. What is said already is not said again.

        Raises NotFound.
        """
        with self.together():
            for number in integrations:
                before = self._integration(number)
                if (before.push, before.push_reason) == (push, reason):
                    continue
                self.run("integration_publish", id=number, push=push, reason=reason)
                kind = {"pushed": "integration.pushed", "wanted": "integration.unpushed"}.get(push, "integration.kept")
                data = {"integration": number, "repo": before.repo, "branch": before.branch}
                data |= {"commit": before.merged, "reason": reason}
                self.record(Entry(now, kind, "loop", item=before.item, data=data))
