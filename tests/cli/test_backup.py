"""`backup …`: state and configuration are kept, looked at, and brought back, program and state together (H25, H52)."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harness.model.journal import Integration
from harness.model.session import SessionStatus
from harness.ports import LeaseRules
from harness.proc.lock import FileLock
from harness.store import schema
from harness.store.reports import latest_run
from tests.kit.command import ENVIRON
from tests.kit.stores import done, session

AT = datetime(2026, 1, 27, 22, 0, tzinfo=UTC)
RULES = LeaseRules("loop", {"default": None}, "app")


@pytest.fixture
def home(loop):
    """A home with two items, at a time that the test moves."""
    loop.now = AT
    for name in ("a", "b"):
        assert loop("queue", "add", json.dumps({"id": name, "title": name})).code == 0
    return loop


def _ids(loop):
    return [row["id"] for row in loop("queue", "show", "--all", "--json").json["rows"]]


def _backups(loop):
    return loop("backup", "list", "--json").json["rows"]


# --- create, list, verify ---------------------------------------------------------------------------------------------


def test_a_backup_has_database_configuration_and_prompts(home):
    home.home.prompts.mkdir()
    (home.home.prompts / "bootstrap.md").write_text("mine\n")
    said = home("backup", "create", "--tag", "before", "--json")
    assert said.json["target"] == "20260127T220000Z-before", said
    (row,) = _backups(home)
    assert (row["tag"], row["items"], row["reason"], row["problem"]) == ("before", 2, "operator", "")
    assert row["files"] == ["config.yaml", "harness.db", "prompts/bootstrap.md"]
    assert home("backup", "verify").out == "20260127T220000Z-before is whole: 2 items, made 2026-01-27T22:00:00+00:00\n"
    assert "before" in home("backup", "list").out


def test_what_is_not_whole_is_exit_1_and_not_restored(home):
    assert home("backup", "create").code == 0
    file = home.home.backups / "20260127T220000Z-operator" / "harness.db"
    file.write_bytes(file.read_bytes()[:-1])
    said = home("backup", "verify", "latest", "--json")
    assert (said.code, said.json["whole"]) == (1, False)
    assert "SHA-256" in said.json["faults"][0]
    refused = home("backup", "restore", "latest", "--yes", "--json")
    assert (refused.code, refused.error["kind"]) == (1, "refused")
    (file.parent / "backup.json").write_text("{")
    assert home("backup", "list").code == 1
    assert _ids(home) == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("create", "--tag", "no/tag"), 2, "usage"),
        (("create", "--push"), 2, "usage"),
        (("verify", "none"), 4, "not_found"),
        (("verify", "/nowhere/at/all"), 1, "store"),
        (("restore", "none", "--yes"), 4, "not_found"),
        (("rollback", "none", "--yes"), 4, "not_found"),
    ],
)
def test_what_cannot_be_is_an_error_with_its_code(home, words, code, kind):
    said = home("backup", *words, "--json")
    assert (said.code, said.error["kind"]) == (code, kind)
    assert said.error["next"]


def test_without_a_database_there_is_nothing_to_keep(loop):
    assert loop("backup", "create").code == 4
    assert loop("backup", "list", "--json").json["rows"] == []


# --- restore ----------------------------------------------------------------------------------------------------------


def test_a_restore_wants_its_flag_and_can_be_taken_back(home):
    home("backup", "create")
    home("queue", "add", '{"id": "c", "title": "c"}')
    said = home("backup", "restore", "latest", "--json")
    assert (said.code, said.error["next"]) == (2, "./loop backup restore latest --yes")
    home.now = AT + timedelta(hours=1)
    said = home("backup", "restore", "latest", "--yes")
    assert said.code == 0, said
    assert _ids(home) == ["a", "b"]
    assert home("audit", "verify").code == 0
    queue = json.loads(home.home.queue_file.read_text())
    assert [row["id"] for row in queue] == ["a", "b"]
    assert "1 were added since and are not there now: c" in said.out
    imported = next(line for line in said.out.splitlines() if "queue import" in line).split("./loop ")[1].split()
    assert home(*imported).code == 0
    assert _ids(home) == ["a", "b", "c"]
    home.now = AT + timedelta(hours=2)
    undo = next(line for line in said.out.splitlines() if line.startswith("undo:")).split("./loop ")[1].split()
    assert home(*undo).code == 0
    assert _ids(home) == ["a", "b", "c"]
    with closing(home.store()) as store:
        assert "state.restored" in [entry.kind for entry in store.journal(limit=1000)]


def test_our_own_newer_queue_file_is_not_taken_for_an_edit(home):
    home("backup", "create")
    home("queue", "remove", "a")
    home("backup", "restore", "latest", "--yes")
    assert home("queue", "check", "--json").json["cancelled"] == []
    assert {row["id"]: row["state"] for row in home("queue", "show", "--json").json["rows"]} == {
        "a": "ready", "b": "ready",
    }  # fmt: skip


def test_files_come_back_only_if_asked(home):
    before = home.home.config.read_text()
    home("backup", "create", "--tag", "good")
    home.home.config.write_text(before + "\n# mine\n")
    home.home.prompts.mkdir()
    (home.home.prompts / "new.md").write_text("new\n")
    home("backup", "restore", "good", "--yes")
    assert home.home.config.read_text() != before
    home.now = AT + timedelta(hours=1)
    assert home("backup", "restore", "good", "--files", "--yes").code == 0
    assert home.home.config.read_text() == before
    assert not (home.home.prompts / "new.md").exists()
    home.now = AT + timedelta(hours=2)
    assert home("backup", "restore", "20260127T230000Z-replaced", "--files", "--yes").code == 0
    assert home.home.config.read_text() == before + "\n# mine\n"
    assert (home.home.prompts / "new.md").read_text() == "new\n"


@pytest.mark.parametrize("who", ["loop.lock", "owners/worker-1.lock"])
def test_nobody_may_work_on_the_state_meanwhile(home, who):
    home("backup", "create")
    with FileLock(home.home.state / who):
        said = home("backup", "restore", "latest", "--yes", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert str(os.getpid()) in said.error["message"]
    assert len(_backups(home)) == 1
    assert home("backup", "restore", "latest", "--yes").code == 0


def test_what_came_to_its_branch_since_is_not_done_again(home):
    home("backup", "create")
    with closing(home.store()) as store:
        lease = store.lease("x", RULES, AT)
        row = Integration(0, lease.item.id, lease.fence, "app", "main", "b0", "5ea1", "intended", began_at=AT)
        store.resolve(store.intend(row).id, "applied", AT, merged="c0ffee00c0ffee")
        store.settle(lease, done(), AT)
    said = home("backup", "restore", "latest", "--yes")
    assert "1 parked, for their work is on its branch already: a" in said.out
    rows = {each["id"]: each for each in home("queue", "show", "--all", "--json").json["rows"]}
    assert (rows["a"]["state"], rows["b"]["state"]) == ("parked", "ready")
    assert rows["a"]["reason"] == "done as c0ffee00c0ff on main after the backup 20260127T220000Z-operator was made"
    assert home("audit", "verify").code == 0


def test_what_was_at_work_then_and_came_to_its_branch_since_is_not_done_again(home):
    with closing(home.store()) as store:
        store.register("x", pid=1, boot="b", start=1, kind="loop", now=AT)
        lease = store.lease("x", RULES, AT)
        store.open_session(lease, session(lease))
        store.begin_run("12345678", pid=1, version="0", now=AT)
        home("backup", "create")
        row = Integration(0, lease.item.id, lease.fence, "app", "main", "b0", "5ea1", "intended", began_at=AT)
        store.resolve(store.intend(row).id, "applied", AT, merged="c0ffee00c0ffee")
        store.settle(lease, replace(done(), session=session(lease, status=SessionStatus.COMPLETED)), AT)
    said = home("backup", "restore", "latest", "--yes")
    assert "1 parked, for their work is on its branch already: a" in said.out, said
    shown = home("queue", "show", "a", "--json").json["item"]
    assert (shown["state"], shown["attempts"]) == ("parked", 0)
    with closing(home.store()) as store:
        run = latest_run(store)
    assert run is not None
    assert run.reason == "restored from 20260127T220000Z-operator"
    assert home("session", "list", "--jq", ".rows[].status").out.strip() == "killed"
    assert home("audit", "verify").out.startswith("the state agrees")


def test_a_damaged_database_is_replaced_and_kept(home):
    home("backup", "create")
    home.home.database.write_bytes(b"no database at all " * 500)
    said = home("queue", "show", "--json")
    assert "backup restore latest" in said.error["next"]
    said = home("backup", "restore", "latest", "--yes")
    assert said.code == 0, said
    assert "what was replaced is damaged and kept" in said.out
    assert _ids(home) == ["a", "b"]
    assert home("queue", "check", "--json").json["cancelled"] == []


def test_a_backup_of_a_newer_program_names_it(home):
    home("backup", "create", "--tag", "newer")
    manifest = home.home.backups / "20260127T220000Z-newer" / "backup.json"
    newer = {"database_schema": schema.VERSION + 1, "program": "9.9"}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | newer))
    said = home("backup", "restore", "newer", "--yes", "--json")
    assert (said.code, said.error["kind"], "9.9" in said.error["message"]) == (1, "store", True)
    assert "rollback newer" in said.error["next"]


def test_a_backup_from_elsewhere_makes_a_state_where_there_is_none(home, tmp_path):
    home("backup", "create")
    folder = str(home.home.backups / "20260127T220000Z-operator")
    home.home.state.rename(tmp_path / "lost")
    said = home("backup", "restore", folder.replace(str(home.home.state), str(tmp_path / "lost")), "--yes")
    assert said.code == 0, said
    assert _ids(home) == ["a", "b"]


# --- rollback ---------------------------------------------------------------------------------------------------------


def _git(folder, *words):
    identity = ("-c", "user.name=owner", "-c", "user.email=owner@example.org")
    command = ["git", *identity, *words]
    return subprocess.run(command, cwd=folder, env=ENVIRON, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def program(home, tmp_path):
    """The checkout that the program was launched from: version one, with a launcher that says which it is."""
    root = tmp_path / "program"
    root.mkdir()
    _git(root, "init", "-q", "-b", "main")
    _release(root, "one")
    home.environ["HARNESS_LAUNCHER_HOME"] = str(root)
    return root


def _release(root, name):
    (root / "loop").write_text(f'#!/bin/sh\necho "version {name}: $*" > "$2/ran.txt"\n')
    (root / "loop").chmod(0o755)
    _git(root, "add", "loop")
    _git(root, "commit", "-qm", name)
    return _git(root, "rev-parse", "HEAD")


def test_a_tag_marks_program_and_state_and_a_rollback_brings_both_back(home, program):
    one = _git(program, "rev-parse", "HEAD")
    said = home("backup", "create", "--tag", "before")
    assert f"at {one[:12]}" in said.out
    assert _git(program, "rev-parse", "before") == one
    two = _release(program, "two")
    home("queue", "remove", "a")
    home("session", "list")
    (home.home.session_logs).mkdir(parents=True)
    (home.home.session_logs / "ses_1.log").write_text("{}\n")
    home.now = AT + timedelta(hours=1)
    assert home("backup", "rollback", "before").code == 2
    said = home("backup", "rollback", "before", "--yes")
    assert said.code == 0, said
    assert _git(program, "rev-parse", "HEAD") == one
    assert {row["id"]: row["state"] for row in home("queue", "show", "--json").json["rows"]}["a"] == "ready"
    (bundle,) = home.home.forensics.iterdir()
    kept = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert {"forensics.json", "config.yaml", "state/harness.db", "docs/sessions/ses_1.log", "state/queue.json"} <= kept
    connection = sqlite3.connect(bundle / "state" / "harness.db")
    assert connection.execute("SELECT state FROM items WHERE id = 'a'").fetchone() == ("cancelled",)
    connection.close()
    home.now = AT + timedelta(hours=2)
    undo = next(line for line in said.out.splitlines() if line.startswith("undo:")).split("./loop ")[1].split()
    assert home(*undo).code == 0
    assert _git(program, "rev-parse", "HEAD") == two
    assert home("queue", "show", "a", "--json").json["item"]["state"] == "cancelled"


def test_local_changes_of_the_program_stop_a_rollback_before_anything_happens(home, program):
    home("backup", "create", "--tag", "before")
    _release(program, "two")
    (program / "loop").write_text("mine\n")
    said = home("backup", "rollback", "before", "--yes", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert "local changes: loop" in said.error["message"]
    assert not home.home.forensics.exists()
    assert len(_backups(home)) == 1


def test_a_switch_that_git_refuses_takes_the_state_back(home, program):
    (program / "here").write_text("of one\n")
    _git(program, "add", "here")
    _git(program, "commit", "-qm", "here")
    home("backup", "create", "--tag", "before")
    _git(program, "rm", "-q", "here")
    _git(program, "commit", "-qm", "two")
    (program / "here").write_text("untracked, and in the way\n")
    home("queue", "remove", "a")
    home.home.config.write_text(home.home.config.read_text() + "# two\n")
    home.now = AT + timedelta(hours=1)
    said = home("backup", "rollback", "before", "--yes", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused"), said
    assert (program / "here").read_text() == "untracked, and in the way\n"
    assert home("queue", "show", "a", "--json").json["item"]["state"] == "cancelled"
    assert home.home.config.read_text().endswith("# two\n")


def test_an_installed_program_is_not_switched_but_named(home):
    home("backup", "create", "--tag", "before")
    manifest = home.home.backups / "20260127T220000Z-before" / "backup.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"program": "0.0.1"}))
    said = home("backup", "rollback", "before", "--yes", "--json")
    assert (said.code, said.error["kind"]) == (1, "refused")
    assert "install version 0.0.1" in said.error["next"]


def test_the_loop_of_the_other_version_is_run_afterwards(home, program):
    home("backup", "create", "--tag", "before")
    _release(program, "two")
    words = ("backup", "rollback", "before", "--run", "--yes")
    said = home.process(*words, HARNESS_LAUNCHER_HOME=str(program))
    assert said.returncode == 0, said.stderr
    assert "forensics:" in said.stdout
    assert (home.home.root / "ran.txt").read_text() == f"version one: -C {home.home.root} run\n"


def test_the_tag_is_pushed_on_request(home, program, tmp_path):
    _git(tmp_path, "init", "-q", "--bare", "remote.git")
    _git(program, "remote", "add", "origin", str(tmp_path / "remote.git"))
    assert "pushed to origin" in home("backup", "create", "--tag", "before", "--push").out
    assert _git(tmp_path / "remote.git", "rev-parse", "before") == _git(program, "rev-parse", "HEAD")
    _release(program, "two")
    assert home("backup", "create", "--tag", "before").code == 1
    _git(program, "tag", "taken", "HEAD~1")
    assert home("backup", "create", "--tag", "taken").code == 1
    assert len(_backups(home)) == 1


# --- made by themselves -----------------------------------------------------------------------------------------------


def test_a_mass_import_is_preceded_by_a_backup(home):
    rows = "".join(json.dumps({"id": f"m{n}", "title": "t"}) + "\n" for n in range(1000))
    file = home.home.root / "rows.jsonl"
    file.write_text(rows)
    assert home("queue", "import", str(file), "--dry-run").err == ""
    assert _backups(home) == []
    said = home("queue", "import", str(file))
    (row,) = _backups(home)
    assert (row["reason"], row["items"]) == ("import", 2)
    assert f"./loop backup restore {row['id']} --yes" in said.err
    assert home("backup", "restore", "latest", "--yes").code == 0
    assert _ids(home) == ["a", "b"]


def test_a_mass_edit_of_the_queue_file_is_preceded_by_a_backup(home):
    rows = json.loads(home.home.queue_file.read_text())
    home.home.queue_file.write_text(json.dumps([*rows, *({"id": f"m{n}", "title": "t"} for n in range(1000))]))
    said = home("queue", "check", "--json")
    assert len(said.json["added"]) == 1000
    (row,) = _backups(home)
    assert (row["reason"], row["items"]) == ("import", 2)
    assert said.json["detail"] == f"kept before: ./loop backup restore {row['id']} --yes"
