"""`./loop run --once "objective"`: work in any repository, without init, leaving no trace that git would show."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rehearsal.stage import Rehearsal
from tests.kit.user import WORKS, User, done, git, repository, scenario

pytestmark = [pytest.mark.cli, pytest.mark.slow]


@pytest.fixture
def api() -> Iterator[Rehearsal]:
    with Rehearsal(scenario(*WORKS)) as stage:
        yield stage


@pytest.fixture
def user(tmp_path: Path, api: Rehearsal) -> User:
    return User(tmp_path, api.url)


def test_an_objective_is_worked_on_and_shown_with_the_way_to_take_it(user: User) -> None:
    repo = repository(user.folder / "my app")
    base = git(repo, "rev-parse", "main")
    ran = user.loop("run", "--once", "Mend the state", cwd=repo)
    assert ran.code == 0, ran
    assert ran.out.startswith("claimed: ")
    for told in (base[:12], "main", "state.txt | 2 +-", "review:", "take:", "merge apply"):
        assert told in ran.out, ran.out
    assert git(repo, "status", "--porcelain") == ""
    assert git(repo, "rev-parse", "main") == base
    take = ran.out.rpartition("take:")[2].strip()
    review = ran.out.partition("review:")[2].splitlines()[0].strip()
    assert "+good" in shell(user, review)
    shell(user, take)
    assert (repo / "state.txt").read_text() == "good\n"
    assert git(repo, "status", "--porcelain") == ""


def shell(user: User, command: str) -> str:
    """Paste what was printed into a shell, in another folder."""
    done_ = subprocess.run(
        ["sh", "-c", command], cwd=user.home, env=user.env(), capture_output=True, text=True, check=False
    )
    assert done_.returncode == 0, (command, done_)
    return done_.stdout


def test_a_second_use_in_a_subfolder_begins_where_the_branch_is(user: User) -> None:
    repo = repository(user.folder / "app", branch="trunk")
    (repo / "deep").mkdir()
    first = user.loop("run", "--once", "Mend the state", "--json", cwd=repo / "deep")
    second = user.loop("run", "--once", "Mend the state again", "--json", cwd=repo)
    assert (first.code, second.code) == (0, 0), (first, second)
    told = json.loads(second.out.splitlines()[-1])
    assert told["schema"] == "loop.adhoc/1"
    assert (told["outcome"], told["branch"]) == ("claimed", "trunk")
    assert told["item"] != json.loads(first.out.splitlines()[-1])["item"]
    assert git(repo, "status", "--porcelain") == ""
    exclude = (repo / ".git" / "info" / "exclude").read_text()
    assert exclude.count("/.loop/") == 1


def test_an_objective_after_another_branch_was_checked_out_is_for_that_branch(user: User) -> None:
    repo = repository(user.folder / "app")
    assert user.loop("run", "--once", "Mend the state", cwd=repo).code == 0
    git(repo, "checkout", "-q", "-b", "feature")
    git(repo, "commit", "-q", "--allow-empty", "-m", "On the feature")
    tip = git(repo, "rev-parse", "feature")
    told = json.loads(user.loop("run", "--once", "Mend it here", "--json", cwd=repo).out.splitlines()[-1])
    assert (told["branch"], told["base"]) == ("feature", tip)


def test_an_agent_that_finds_nothing_to_do_is_told_as_such(tmp_path: Path) -> None:
    with Rehearsal(scenario(done(), {"text": "Done."})) as api:
        user = User(tmp_path, api.url)
        repo = repository(tmp_path / "app")
        ran = user.loop("run", "--once", "Do nothing", cwd=repo)
        assert ran.code == 1
        assert "no_change" in ran.out
        assert "why:" in ran.out


def test_outside_a_repository_it_says_what_is_missing(user: User) -> None:
    ran = user.loop("run", "--once", "Anything", "--json")
    assert ran.code != 0
    assert "git" in ran.error["next"]
    assert not (user.home / ".loop").exists()
