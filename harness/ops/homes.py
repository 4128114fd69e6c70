"""Which home a command works in (contract 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.model.errors import Usage
from harness.model.home import Home


def find_home(asked: str | None, environ: Mapping[str, str], cwd: Path, launcher: Path | None) -> Home:
    """`-C DIR`, then HARNESS_HOME, then the current folder if it holds config.yaml, else the launcher's own.

    Raises Usage for a folder that does not exist.
    """
    for origin, given in (("-C", asked), ("HARNESS_HOME", environ.get("HARNESS_HOME"))):
        if given:
            folder = cwd / given
            if not folder.is_dir():
                raise Usage(f"{origin}: there is no folder {folder}", hint=f"./loop init {given} --repo PATH makes one")
            return Home(folder.resolve())
    if launcher is None or (cwd / "config.yaml").is_file():
        return Home(cwd.resolve())
    return Home(launcher.resolve())


def launcher_folder(environ: Mapping[str, str], launched_as: str | None) -> Path | None:
    """Where the launcher lies; None for a program that was installed from a wheel."""
    if given := environ.get("HARNESS_LAUNCHER_HOME"):
        return Path(given)
    return Path(launched_as).resolve().parent if launched_as else None
