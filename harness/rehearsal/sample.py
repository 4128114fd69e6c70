"""A small repository to rehearse on: a ledger with two seeded faults, a page of docs that is behind, and its judges.

The standard library is all it needs. `python3 -m unittest -q` is red until both faults are fixed; `GATES` judges each
kind of work for itself, so that one item can be proved while the other is still open. Dates and author are fixed: the
first commit has the same id everywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.model.errors import GitError, HarnessError, Refused

_SWEEP = '''"""Sweeping the ledger: every position of a range is read and its hash compared with the recorded one."""

from ledger.store import Ledger


def parse_position(text):
    """The position a label means: "L59613004", "59 613 004" and "59_613_004" are 59613004."""
    digits = text.strip().lstrip("L").replace(" ", "").replace("_", "")
    return int(digits[:7])


def sweep(ledger: Ledger, labels):
    """The labels whose entry does not have the recorded hash."""
    return [label for label in labels if not ledger.verify(parse_position(label))]
'''

_SERVICE = '''"""The service that answers questions about accounts."""


def owner_line(account):
    """One line about who owns an account, for the statement's head."""
    return f"{account['id']}: {account['owner'].strip().title()}"


def handle(request, accounts):
    """Answer one request: a status code and a line of text."""
    account = accounts.get(request.get("account"))
    if account is None:
        return 404, "no such account"
    return 200, owner_line(account)
'''

_STORE = '''"""Entries by position, each with the hash that was recorded when it was written."""

import hashlib


def digest(position, text):
    """The hash an entry must have."""
    return hashlib.sha256(f"{position}:{text}".encode()).hexdigest()


class Ledger:
    """Entries that can be added once and verified for ever."""

    def __init__(self):
        self._entries = {}

    def add(self, position, text):
        self._entries[position] = (text, digest(position, text))

    def verify(self, position):
        text, recorded = self._entries.get(position, ("", ""))
        return digest(position, text) == recorded
'''

_TEST_SWEEP = """import unittest

from ledger.store import Ledger
from ledger.sweep import parse_position, sweep


class SweepTest(unittest.TestCase):
    def test_labels_name_their_position(self):
        self.assertEqual(parse_position("L1234567"), 1234567)
        self.assertEqual(parse_position("L59613004"), 59613004)
        self.assertEqual(parse_position("59 613 004"), 59613004)

    def test_a_clean_range_has_no_mismatch(self):
        ledger = Ledger()
        for position in (59613003, 59613004):
            ledger.add(position, "transfer")
        self.assertEqual(sweep(ledger, ["L59613003", "L59613004"]), [])

    def test_a_missing_entry_is_a_mismatch(self):
        self.assertEqual(sweep(Ledger(), ["L7"]), ["L7"])


if __name__ == "__main__":
    unittest.main()
"""

_TEST_SERVICE = """import unittest

from ledger.service import handle

ACCOUNTS = {"a1": {"id": "a1", "owner": " ada lovelace "}, "a2": {"id": "a2", "owner": None}}


class ServiceTest(unittest.TestCase):
    def test_names_the_owner(self):
        self.assertEqual(handle({"account": "a1"}, ACCOUNTS), (200, "a1: Ada Lovelace"))

    def test_an_account_without_owner_is_no_error(self):
        self.assertEqual(handle({"account": "a2"}, ACCOUNTS), (200, "a2: (no owner)"))

    def test_an_unknown_account_is_not_found(self):
        self.assertEqual(handle({"account": "zz"}, ACCOUNTS), (404, "no such account"))


if __name__ == "__main__":
    unittest.main()
"""

_CHECK_DOCS = '''"""Every module of the package has a line in docs/modules.md."""

import pathlib
import sys

page = pathlib.Path("docs/modules.md").read_text(encoding="utf-8")
modules = sorted(path.stem for path in pathlib.Path("ledger").glob("*.py") if path.stem != "__init__")
missing = [name for name in modules if f"`ledger.{name}`" not in page]
for name in missing:
    print(f"docs/modules.md says nothing about ledger.{name}")
sys.exit(bool(missing))
'''

_CHECK_REVIEW = '''"""A review has findings, verification and risks, and what it cites (`file:line`) exists."""

import json
import os
import pathlib
import re
import sys

text = pathlib.Path(os.environ["HARNESS_DOCUMENT"]).read_text(encoding="utf-8")
problems = []
for title in ("Findings", "Verification", "Risks"):
    found = re.search(rf"^## {title}\\n(.*?)(?=^## |\\Z)", text, re.DOTALL | re.MULTILINE)
    if not found or not found[1].strip():
        problems.append(f"no section {title}, or nothing in it")
cited = re.findall(r"`([\\w/.]+\\.py):(\\d+)`", text)
if not cited:
    problems.append("no finding cites a line of the code")
for name, line in cited:
    path = pathlib.Path(name)
    if not path.is_file() or int(line) > len(path.read_text(encoding="utf-8").splitlines()):
        problems.append(f"{name}:{line} does not exist")
print("\\n".join(problems))
sys.exit(bool(problems))
'''

FILES: Mapping[str, str] = {
    "README.md": "# ledger\n\nA ledger, its sweep and its service. Tests: `python3 -m unittest -q`.\n",
    ".gitignore": "__pycache__/\n",
    "ledger/__init__.py": '"""A ledger of positions."""\n',
    "ledger/store.py": _STORE,
    "ledger/sweep.py": _SWEEP,
    "ledger/service.py": _SERVICE,
    "docs/modules.md": "# Modules\n\n- `ledger.store`: entries by position, each with its recorded hash.\n",
    "tests/__init__.py": "",
    "tests/test_sweep.py": _TEST_SWEEP,
    "tests/test_service.py": _TEST_SERVICE,
    "tools/check_docs.py": _CHECK_DOCS,
    "tools/check_review.py": _CHECK_REVIEW,
}

# Work item of the demo -> the command that proves it (run at the top of the repository).
GATES: Mapping[str, str] = {
    "demo-sweep": "python3 -m unittest -q tests.test_sweep",
    "demo-service": "python3 -m unittest -q tests.test_service",
    "demo-review": "python3 tools/check_review.py",
    "demo-maintenance": "python3 tools/check_docs.py",
}

_AUTHOR = {"NAME": "Ledger Team", "EMAIL": "ledger@example.org", "DATE": "2026-01-05T09:00:00+00:00"}


def make_sample(folder: Path) -> None:
    """Write the sample into `folder` (made if missing) as a git repository with one commit on `main`.

    Raises Refused if the folder is not empty, GitError if git fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Refused(f"{folder} is not empty", hint="name a new folder for the sample repository")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "A ledger, its sweep and its service"],
    ):
        _git(folder, command)


def main(argv: Sequence[str]) -> int:
    """`python -m harness.rehearsal.sample FOLDER`: make the sample there and print its gates as one JSON object."""
    try:
        make_sample(Path(*argv))
    except HarnessError as exc:
        sys.stderr.write(f"sample: {exc.message}\n{exc.hint or exc.cause}\n")
        return exc.status
    sys.stdout.write(json.dumps(dict(GATES)) + "\n")
    return 0


def _git(folder: Path, arguments: list[str]) -> None:
    """Git without the operator's configuration: their hooks and signing keys have no part in a sample."""
    people = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _AUTHOR.items()}
    bare = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=bare | people, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GitError(f"git {arguments[0]} failed in {folder}", cause=done.stderr[-500:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
