"""The only deletion of folders: strictly inside its root, links are removed and never followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import fs
from harness.model.errors import Refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_a_folder_goes_whether_empty_full_or_read_only_and_one_that_is_gone_is_no_error(root: Path) -> None:
    for name in ("empty", "full", "locked"):
        (root / name).mkdir()
    (root / "full" / "below").mkdir()
    (root / "full" / "below" / "file").write_text("x")
    (root / "locked" / "below").mkdir()
    (root / "locked" / "below" / "file").write_text("x")
    (root / "locked" / "below").chmod(0o500)
    for name in ("empty", "full", "locked", "missing"):
        fs.discard(root / name, under=root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("empty", [True, False])
def test_what_a_link_leads_to_stays(root: Path, tmp_path: Path, *, empty: bool) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if not empty:
        (outside / "kept").write_text("x")
    (root / "link").symlink_to(outside)
    fs.discard(root / "link", under=root)
    assert list(root.iterdir()) == []
    assert outside.is_dir()
    assert (outside / "kept").exists() is not empty


def test_nothing_outside_of_the_root_is_deleted(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (root / "way").symlink_to(tmp_path)
    for folder in (root, tmp_path / "other", root / ".." / "other", root / "way" / "other"):
        with pytest.raises(Refused):
            fs.discard(folder, under=root)
    assert (tmp_path / "other").is_dir()
