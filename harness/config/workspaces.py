"""Sections of config.yaml about workspaces: what each gets besides its commit, how many, and how long they stay."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from harness.config.fields import VARIABLE, Count, Many, Section, Text
from harness.model.outfit import Outfit
from harness.model.retention import Quota, Retention

_OURS = ("HARNESS_", "ANTHROPIC_", "CLAUDE_", "GIT_")
_BUILT = frozenset({"HOME", "TMPDIR", "PATH"})


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if path.startswith(("/", "~")) or not parts or {"..", ".git"} & set(parts) or str(PurePosixPath(path)) != path:
        raise ValueError("a file inside the repository, as in .env.test or config/test.env; no .. and no .git")
    return path


def _free(name: str) -> str:
    if name.startswith(_OURS) or name in _BUILT:
        raise ValueError(f"{name} is set by the loop itself")
    return name


IncludedPath = Annotated[str, AfterValidator(_inside)]
CacheName = Annotated[str, Field(pattern=VARIABLE), AfterValidator(_free)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class OutfitKeys(Section):
    """What workspaces of a repository have besides their commit."""

    setup_inputs: Many[Text] = ()
    """Globs of files that `setup` depends on: it runs again only when one of them, or `setup`, has changed. None = it
    runs before each session that is not resumed."""
    include: Many[IncludedPath] = ()
    """Files of the folder that git does not track (`.env.test`), copied into workspaces and checkouts of gates; they
    are in no save, and work that commits one is refused."""
    caches: Many[CacheName] = ()
    """Variables that each name a cache folder (`PIP_CACHE_DIR`): a workspace keeps its own, a gate has empty ones."""
    ports: Annotated[int, Field(ge=0, le=64)] = 0
    """Ports on loopback for each workspace and each run of a gate: HARNESS_PORT_1 and so on."""

    def outfit(self) -> Outfit:
        """The same for the engine."""
        return Outfit(tuple(self.setup_inputs), tuple(self.include), tuple(self.caches), self.ports)


class WorkspaceSection(Section):
    """How many workspaces there may be, and how long they and saved work are kept. Nothing is removed unsaved."""

    max_count: Count | None = 200
    """Most workspaces at a time; beyond it idle ones are saved and removed, then no session begins. null = no limit."""
    max_gib: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """Most GiB in all of them, caches included, measured every 10 min; the same happens. null = no limit."""
    parked_days: Days = 14
    """Days after which the workspace of a parked item is saved and removed; its work stays under its ref."""
    refs_days: Days = 30
    """Days after which the refs of a finished item (`refs/harness/…`) go; work that is on no branch yet stays."""

    def quota(self) -> Quota:
        """How many and how much, for the rules."""
        return Quota(self.max_count, None if self.max_gib is None else int(self.max_gib * (1 << 30)))

    def retention(self) -> Retention:
        """The same for the rules."""
        return Retention(self.parked_days, self.refs_days)
