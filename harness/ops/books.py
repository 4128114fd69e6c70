"""Opening the store for one question or one order, and the queue's file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.model.errors import NotFound
from harness.model.home import Home
from harness.proc.lock import is_free
from harness.store.reader import StoreReader
from harness.store.reading import open_reader, open_writer
from harness.store.reports import ids_like

if TYPE_CHECKING:
    from harness.store.sqlite import SqliteStore


TASK_PAGES = ("backlog", "active", "completed")


@contextmanager
def reading(home: Home) -> Iterator[StoreReader]:
    """Raises NotFound if nothing has run here yet."""
    with closing(open_reader(home.state)) as store:
        yield store


@contextmanager
def reading_if_any(home: Home) -> Iterator[StoreReader | None]:
    """None if nothing has run here yet: that is an empty queue, not an error."""
    if not home.database.exists():
        yield None
        return
    with reading(home) as store:
        yield store


@contextmanager
def writing(home: Home) -> Iterator[SqliteStore]:
    """Makes what is missing."""
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(open_writer(home.state)) as store:
        yield store


def running(home: Home) -> bool:
    """Whether a loop lives on this home: the lock is the truth (contract 2)."""
    return not is_free(home.lock)


def queue_file_edited(home: Home, store: StoreReader | None) -> bool:
    """Whether `state/queue.json` holds something that we neither wrote nor took in yet."""
    kept = store.mirror_base(home.queue_file.name) if store is not None else None
    return home.queue_file.is_file() and (kept is None or _edited(home.queue_file, kept[0]))


def _edited(file: Path, ours: str) -> bool:
    import hashlib  # noqa: PLC0415 - loads OpenSSL

    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() not in ours.split()


def pages_edited(home: Home, store: StoreReader | None) -> bool:
    """The same of the pages of tasks, where somebody asked for them."""
    if store is None or not home.pages.is_dir():
        return False
    kept = {name: store.mirror_base(f"tasks/{name}.md") for name in TASK_PAGES}
    return any(base is not None and _edited(home.pages / f"{name}.md", base[0]) for name, base in kept.items())


def edits_waiting(home: Home, store: StoreReader | None) -> bool:
    """Whether anybody wrote something into one of the files that is not taken in yet."""
    return queue_file_edited(home, store) or answers_filled_in(home) or pages_edited(home, store)


def answers_filled_in(home: Home) -> bool:
    """Whether a file of a question holds an answer, or something that cannot be read as one."""
    if not home.decisions.is_dir():
        return False
    from harness.store.decision_files import anything_filled  # noqa: PLC0415 - where nobody asks, nothing of it

    return anything_filled(home.decisions)


def full_id(store: StoreReader, noun: str, given: str) -> str:
    """The whole id of an `item` or `session` from its whole or a unique beginning. Raises NotFound."""
    found = ids_like(store, noun, given)
    listed = {"item": "./loop queue show --all", "session": "./loop session list"}[noun]
    if given in found:
        return given
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"there is no {noun} {given}", hint=listed)
    raise NotFound(f"{given} begins several {noun}s: {', '.join(found)}", hint=f"give more of the id; {listed}")
