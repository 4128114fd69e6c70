"""A store of each make, opened in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.stores import MAKERS, Sqlite


@pytest.fixture(params=sorted(MAKERS))
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite:
    return MAKERS[request.param](tmp_path)


@pytest.fixture
def store(maker: Sqlite) -> Iterator[object]:
    with maker.opened() as opened:
        yield opened
