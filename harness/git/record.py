"""What we know about a workspace, kept outside the folder the agent can write."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from harness import fs
from harness.model.errors import GitError
from harness.ports import RepositoryRef, Workspace

LOCK_FILES = 64
META = ".meta"


@dataclass(frozen=True, slots=True)
class Record:
    """`head` is the last commit of the agent that we hold, `saved*` the last autosave, `sealed` the head it sealed.

    `ready` is false until the workspace has been given out: before that there is nothing of an agent in it. `included`
    are files that were brought from the checkout, `setup` the mark of the set-up that holds.
    """

    item: str
    repo: str
    path: str
    branch: str
    base: str
    base_tree: str
    head: str
    created_at: str
    ready: bool = False
    saver: str = ""
    saved: str = ""
    saved_tree: str = ""
    saved_head: str = ""
    saved_ref: str = ""
    sealed: str = ""
    included: tuple[str, ...] = ()
    setup: str = ""

    def workspace(self, root: Path) -> Workspace:
        repo = RepositoryRef(self.repo, Path(self.path), self.branch)
        return Workspace(root / self.item, repo, self.base, self.item)


class Records:
    """The records of a folder of workspaces, with the index and the lock of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, item: str) -> Record | None:
        """Raises GitError if the file is not one of ours any more."""
        path = self._path(item, "json")
        try:
            known = json.loads(path.read_bytes())
            return Record(**{**known, "included": tuple(known.get("included", ()))})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError) as exc:
            raise GitError(
                f"{path} is damaged: {exc}", hint=f"save what {item} needs from its folder, remove both"
            ) from exc

    def store(self, record: Record) -> None:
        fs.replace(self._path(record.item, "json"), json.dumps(asdict(record)))

    def items(self) -> list[str]:
        """The items of which there is a record."""
        return sorted(path.stem for path in self._folder.glob("*.json")) if self._folder.is_dir() else []

    def forget(self, item: str) -> None:
        for kind in ("json", "index", "pack"):
            self._path(item, kind).unlink(missing_ok=True)

    def index(self, item: str) -> Path:
        return self._path(item, "index")

    def scratch(self, item: str) -> Path:
        return self._path(item, "pack")

    def lock(self, item: str) -> Path:
        """One of a fixed number of lock files: removing lock files would be a race."""
        return self._folder / f"lock-{crc32(item.encode()) % LOCK_FILES:02d}"

    def _path(self, item: str, kind: str) -> Path:
        return self._folder / f"{item}.{kind}"
