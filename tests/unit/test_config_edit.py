"""`./loop init` adds a repository as a person would: every other byte stays (contract 2)."""

import difflib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config.edit import add_repository, shipped
from harness.config.load import load
from harness.model.errors import ConfigError, Usage


def edited(home, text, name="app", path="../app", branch="main", test="pytest -q", **more):
    file = home / "config.yaml"
    if text is not None:
        file.write_bytes(text.encode())
    add_repository(home, name, path, branch, test, **more)
    return file.read_bytes().decode()


def removed(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line[2:] for line in lines if line.startswith("- ")]


def test_no_file_becomes_the_shipped_one_with_the_repository(tmp_path):
    after = edited(tmp_path, None)
    assert removed(shipped(), after) == ["repositories: []\n"]
    repo = load(tmp_path, {}).config.repositories[0]
    assert (repo.name, repo.path, repo.branch, repo.gates[0].name, repo.gates[0].run) == (
        "app",
        "../app",
        "main",
        "tests",
        "pytest -q",
    )


def test_without_a_test_there_is_no_gate(tmp_path):
    edited(tmp_path, None, test=None)
    assert load(tmp_path, {}).config.repositories[0].gates == ()


BLOCK = """\
  - name: app
    path: "../app"
    branch: main
    gates:
      - {name: tests, type: command, run: "pytest -q"}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "repositories:\n@"),
        ("# only a comment\n", "# only a comment\nrepositories:\n@"),
        ("# no newline at the end", "# no newline at the end\nrepositories:\n@"),
        ("harness: {workers: 2}", "harness: {workers: 2}\nrepositories:\n@"),
        ("repositories: []   # none yet\nstore: sqlite\n", "repositories:   # none yet\n@store: sqlite\n"),
        ("repositories:   # none\n\n# of the store\nstore: sqlite\n", "repositories:   # none\n@\n# of the store\nstore: sqlite\n"),
        ("repositories:\n  # - {name: old}\nstore: sqlite\n", "repositories:\n@  # - {name: old}\nstore: sqlite\n"),
        ("# repositories:\nrepositories:  \nstore: sqlite\n", "# repositories:\nrepositories:  \n@store: sqlite\n"),
        ("repositories: ~\r\nstore: sqlite\r\n", "repositories:\r\n@store: sqlite\r\n"),
        ("repositories: null", "repositories:\n@"),
        ("repositories:", "repositories:\n@"),
        ("store: sqlite\nrepositories: []", "store: sqlite\nrepositories:\n@"),
        ("\ufeffstore: sqlite\n", "\ufeffstore: sqlite\nrepositories:\n@"),
        ("---\nstore: sqlite\n", "---\nstore: sqlite\nrepositories:\n@"),
    ],
)  # fmt: skip
def test_every_other_byte_is_kept(tmp_path, before, after):
    assert edited(tmp_path, before) == after.replace("@", BLOCK)
    assert [repo.name for repo in load(tmp_path, {}).config.repositories] == ["app"]


@pytest.mark.parametrize(
    "text",
    [
        "repositories:\n  - {name: old, path: x}\n",
        "repositories:\n  - {name: old, path: x}",
        "repositories:\n- name: old\n  path: x   # here\n\n# next section\nstore: sqlite\n",
        "repositories:\n    - name: old\n      path: x\n      instructions: |\n        be kind\n\nstore: sqlite\n",
        "repositories: [{name: old, path: x}]  # one\nstore: sqlite\n",
        "repositories: [\n  {name: old, path: x},\n]\n",
    ],
)
def test_a_file_that_names_repositories_is_changed_with_yes_only(tmp_path, text):
    with pytest.raises(Usage, match="names repositories already: old") as caught:
        edited(tmp_path, text)
    assert "repo add" in caught.value.hint
    assert (tmp_path / "config.yaml").read_bytes().decode() == text
    after = edited(tmp_path, text, yes=True)
    assert [repo.name for repo in load(tmp_path, {}).config.repositories] == ["old", "app"]
    assert all(line.rstrip("\n") in after or "[{" in line for line in text.splitlines())


def test_a_name_that_is_taken_is_refused_even_with_yes(tmp_path):
    with pytest.raises(Usage, match=r"'old' is in config\.yaml already"):
        edited(tmp_path, "repositories: [{name: old, path: x}]", name="old", yes=True)


@pytest.mark.parametrize("text", ["{harness: {}, repositories: []}", "harness: {}\n...\n"])
def test_a_style_that_leaves_no_place_is_said_with_what_to_write(tmp_path, text):
    with pytest.raises(ConfigError, match="as it is written") as caught:
        edited(tmp_path, text)
    assert "- {name: app, path: " in caught.value.hint
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == text


def test_a_broken_file_is_reported_and_left_alone(tmp_path):
    with pytest.raises(ConfigError, match=r"harness\.x: unknown key"):
        edited(tmp_path, "harness: {x: 1}\n")
    with pytest.raises(ConfigError):
        edited(tmp_path, None, name="no name")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    test=st.sampled_from(["true", "1", "null", "a: b", "- x", "x # y", "'", '"', "\\", "{}", "é\t\u2028😀"]),
)
def test_any_path_and_command_come_back_as_given(tmp_path, path, test):
    (tmp_path / "config.yaml").unlink(missing_ok=True)
    edited(tmp_path, None, path=path, test=test)
    repo = load(tmp_path, {}).config.repositories[0]
    assert (repo.path, repo.gates[0].run) == (path, test)
