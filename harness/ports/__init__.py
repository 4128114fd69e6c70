"""Everything that can be exchanged, by sides. Ignore it unless you write an implementation or a test double.

The engine knows agents, gates, git, the store and the clock only through these; `harness.app` names the classes.
Import them from here: which side a name is on may change.
"""

from __future__ import annotations

from harness.ports.agents import Agent, AgentSession, Containment, Desk, Reply
from harness.ports.gates import Change, ChangedFile, Ended, Gate, GateCase, GateTerms, Runner
from harness.ports.git import (
    Autosave,
    Checkouts,
    Combined,
    Footprint,
    Grounds,
    Merger,
    Move,
    RepositoryRef,
    Seal,
    Try,
    Upkeep,
    Ways,
    Workspace,
    Workspaces,
    WorkspaceState,
)
from harness.ports.prompts import Prompt, Prompts
from harness.ports.store import Added, Books, LeaseRules, Orphan, RepositoryRules, Settlement, Store
from harness.ports.surroundings import (
    Check,
    Clock,
    Finding,
    Gauge,
    Journalist,
    Processes,
    Records,
    Scrubbed,
    Transcripts,
)

__all__ = [
    "Added",
    "Agent",
    "AgentSession",
    "Autosave",
    "Books",
    "Change",
    "ChangedFile",
    "Check",
    "Checkouts",
    "Clock",
    "Combined",
    "Containment",
    "Desk",
    "Ended",
    "Finding",
    "Footprint",
    "Gate",
    "GateCase",
    "GateTerms",
    "Gauge",
    "Grounds",
    "Journalist",
    "LeaseRules",
    "Merger",
    "Move",
    "Orphan",
    "Processes",
    "Prompt",
    "Prompts",
    "Records",
    "Reply",
    "RepositoryRef",
    "RepositoryRules",
    "Runner",
    "Scrubbed",
    "Seal",
    "Settlement",
    "Store",
    "Transcripts",
    "Try",
    "Upkeep",
    "Ways",
    "Workspace",
    "WorkspaceState",
    "Workspaces",
]
