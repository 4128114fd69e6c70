"""Stops our program, or lets somebody else write, right before any step that it makes in the file system.

An audit hook of the interpreter sees each step before it happens, so nothing of ours is patched. Raising there is as
near to SIGKILL as one process comes: no later step of the same call happens either.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STEPS = frozenset({"os.rename", "os.link", "os.remove", "os.mkdir", "ctypes.dlsym"})
"""`ctypes.dlsym`: the name of `renameat2` is looked up right before it is called."""


class Died(BaseException):
    """SIGKILL, right before a step."""


class Steps:
    """One for the whole process: an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self._left = 0
        self._root = ""
        self._then: Callable[[], None] | None = None
        self._dead = False
        self._armed = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._armed or not (event in STEPS or (event == "open" and _writes(args))):
            return
        if event != "ctypes.dlsym" and not str(args[0]).startswith(self._root):
            return
        if self._dead:
            raise Died
        self._left -= 1
        if self._left == 0:
            self._act()

    def _act(self) -> None:
        if self._then is None:
            self._dead = True
            raise Died
        self._armed = False
        self._then()

    @contextmanager
    def before(self, number: int, root: Path, then: Callable[[], None] | None = None) -> Iterator[None]:
        """Right before step `number` (0: none) below `root` of what is inside, die or do `then`; afterwards everything
        is as usual. Raises Died.
        """
        self._root, self._left, self._then = str(root), number, then
        self._dead, self._armed = False, number > 0
        try:
            yield
        finally:
            self._armed = False


def _writes(args: tuple[Any, ...]) -> bool:
    flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR))


STEPS_OF_US = Steps()
