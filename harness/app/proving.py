"""Proof: the gates of an item, in benches of our own, with nothing of the model's in their environment."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from harness.app.environments import Environments
from harness.config.gates import AnyGate
from harness.config.load import Loaded
from harness.config.schema import RepositorySection
from harness.engine.plan import Judgement, Proof
from harness.gates.judge import Places, judge_all
from harness.gates.slots import Resources, Slots
from harness.git.change import GitChange, fork, leftovers
from harness.git.workspace_outfit import include
from harness.model.errors import ConfigError
from harness.model.home import Home
from harness.ports import Change, Gate, GateCase, Merger, Runner
from harness.registry import find

RED_BY_NATURE = "fix-bug"


@dataclass(slots=True)
class GateProver:
    """Implements engine.plan.Prover."""

    loaded: Loaded
    environments: Environments
    merger: Merger
    home: Home
    resources: Resources = field(default_factory=Resources)

    async def prove(self, proof: Proof) -> Judgement:
        section = self.loaded.config.repository(proof.plan.repo.name)
        stage = Stage(proof, self.environments, self.merger, f"gates-{secrets.token_hex(6)}")
        try:
            judged = await judge_all(
                _gates(section, proof, self.environments.runner),
                await stage.places(),
                base_is_red=proof.compares and self.loaded.config.kind(proof.item.kind).template == RED_BY_NATURE,
                slots=Slots(self.resources, section.parallel_gates if section else 1),
            )
        finally:
            self.environments.tidy(stage.room)
        return Judgement(judged.verdicts, judged.ending, judged.evidence, judged.question, judged.proved)


@dataclass(frozen=True, slots=True)
class Stage:
    """The cases of one proof. `room` is its temporary folder; every run of a gate has a part of it to itself."""

    proof: Proof
    environments: Environments
    merger: Merger
    room: str

    async def places(self) -> Places:
        """On the head, on the base, and on the work alone where the head is more than that. Raises GitError."""
        proof = self.proof
        if proof.document is not None:
            return Places(lambda gate, word: self._case(gate, word, proof.commit, None))
        change = GitChange(proof.plan.repo, proof.base, proof.commit)
        alone = await self._alone()
        return Places(
            lambda gate, word: self._case(gate, word, proof.commit, change),
            lambda gate, word: self._case(gate, word, proof.base, None, on="base"),
            (lambda gate, word: self._case(gate, word, alone.head, alone, on="work alone")) if alone else None,
        )

    async def _alone(self) -> Change | None:
        proof = self.proof
        if proof.seal is None or proof.seal == proof.commit:
            return None
        repo = proof.plan.repo
        return GitChange(repo, await fork(repo, proof.base, proof.seal), proof.seal)

    @asynccontextmanager
    async def _case(
        self, gate: Gate, word: str, commit: str, change: Change | None, *, on: str = "head"
    ) -> AsyncIterator[GateCase]:
        """One run: its own HOME, TMPDIR and log, and a clean checkout if the gate looks at files of one."""
        name = f"{gate.name}.{word}" if word else gate.name
        place = f"{self.room}/{name}"
        case = GateCase(
            item=self.proof.item,
            folder=self.environments.room(place),
            commit=commit,
            environment=self.environments.gate(place, self.proof.plan.outfit),
            log=self.proof.folder / "gates" / f"{name}.log",
            scratch=self.environments.room(place) / "init",
            document=self.proof.document,
            on=on,
            change=change,
            opener=lambda other, why: self._checkout(gate, "-".join(part for part in (word, why) if part), other, on),
        )
        if not gate.terms.checkout:
            yield case
            return
        async with self._bench(commit) as folder:
            yield replace(case, folder=folder, leftovers=lambda: self._left(folder, commit))

    @asynccontextmanager
    async def _checkout(self, gate: Gate, word: str, commit: str, on: str) -> AsyncIterator[GateCase]:
        async with (
            self._case(gate, word, commit, None, on=on) as case,
            self._bench(commit) as folder,
        ):
            yield replace(case, folder=folder)

    async def _left(self, folder: Path, commit: str) -> Sequence[str]:
        """What a run left, besides what it was given."""
        plan = self.proof.plan
        return [name for name in await leftovers(plan.repo, folder, commit) if name not in plan.outfit.include]

    @asynccontextmanager
    async def _bench(self, commit: str) -> AsyncIterator[Path]:
        """A clean checkout, with the files of `include` that the commit does not have. Raises Refused."""
        plan = self.proof.plan
        async with self.merger.bench(plan.repo, commit) as folder:
            await include(plan.repo, folder, commit, plan.outfit.include)
            yield folder


def _gates(section: RepositorySection | None, proof: Proof, runner: Runner) -> list[Gate]:
    known = section.every_gate if section else ()
    made = [make_gate(gate, runner) for gate in known if gate.name in proof.plan.gates]
    return [gate for gate in made if proof.compares or not gate.terms.compares]


def make_gate(section: AnyGate, runner: Runner) -> Gate:
    """One gate from its block of the configuration. Raises ConfigError for a type or an option nobody knows."""
    kind = find("gates", section.type)
    try:
        made: Gate = kind(section.name, runner, kinds=section.kinds, **section.options)
    except (TypeError, ValueError, ValidationError) as exc:
        raise ConfigError(f"gate {section.name}: {exc}", hint="./loop config schema") from exc
    retry = getattr(section, "retry", 0)
    made.terms = replace(made.terms, resources=tuple(section.resources), retry=retry)
    return made
