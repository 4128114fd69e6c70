"""Proof: the gates of an item's kind, in benches of our own, with nothing of the model's in their environment."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.app.environments import Environments
from harness.config.load import Loaded
from harness.engine.plan import Judgement, Proof
from harness.gates.judge import BenchOf, judge_all
from harness.model.errors import ConfigError
from harness.model.home import Home
from harness.ports import Gate, GateCase, Merger, Runner
from harness.registry import find

RED_BY_NATURE = "fix-bug"


@dataclass(slots=True)
class GateProver:
    """Implements engine.plan.Prover."""

    loaded: Loaded
    environments: Environments
    merger: Merger
    home: Home

    async def prove(self, proof: Proof) -> Judgement:
        gates = self._gates(proof)
        room = f"gates-{secrets.token_hex(6)}"
        try:
            async with self.merger.bench(proof.plan.repo, proof.commit) as folder:
                judged = await judge_all(
                    gates,
                    lambda gate: self._case(proof, folder, proof.commit, room, gate.name),
                    None if proof.document else lambda gate: self._elsewhere(proof, proof.base, gate, room, "base"),
                    alone=self._alone(proof, room),
                    base_is_red=self.loaded.config.kind(proof.item.kind).template == RED_BY_NATURE,
                )
        finally:
            self.environments.tidy(room)
        return Judgement(judged.verdicts, judged.ending, judged.evidence)

    def _alone(self, proof: Proof, room: str) -> BenchOf | None:
        seal = proof.seal
        if seal is None or seal == proof.commit:
            return None
        return lambda gate: self._elsewhere(proof, seal, gate, room, "alone")

    @asynccontextmanager
    async def _elsewhere(self, proof: Proof, commit: str, gate: Gate, room: str, where: str) -> AsyncIterator[GateCase]:
        async with self.merger.bench(proof.plan.repo, commit) as folder:
            yield self._case(proof, folder, commit, room, f"{gate.name}.{where}")

    def _case(self, proof: Proof, folder: Path, commit: str, room: str, name: str) -> GateCase:
        """`room` is the temporary folder of one proof, `name` the gate's part of it and of the logs."""
        place = f"{room}/{name}"
        return GateCase(
            item=proof.item,
            folder=folder,
            commit=commit,
            environment=self.environments.gate(place),
            log=proof.folder / "gates" / f"{name}.log",
            scratch=self.environments.room(place) / "init",
            document=proof.document,
        )

    def _gates(self, proof: Proof) -> Sequence[Gate]:
        section = self.loaded.config.repository(proof.plan.repo.name)
        runner, known = self.environments.runner, section.gates if section else ()
        return [make_gate(gate, runner) for gate in known if gate.name in proof.plan.gates]


def make_gate(section: Any, runner: Runner) -> Gate:
    """One gate from its block of the configuration. Raises ConfigError for a type or an option nobody knows."""
    kind = find("gates", section.type)
    if section.type == "command":
        made: Gate = kind(
            section.name, section.run, runner, timeout_seconds=section.timeout_seconds, kinds=section.kinds
        )
        return made
    try:
        other: Gate = kind(section.name, runner, kinds=section.kinds, **section.options)
    except (TypeError, ValueError, ValidationError) as exc:
        raise ConfigError(f"gate {section.name}: {exc}", hint="./loop config schema") from exc
    return other
