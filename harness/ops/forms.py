"""What an installation allows in an item and supplies where it says nothing. Loads the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from harness.config.load import Loaded, load
from harness.model.home import Home
from harness.model.itemform import Form
from harness.model.work import Apart


def form_of(loaded: Loaded, source: str) -> Form:
    config = loaded.config
    return Form(
        repositories=tuple(repository.name for repository in config.repositories),
        lanes={name: lane.handicap_hours for name, lane in config.lanes.items()},
        kind_lanes={name: kind.lane for name, kind in config.kinds.items()},
        max_attempts=config.harness.max_attempts,
        source=source,
        task_files=config.tasks.enabled,
        default_repository=loaded.default_repository,
        apart=_apart(loaded),
    )


def _apart(loaded: Loaded) -> Apart:
    known = loaded.config.repositories
    names: dict[str | None, str] = {repo.name: repo.name for repo in known if repo.overlap == "refuse"}
    default = loaded.default_repository
    return names | ({None: default} if default is not None and default in names else {})


def form_at(home: Home, environ: Mapping[str, str], source: str) -> Form:
    """Raises ConfigError if the configuration is missing or wrong."""
    return form_of(load(home.root, environ), source)
