"""The registered repositories as git needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.config.load import load
from harness.model.home import Home
from harness.ports import RepositoryRef


def registered(home: Home, environ: Mapping[str, str]) -> Sequence[RepositoryRef]:
    """Raises ConfigError."""
    loaded = load(home.root, environ)
    return [RepositoryRef(each.name, loaded.path(each), each.branch) for each in loaded.config.repositories]
