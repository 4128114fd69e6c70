"""What a contained process sees of the machine, as bubblewrap is told it (architecture 7.7, R7).

Everything is readable that nobody said anything about, nothing is writable. Where two words are said about a path, the
deeper one holds: a workspace inside a hidden state folder can be written.
"""

from __future__ import annotations

import glob
import os
import pwd
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.model import hidden
from harness.model.territory import Territory

# In this order of precedence for one and the same path.
_HIDDEN, _EMPTY, _READABLE, _WRITABLE = range(4)

NAMESPACES = (
    *("--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"),
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
)


@dataclass(frozen=True, slots=True)
class View:
    """`hidden` is there and empty, `empty` the same and writable (in memory), `own_tmp` stands for /tmp.

    Paths need not exist, except the writable ones; links are resolved. A path that is a file hides as a file.
    """

    hidden: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    own_tmp: Path | None = None

    def over(self, other: View) -> View:
        """Both; our `own_tmp` if we have one."""
        return View(
            (*other.hidden, *self.hidden),
            (*other.empty, *self.empty),
            (*other.readable, *self.readable),
            (*other.writable, *self.writable),
            self.own_tmp or other.own_tmp,
        )

    def arguments(self) -> list[str]:
        """bubblewrap's, up to the command; parents come before what lies in them."""
        words = self._words()
        made = [*NAMESPACES, *self._temporary(words)]
        for path in sorted(words, key=lambda each: Path(each).parts):
            made += _mount(path, words[path])
        # last, because what lies inside needs its mount point made
        for path, word in words.items():
            if word == _HIDDEN and not Path(path).is_file():
                made += ["--remount-ro", path]
        return made

    def territory(self) -> Territory:
        """The same words for whoever is no kernel, also about what is not there yet. What is empty and in memory for
        bubblewrap is hidden here.
        """
        words = self._words(there=False).items()
        return Territory(
            hidden=tuple(path for path, word in words if word in (_HIDDEN, _EMPTY)),
            readable=tuple(path for path, word in words if word == _READABLE),
            writable=tuple(path for path, word in words if word == _WRITABLE),
        )

    def _words(self, *, there: bool = True) -> dict[str, int]:
        said = ((_HIDDEN, self.hidden), (_EMPTY, self.empty), (_READABLE, self.readable), (_WRITABLE, self.writable))
        words: dict[str, int] = {}
        for word, paths in said:
            for path in paths:
                if not there or word in (_EMPTY, _WRITABLE) or path.exists():
                    words[os.path.realpath(path)] = word
        return words

    def _temporary(self, words: Iterable[str]) -> Iterator[str]:
        """The session's own folder as /tmp; an empty one if something else must be mounted below it."""
        for place in map(os.path.realpath, hidden.TEMPORARY):
            if self.own_tmp is None or any(path.startswith(f"{place}/") for path in words):
                yield from ("--tmpfs", place)
            else:
                yield from ("--bind", str(self.own_tmp), place)


def _mount(path: str, word: int) -> Sequence[str]:
    if word == _WRITABLE:
        return ("--bind", path, path)
    if word == _READABLE:
        return ("--ro-bind", path, path)
    # a device on a mount without devices: opening it is refused
    return ("--ro-bind", "/dev/null", path) if Path(path).is_file() else ("--tmpfs", path)


@dataclass(frozen=True, slots=True)
class Machine:
    """What is hidden of this machine from everybody. `homes` are the operator's own home folders."""

    homes: tuple[Path, ...] = field(default_factory=lambda: own_homes(os.environ.get("HOME")))

    def view(self) -> View:
        secrets = [home / name for home in self.homes for name in hidden.OF_A_USER]
        secrets += [*map(Path, hidden.OF_THE_MACHINE), *map(Path, glob.glob(hidden.HOST_KEYS))]  # noqa: PTH207 - absolute
        return View(
            hidden=(Path(hidden.SOCKETS), *filter(_readable, secrets), *self._others()),
            readable=tuple(map(Path, hidden.KEPT_OF_SOCKETS)),
        )

    def _others(self) -> Iterator[Path]:
        """Home folders of others; those that we cannot enter ourselves need no hiding."""
        own = {os.path.realpath(home) for home in self.homes}
        places = [Path(place) for place in hidden.HOMES if Path(place).is_dir()]
        for home in (Path("/root"), *(each for place in places for each in place.iterdir())):
            real = os.path.realpath(home)
            mine = any(own_home == real or own_home.startswith(f"{real}/") for own_home in own)
            if not mine and home.is_dir() and os.access(home, os.R_OK | os.X_OK):
                yield home


def own_homes(home: str | None) -> tuple[Path, ...]:
    """The home folder by name of the account, and by HOME if that is another one."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:  # an account without a name, as in containers
        account = "/"
    found = {Path(each) for each in (home, account) if each and each.startswith("/") and each != "/"}
    return tuple(sorted(found))


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def objects_of(git_dir: Path) -> tuple[Path, ...]:
    """The object folders of a repository: its own, and those it borrows from, read as plain files."""
    found: list[Path] = []
    ahead = [git_dir / "objects"]
    while ahead and len(found) < 16:
        folder = ahead.pop()
        if folder in found or not folder.is_dir():
            continue
        found.append(folder)
        alternates = folder / "info" / "alternates"
        if alternates.is_file():
            lines = alternates.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            ahead += [Path(os.path.normpath(folder / line)) for line in lines if line and not line.startswith("#")]
    return tuple(found)


def inside(view: View, *, writable: Sequence[Path], readable: Sequence[Path] = ()) -> View:
    """`view` with more that can be written or read."""
    return replace(view, writable=(*view.writable, *writable), readable=(*view.readable, *readable))
