"""No typed line is lost: queue file, task pages and answers, over any interleaving of edits, exports, changes and kills.

Somebody types words that occur nowhere else. However editors with old contents, the loop, other commands and kills
between two steps of a write follow each other, each word is at last in the store, in a file, or in a copy with a name;
unless it was taken out by whoever typed last over the same file. Longer with TYPED_EXAMPLES=500 (Q3).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from harness import fs
from harness.model.decision import Deadline
from harness.model.errors import HarnessError
from harness.model.home import Home
from harness.model.itemform import Form
from harness.model.outcome import Asked, Disposition
from harness.model.taskpage import PAGES
from harness.model.work import WorkState
from harness.ports import Settlement
from harness.store.inbox import Inbox
from harness.store.sqlite import SqliteStore
from tests.kit.steps import STEPS_OF_US, Died
from tests.kit.stores import NOW, RULES, WORK, back, done, item

pytestmark = pytest.mark.slow

FORM = Form(repositories=("app",), task_files=True)
LONG_AGO = 1_500_000_000
picks = st.integers(0, 9)
kills = st.one_of(st.just(0), st.integers(1, 40))
FIELDS = ("title", "description", "note", "reason", "state", "assigned", "type", "created_at")
BROKEN = ("", "[", '[{"title": "x"},]', "not JSON", "\ufeff{}", "[{}]", '{"items": 7}')


class Typed(RuleBasedStateMachine):
    """`buffers` are what somebody's editors hold: contents of files as they were when they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name))
        self.now = NOW
        self.typed: set[str] = set()
        self.buffers: dict[Path, str] = {}
        self.number = 0
        self.cut = ""
        self.store = SqliteStore(self.home.database)
        self.inbox = Inbox(self.home, self.store)
        self.files = [self.home.queue_file, *(self.home.pages / f"{name}.md" for name in PAGES)]

    def teardown(self) -> None:
        try:
            self.everything_comes_to_rest()
        finally:
            self.store.close()
            self.folder.cleanup()

    # --- the loop -----------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.store.add([item("one"), item("two", description="long"), item("task-007")], actor="t", now=self.now)
        self.pass_once(0)

    @rule(kill=kills)
    def pass_once(self, kill: int) -> None:
        """The loop takes in and writes; a kill ends it in the middle, and another one begins."""
        self.now += timedelta(minutes=1)
        try:
            with STEPS_OF_US.before(kill, self.home.root):
                self.inbox.absorb(self.now, "loop", FORM)
                self.inbox.export(self.now, "loop", FORM)
        except Died:
            self.store.close()
            self.store = SqliteStore(self.home.database)
            self.inbox = Inbox(self.home, self.store)

    @rule(step=st.integers(1, 40), which=picks, fresh=st.booleans())
    def pass_while_somebody_saves(self, step: int, which: int, fresh: bool) -> None:
        self.now += timedelta(minutes=1)
        with STEPS_OF_US.before(step, self.home.root, lambda: self.type_words(which, which, fresh)):
            self.inbox.absorb(self.now, "loop", FORM)
            self.inbox.export(self.now, "loop", FORM)

    # --- the store ----------------------------------------------------------------------------------------------------

    @rule(pick=picks, what=st.sampled_from(["add", "change", "lease", "ask", "answer", "park", "ready", "expire"]))
    def something_happens(self, pick: int, what: str) -> None:
        self.now += timedelta(seconds=1)
        with contextlib.suppress(HarnessError):
            self._happen(pick, what)

    def _happen(self, pick: int, what: str) -> None:
        store, now = self.store, self.now
        items = store.items(limit=20)
        some = items[pick % len(items)]
        match what:
            case "add":
                store.add([item(self.word())], actor="t", now=now)
            case "change":
                store.update(some.id, {"priority": pick, "description": f"changed {pick}"}, actor="t", now=now)
            case "lease" | "ask":
                held = store.lease("a", RULES, now)
                if held is not None and what == "ask":
                    words = (self.word(), ("red", "blue"))
                    waits = Disposition(WorkState.WAITING, "asks", continuation=WORK)
                    deadline = Deadline(now + timedelta(minutes=pick + 1), "skip")
                    store.settle(held, Settlement(Asked(*words), waits, question=words, deadline=deadline), now)
                elif held is not None:
                    store.settle(held, done() if pick % 2 else back(WORK), now)
            case "answer":
                store.answer(pick, "red", by="t", via="command", now=now)
            case "park":
                store.move(some.id, WorkState.PARKED, "not now", actor="t", now=now)
            case "ready":
                store.move(some.id, WorkState.READY, "again", actor="t", now=now)
            case "expire":
                store.expire(now)

    # --- somebody at a keyboard ---------------------------------------------------------------------------------------

    def word(self) -> str:
        """One that occurs nowhere else."""
        self.number += 1
        return f"word{self.number}x"

    @rule(which=picks)
    def open_file(self, which: int) -> None:
        path = self.files[which % len(self.files)]
        self.buffers[path] = path.read_text() if path.exists() else ""

    @rule(which=picks, how=picks, fresh=st.booleans())
    def type_words(self, which: int, how: int, fresh: bool) -> None:
        """Type into what is there now, or into what an editor has held since it was opened, and save."""
        path = self.files[which % len(self.files)]
        if fresh or path not in self.buffers:
            self.open_file(which)
        if path == self.home.queue_file:
            self.save(path, self._queue(self.buffers[path], how))
        else:
            self.save(path, self._page(self.buffers[path], how))

    def _queue(self, text: str, how: int) -> str:
        try:
            rows = json.loads(text)
        except ValueError:
            rows = []
        if not isinstance(rows, list) or how == 0:
            return BROKEN[self.number % len(BROKEN)] + self.word()
        if how < 4 or not rows:
            rows.insert(how, {"title": self.word(), "note": self.word()})
        elif how < 9:
            field = FIELDS[self.number % len(FIELDS)]
            rows[how % len(rows)][field] = self.word()
        else:
            del rows[how % len(rows)]
        return json.dumps(rows, indent=1) if how % 2 else json.dumps({"items": rows, "hint": self.word()})

    def _page(self, text: str, how: int) -> str:
        lines = text.splitlines(keepends=True) or ["# Page\n"]
        heads = [n for n, line in enumerate(lines) if line.startswith("### [")]
        match how:
            case 0:
                return text + f"\n### [task-NNN] {self.word()}\n- **repo**: app\n- **{self.word()}**: {self.word()}\n"
            case 1:
                return text + f"\n### [{self.word()}] {self.word()}\n- **repo**: {self.word()}\n"
            case 2 | 3 | 4:
                at = (how * 7) % len(lines)
                return "".join([*lines[: at + 1], f"{self.word()}\n", *lines[at + 1 :]])
            case 5 | 6 if heads:
                name = ("priority", "assigned", "description", "summary", "status")[self.number % 5]
                at = heads[how % len(heads)] + 1
                return "".join([*lines[:at], f"- **{name}**: {self.word()}\n", *lines[at:]])
            case 7 | 8 if heads:
                begins = heads[how % len(heads)]
                ends = next((n for n in heads if n > begins), len(lines))
                self.cut = "".join(lines[begins:ends])
                return "".join(lines[:begins] + lines[ends:])
            case _:
                return f"{text}\n{self.cut}{self.word()}\n"

    @rule(pick=picks, how=picks)
    def answer_in_a_file(self, pick: int, how: int) -> None:
        there = sorted(self.home.decisions.glob("*.md")) if self.home.decisions.is_dir() else []
        if there:
            path = there[pick % len(there)]
            text = path.read_text()
            words = f"{self.word()}\n{self.word()}\n"
            self.save(path, words if how == 0 else f"{text}answer: {words}")

    def save(self, path: Path, text: str) -> None:
        """As editors do it: by another name, or in place. What is typed over is taken out by somebody."""
        before = path.read_text() if path.exists() else ""
        self.typed -= {word for word in self.typed if word in before and word not in text}
        self.typed |= {word for word in (f"word{n}x" for n in range(1, self.number + 1)) if word in text}
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.number % 2:
            path.write_text(text)
        else:
            fs.replace(path, text)
        os.utime(path, (LONG_AGO, LONG_AGO + self.number))

    # --- at last ------------------------------------------------------------------------------------------------------

    def everything_comes_to_rest(self) -> None:
        for _ in range(3):
            self.pass_once(0)
        found = self.everything()
        assert sorted(word for word in self.typed if word not in found) == []

    def everything(self) -> str:
        """All that a person can look up: every text of the store, every file that is no half of a write."""
        texts = [path.read_text(errors="replace") for path in _files(self.home.root)]
        with contextlib.closing(sqlite3.connect(self.home.database)) as connection:
            for table in ("items", "decisions", "journal"):
                texts += [repr(row) for row in connection.execute(f"SELECT * FROM {table}")]
        return "\n".join(texts)


def _files(root: Path) -> list[Path]:
    told = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return [path for path in told if path.suffix in {".json", ".md", ".txt"}]


TestTyped = Typed.TestCase
TestTyped.settings = settings(
    max_examples=int(os.environ.get("TYPED_EXAMPLES", "15")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
