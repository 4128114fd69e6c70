"""What of the file system a session may see and change, for whoever has no kernel to say so (level cli). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SEARCHING_TOOLS = frozenset({"Glob", "Grep"})
FILE_TOOLS = SEARCHING_TOOLS | {"Read", "Write", "Edit", "MultiEdit", "NotebookEdit"}
PROC = "/proc"
"""Memory and environments of other processes; a link in it leads somewhere else for each who follows it."""


@dataclass(frozen=True, slots=True)
class Territory:
    """Absolute real paths, each with all that lies below it. Where two words are said about a path, the deeper one
    holds; for one and the same path, the later field. What nobody said anything about can be read and not written.
    """

    hidden: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()

    def hides(self, path: str) -> bool:
        """Whether `path`, absolute and real, must not be seen."""
        if _within(path, PROC):
            return True
        shown = max((len(each) for each in (*self.readable, *self.writable) if _within(path, each)), default=-1)
        return any(len(each) > shown for each in self.hidden if _within(path, each))

    def hides_below(self, folder: str) -> bool:
        """Whether a search through `folder` would come across something hidden."""
        return self.hides(folder) or any(_within(each, folder) for each in (*self.hidden, PROC))

    def may_write(self, path: str) -> bool:
        """Whether the deepest word about `path` is that it can be written."""
        writable = max((len(each) for each in self.writable if _within(path, each)), default=-1)
        others = (each for each in (*self.hidden, *self.readable) if _within(path, each))
        return writable >= 0 and all(len(each) <= writable for each in others)

    def shown(self) -> Iterator[str]:
        """What can be seen though it lies in something hidden."""
        for path in (*self.readable, *self.writable):
            if any(_within(path, each) for each in self.hidden):
                yield path


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
