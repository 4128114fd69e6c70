from pathlib import Path

import pytest

from tests.git.support import World, make_repository, world


@pytest.fixture
def here(tmp_path: Path) -> World:
    """A world over a fresh repository with `main` checked out."""
    return world(tmp_path, make_repository(tmp_path / "app"))
