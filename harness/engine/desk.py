"""The Desk: what an agent says to us in words, answered at once and held against the facts (contract 9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import permission
from harness.model.brief import Claim, Question, Refusal
from harness.model.errors import HarnessError
from harness.model.itemform import Form, parse_item
from harness.model.journal import Entry
from harness.model.work import Lease, WorkItem
from harness.ports import Books, Clock, Reply, WorkspaceState

MOST_PROPOSALS = 20
MOST_PROGRESS = 4000


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the kind expects of a session: commit, document or none (contract 2); `fault` says what is wrong with the
    document, "" if nothing is.
    """

    expects: str
    look: Callable[[], Awaitable[WorkspaceState]]
    fault: Callable[[], Awaitable[str]] | None = None


class LoopDesk:
    """One Desk a session. `claim` and `question` are what the agent said and we accepted."""

    def __init__(
        self, lease: Lease, session: str, books: Books, clock: Clock, actor: str, expectation: Expectation
    ) -> None:
        self.claim: Claim | None = None
        self.question: Question | None = None
        self.progress: list[str] = []
        self.refused: Refusal | None = None
        self._lease = lease
        self._session = session
        self._books = books
        self._clock = clock
        self._actor = actor
        self._expectation = expectation
        self._warned = False
        self._proposed = 0
        self._wanted: tuple[str, str] | None = None

    @property
    def expects(self) -> str:
        """commit, document or none."""
        return self._expectation.expects

    def settled(self) -> bool:
        return self.claim is not None or self.question is not None

    async def report_progress(self, text: str) -> Reply:
        self.progress.append(text[:MOST_PROGRESS])
        await self._note("session.progress", text=text[:MOST_PROGRESS])
        return Reply(accepted=True, text="noted")

    async def complete_work(self, status: str, summary: str) -> Reply:
        if status not in ("done", "blocked"):
            return Reply(accepted=False, text=f"status is 'done' or 'blocked', not {status!r}")
        if status == "done":
            self.refused = await self._refusal()
            if self.refused is not None:
                return Reply(accepted=False, text=self.refused.told)
        self.refused = None
        self.claim = Claim(status, summary)
        await self._note("session.claimed", status=status, summary=summary[:MOST_PROGRESS])
        return Reply(accepted=True, text="accepted; end your turn now, the loop takes it from here")

    async def _refusal(self) -> Refusal | None:
        """Work must be committed; a claim without any work is questioned once, then taken as it is."""
        state = await self._expectation.look()
        if self._expectation.expects == "commit" and state.dirty:
            names = ", ".join(state.dirty[:10])
            told = f"{len(state.dirty)} uncommitted path(s): {names}. Commit (or remove) them, then call again."
            return Refusal("uncommitted", f"refused: {told}")
        missing = {
            "commit": None if state.commits else state.problem or "there is no commit on top of the base",
            "document": None if state.document else "there is no result.md at the top of the workspace",
        }.get(self._expectation.expects)
        if not missing and self._expectation.fault is not None:
            missing = await self._expectation.fault()
        if missing and not self._warned:
            self._warned = True
            told = "Do the work and call again; if it cannot be done, call complete_work(blocked) and say why."
            return Refusal("no_change", f"refused: {missing}. {told}")
        return None

    async def request_decision(self, question: str, options: Sequence[str]) -> Reply:
        if self._wanted is not None:
            question, options = permission.question(*self._wanted, question), permission.OPTIONS
        await self._ask(Question(question, tuple(options)))
        return Reply(accepted=True, text="recorded; a person will answer. End your turn now; you go on afterwards.")

    async def ask_permission(self, what: str, reason: str) -> None:
        """A rule asks a person about a call. Of several the first is put: the others are asked about when they come."""
        if self._wanted is None:
            self._wanted = (what, reason)
            words = self.question.question if self.question else ""
            await self._ask(Question(permission.question(what, reason, words), permission.OPTIONS))

    async def _ask(self, question: Question) -> None:
        self.question = question
        await self._note("session.asked", question=question.question, options=list(question.options))

    async def add_work_item(self, item: Mapping[str, Any]) -> Reply:
        if self._proposed >= MOST_PROPOSALS:
            return Reply(accepted=False, text=f"one session may add {MOST_PROPOSALS} items at most")
        try:
            proposal = self._proposal(item)
            added = await self._books(lambda s: s.add([proposal], actor=self._session, now=self._clock.now()))
        except HarnessError as exc:
            return Reply(accepted=False, text=f"refused: {exc.message}. {exc.hint}".strip())
        self._proposed += 1
        return Reply(accepted=added[0].applied, text=f"{added[0].id}: {added[0].detail}")

    def _proposal(self, item: Mapping[str, Any]) -> WorkItem:
        form = Form(source=f"session:{self._session}")
        return parse_item({**item, "rig": item.get("rig") or self._lease.item.repo}, form, self._clock.now())

    async def _note(self, kind: str, **data: Any) -> None:
        entry = Entry(self._clock.now(), kind, self._actor, self._lease.item.id, self._session, data)
        await self._books(lambda s: s.note(entry))
