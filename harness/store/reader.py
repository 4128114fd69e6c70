"""What the store answers. A command that only looks needs this and nothing of how the store is changed (A11)."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Any

from harness.model.journal import AttemptRow, Entry, Followup, Integration, PastEnd, Pause
from harness.model.schedule import Firing, Standing
from harness.model.session import SessionRow
from harness.model.work import UNFINISHED, WorkItem, WorkState
from harness.store import rows
from harness.store.database import Database, known

_S = WorkState
_QUEUED = (_S.READY, _S.DELAYED, _S.BLOCKED, _S.WAITING)
_FINISHED = frozenset({_S.DONE, _S.PARKED, _S.CANCELLED})
_UNSETTLED = frozenset({"intended", "held"})
_START = {"fresh": -1, "rank_at": 0, "seq": 0}


class StoreReader(Database):
    """The questions of `harness.ports.Store`; the classes of its changes stand on this one."""

    # --- items --------------------------------------------------------------------------------------------------------

    def item(self, item: str) -> WorkItem | None:
        row = self.one("item_get", id=item)
        return None if row is None else rows.item(row)

    def items(
        self, *, states: Sequence[WorkState] = (), limit: int = 50, after: str | None = None
    ) -> Sequence[WorkItem]:
        """In the order of the queue: leased, resumed, then by rank; finished ones last, newest first.

        `after` is the id of the last item of the page before. Raises NotFound if there is none such.
        """
        wanted = frozenset(states) or frozenset(WorkState)
        with self.snapshot():
            last = None if after is None else known(self.one("item_get", id=after), "item", after)
            found = chain(self._leased(wanted, last, limit), self._queued(wanted, last, limit))
            found = chain(found, self._finished(wanted, last, limit))
            return [rows.item(row) for row in islice(found, limit)]

    def _leased(self, wanted: frozenset[WorkState], last: Any, limit: int) -> Iterator[Any]:
        if _S.LEASED not in wanted or (last is not None and last["state"] != "leased"):
            return iter(())
        return self.stream("items_in_state", state="leased", limit=limit, **_position(last))

    def _queued(self, wanted: frozenset[WorkState], last: Any, limit: int) -> Iterator[Any]:
        if last is not None and WorkState(last["state"]) in _FINISHED:
            return iter(())
        position = _START if last is None or last["state"] == "leased" else _position(last)
        states = [state.value for state in _QUEUED if state in wanted]
        streams = [self.stream("items_in_state", state=state, limit=limit, **position) for state in states]
        return heapq.merge(*streams, key=lambda row: (row["fresh"], row["rank_at"], row["seq"]))

    def _finished(self, wanted: frozenset[WorkState], last: Any, limit: int) -> Iterator[Any]:
        states = [state.value for state in wanted & _FINISHED]
        if not states:
            return iter(())
        newest = last is None or WorkState(last["state"]) in UNFINISHED
        position = {"updated_at": 1 << 62, "seq": 0} if newest else {k: last[k] for k in ("updated_at", "seq")}
        if states == [_S.PARKED.value]:
            return self.stream("items_parked", limit=limit, **position)
        return self.stream("items_finished", states=rows.names(states), limit=limit, **position)

    def resources(self) -> Mapping[str, str]:
        """Which item has which resource now, by name."""
        return {row["name"]: row["item"] for row in self.all("resources_out")}

    def held_up(self, limit: int) -> Sequence[tuple[str, str, str]]:
        """Blocked items with the failed one that each waits for, and its state."""
        return [(row["item"], row["needs"], row["state"]) for row in self.all("deps_held_up", limit=limit)]

    def counts(self) -> Mapping[WorkState, int]:
        """Every state has a number."""
        found = {row["state"]: row["number"] for row in self.all("items_counted")}
        return {state: found.get(state.value, 0) for state in WorkState}

    # --- attempts and sessions ----------------------------------------------------------------------------------------

    def attempts(self, item: str) -> Sequence[AttemptRow]:
        """Oldest first."""
        return [rows.attempt(row) for row in self.all("attempts_of", item=item)]

    def streak(self, limit: int) -> Sequence[AttemptRow]:
        """The latest counted attempts since one ended well or the interrupt file went away, newest first."""
        return [rows.attempt(row) for row in self.all("attempts_streak", limit=limit)]

    def recent_ends(self, limit: int, since: datetime | None = None) -> Sequence[PastEnd]:
        """How sessions among the newest `limit` leases ended, oldest first; by the order of settlements."""
        since_ms = rows.ms_or_none(since)
        return [rows.past_end(row) for row in self.all("ends_latest", limit=limit, since=since_ms)]

    def session(self, session: str) -> SessionRow | None:
        row = self.one("session_get", id=session)
        return None if row is None else rows.session(row)

    def sessions(self, *, item: str | None = None, live: bool = False, limit: int = 50) -> Sequence[SessionRow]:
        """Newest first; `live` = without a final status."""
        if live:
            found = self.all("sessions_live", item=item, limit=limit)
        elif item is not None:
            found = self.all("sessions_of_item", item=item, limit=limit)
        else:
            found = self.all("sessions_all", limit=limit)
        return [rows.session(row) for row in found]

    def unscrubbed(self, *, item: str | None = None, after: str = "", limit: int = 50) -> Sequence[SessionRow]:
        """Ended sessions of done items whose transcripts nobody has looked through for secrets, oldest first."""
        if item is None:
            found = self.all("sessions_unscrubbed", after=after, limit=limit)
        else:
            found = self.all("sessions_unscrubbed_of_item", item=item, after=after, limit=limit)
        return [rows.session(row) for row in found]

    # --- pauses and integrations --------------------------------------------------------------------------------------

    def pauses(self) -> Sequence[Pause]:
        """The open ones, oldest first."""
        return [rows.pause(row) for row in self.all("pauses_open")]

    def unpushed(self) -> Sequence[Integration]:
        """Integrated, and not at the remote yet; oldest first."""
        return [rows.integration(row) for row in self.all("integrations_unpushed")]

    def lease_owner(self, item: str) -> str | None:
        """Who has leased an item, None if nobody has."""
        row = self.one("lease_holder", id=item)
        return None if row is None else row["owner"]

    def integrated(self, run: str) -> Sequence[Integration]:
        """Work that came to its branch during a run, oldest first. Raises NotFound for a run nobody knows."""
        known(self.one("run_get", run=run), "run", run)
        return [rows.integration(row) for row in self.all("integrations_of_run", run=run)]

    def integrations(self, *, item: str | None = None, states: Sequence[str] = ()) -> Sequence[Integration]:
        """Oldest first."""
        wanted = rows.names(states) if states else None
        if item is not None:
            found = self.all("integrations_of_item", item=item, states=wanted)
        else:
            is_open = bool(states) and frozenset(states) <= _UNSETTLED
            found = self.all("integrations_open" if is_open else "integrations_all", states=wanted)
        return [rows.integration(row) for row in found]

    def followups(self, *, item: str | None = None) -> Sequence[Followup]:
        """Those that are wanted; with `item` all of that item. Oldest first."""
        found = self.all("followups_wanted") if item is None else self.all("followups_of", item=item)
        return [rows.followup(row) for row in found]

    def builds(self, repo: str, limit: int) -> Sequence[Followup]:
        """Builds of a repository that came to an end, newest first."""
        return [rows.followup(row) for row in self.all("builds_latest", repo=repo, limit=limit)]

    def last_builds(self) -> Sequence[Followup]:
        """The last build of each repository that came to an end."""
        return [rows.followup(row) for row in self.all("builds_last")]

    # --- schedules ----------------------------------------------------------------------------------------------------

    def standings(self) -> Mapping[str, Standing]:
        """How far each schedule has been looked at, by name; also of those that config.yaml names no more."""
        return {row["name"]: rows.standing(row) for row in self.all("schedules_all")}

    def firings(self, schedule: str, limit: int) -> Sequence[Firing]:
        """What became of its slots, newest first."""
        return [rows.firing(row) for row in self.all("firings_of", schedule=schedule, limit=limit)]

    def open_commands(self) -> Sequence[Firing]:
        """Commands of schedules that are wanted or begun, oldest first."""
        return [rows.firing(row) for row in self.all("firings_open")]

    def failed_commands(self) -> Sequence[Firing]:
        """The last run of each schedule's command that came to an end, if it failed."""
        return [rows.firing(row) for row in self.all("firings_failed")]

    # --- journal ------------------------------------------------------------------------------------------------------

    def journal(
        self, *, item: str | None = None, session: str | None = None, after: int = 0, limit: int = 200
    ) -> Sequence[Entry]:
        """Entries after a number, oldest first; of one item or one session."""
        if item is not None:
            found = self.all("journal_of_item", item=item, session=session, after=after, limit=limit)
        elif session is not None:
            found = self.all("journal_of_session", session=session, after=after, limit=limit)
        else:
            found = self.all("journal_all", after=after, limit=limit)
        return [rows.entry(row) for row in found]

    def journal_head(self) -> int:
        """The number of the newest entry: it moves with every change of an item."""
        head = self.one("journal_head")
        return head["seq"] if head else 0

    def mirror_base(self, path: str) -> tuple[str, str] | None:
        """Digest and content of a mirrored file when we last wrote or absorbed it."""
        row = self.one("mirror_get", path=path)
        return None if row is None else (row["sha256"], row["base"])

    def mirror_reach(self) -> tuple[str, int, str] | None:
        """Digest, entry of the journal and last item of a mirror that was full when it was written."""
        row = self.one("reach_get")
        return None if row is None else tuple(json.loads(row["value"]))

    def only_added_behind(self, last: str, head: int) -> bool:
        """Whether nothing happened to items since that entry but that some came behind `last`."""
        row = self.one("reach_holds", last=last, head=head)
        return row is not None and bool(row["holds"])


def _position(last: Any) -> dict[str, int]:
    return _START if last is None else {key: last[key] for key in ("fresh", "rank_at", "seq")}
