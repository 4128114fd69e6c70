"""What a workspace has besides its commit: files of the checkout, ports and cache folders of its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PORT = "HARNESS_PORT_"
CACHE = "HARNESS_CACHE"


@dataclass(frozen=True, slots=True)
class Outfit:
    """`inputs` are globs of files the set-up depends on, `include` files of the checkout that git does not track,
    `caches` names of variables that each name a cache folder, `ports` how many.
    """

    inputs: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    ports: int = 0


BARE = Outfit()


def variables(ports: Sequence[int], caches: Sequence[str], folder: Path) -> Mapping[str, str]:
    """What set-up commands, agents and gates find in their environment: HARNESS_PORT_1…, and one folder a cache."""
    numbers = {f"{PORT}{n}": str(port) for n, port in enumerate(ports, start=1)}
    folders = {name: str(folder / name) for name in caches}
    return {**numbers, **folders, **({CACHE: str(folder)} if caches else {})}
