"""What a build made, kept under `state/builds/<repository>/`; `current` leads to the newest, swapped in one step.

What stands in a bench is the work of agents: it is moved as it is, never opened, and no link on the way to it is
followed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from harness import fs
from harness.git import foreign
from harness.model.errors import Refused

CURRENT = "current"
KEPT = 3


def publish(bench: Path, artefacts: Sequence[str], builds: Path, commit: str, *, under: Path) -> Path:
    """Move `artefacts` out of `bench` and let `current` lead to them; the folder that has them.

    The newest three stay, whoever runs from them. Raises Refused for one that is not there, or no file or folder;
    DiskFull or HarnessError: then `current` is what it was.
    """
    sources = [_found(bench, name) for name in artefacts]
    made = builds / f"{commit[:12]}-{secrets.token_hex(3)}"
    half = made.with_name(f".{made.name}")
    try:
        half.mkdir(parents=True, mode=0o700)
        for name, source in zip(artefacts, sources, strict=True):
            (half / name).parent.mkdir(parents=True, exist_ok=True)
            source.rename(half / name)
        _settle(half)
        half.rename(made)
        _swap(builds / CURRENT, made.name)
    except OSError as exc:
        raise fs.translate(exc, made) from exc
    _thin_out(builds, made, under)
    return made


def _found(bench: Path, name: str) -> Path:
    path = bench
    for part in Path(name).parts:
        if path != bench and not foreign.is_folder(path):
            raise Refused(f"the build left no {name}: {path.relative_to(bench)} is no folder")
        path = path / part
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        raise Refused(f"the build left no file or folder {name}", hint="after.build.artefacts names what it makes")
    return path


def _settle(folder: Path) -> None:
    """On disk before anything leads to it: a power cut must not leave an empty file in its place."""
    for parent, _, names in os.walk(folder, topdown=False):
        for path in (*(Path(parent) / name for name in names), Path(parent)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                continue
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _swap(link: Path, target: str) -> None:
    fresh = link.with_name(f".{link.name}-{secrets.token_hex(3)}")
    fresh.symlink_to(target)
    fresh.replace(link)


def _thin_out(builds: Path, newest: Path, under: Path) -> None:
    """All but the newest ones, and what killed builds left half."""
    folders = [each for each in builds.iterdir() if each.name != CURRENT and each != newest]
    whole = sorted((each for each in folders if not each.name.startswith(".")), key=lambda each: each.stat().st_mtime)
    half = [each for each in folders if each.name.startswith(".")]
    for folder in (*half, *whole[: max(0, len(whole) - (KEPT - 1))]):
        fs.discard(folder, under=under)
