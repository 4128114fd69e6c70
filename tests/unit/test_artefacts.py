"""What a build made is moved out of its bench and swapped in; nothing is followed, nothing half is ever current."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.app.artefacts import KEPT, publish
from harness.model.errors import HarnessError, Refused


def bench(folder: Path, content: str = "x") -> Path:
    out = folder / "bench" / "out" / "deep"
    out.mkdir(parents=True, exist_ok=True)
    (out / "tool").write_text(content)
    if not (out / "link").is_symlink():
        (out / "link").symlink_to("/etc/passwd")
    return folder / "bench"


def put(folder: Path, content: str, *names: str) -> Path:
    made = publish(
        bench(folder, content), names or ("out",), folder / "state" / "builds", "c" * 40, under=folder / "state"
    )
    assert (folder / "state" / "builds" / "current").resolve() == made.resolve()
    return made


def test_the_newest_builds_stay_and_half_ones_go(tmp_path: Path) -> None:
    half = tmp_path / "state" / "builds" / ".cccccccccccc-000000"
    half.mkdir(parents=True)
    made = []
    for number in range(KEPT + 2):
        made.append(put(tmp_path, str(number)))
        os.utime(made[-1], (number, number))
    kept = {each.name for each in (tmp_path / "state" / "builds").iterdir()} - {"current"}
    assert kept == {each.name for each in made[-KEPT:]}
    assert (tmp_path / "state" / "builds" / "current" / "out" / "deep" / "tool").read_text() == str(KEPT + 1)


def test_links_inside_are_moved_as_links(tmp_path: Path) -> None:
    assert (put(tmp_path, "x") / "out" / "deep" / "link").is_symlink()


def test_only_what_is_named_is_kept(tmp_path: Path) -> None:
    made = put(tmp_path, "x", "out/deep/tool")
    assert [each.name for each in (made / "out" / "deep").iterdir()] == ["tool"]


@pytest.mark.parametrize("name", ["nothing", "out/deep/link", "aside/file", "pipe"])
def test_what_is_not_there_is_a_link_or_behind_one_is_refused_and_changes_nothing(tmp_path: Path, name: str) -> None:
    before = put(tmp_path, "before")
    folder = bench(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("secret")
    (folder / "aside").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe")
    with pytest.raises(Refused, match="left no"):
        publish(folder, ("out/deep/tool", name), tmp_path / "state" / "builds", "d" * 40, under=tmp_path / "state")
    assert (tmp_path / "state" / "builds" / "current").resolve() == before.resolve()
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_folder_that_cannot_be_written_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "builds").write_text("in the way")
    with pytest.raises(HarnessError, match="cannot write"):
        publish(bench(tmp_path), ("out",), tmp_path / "state" / "builds", "c" * 40, under=tmp_path / "state")
