"""Which files a tool call is about, as the CLI and the kernel would find them: before a rule can say no to one.

The CLI drops `..` by the text of a path, the kernel after it has followed the links before it. Who judges only one of
the two lets the other through, so both are made, and each is judged.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from typing import Any

from harness.model.territory import PROC, SEARCHING_TOOLS

_KEYS = ("file_path", "notebook_path")
_MOST_LINKS = 40
_WILD = "*?[{!(\\"

Arguments = Mapping[str, Any]


def readings(tool: str, arguments: Arguments, cwd: str, home: str) -> Iterator[Arguments]:
    """The arguments with absolute real paths, once for each place they can lead to; at least once.

    `path` of a tool that searches is the folder where it begins. `home` is what `~` stands for. Raises OSError for a
    circle of links, ValueError for a path that no file can have.
    """
    named = {key: _absolute(str(arguments[key]), cwd, home) for key in _KEYS if arguments.get(key)}
    if tool in SEARCHING_TOOLS:
        named["path"] = _beginning(tool, arguments, cwd, home)
    if not named:
        yield arguments
        return
    seen: list[dict[str, str]] = []
    for text in (named, {key: os.path.normpath(path) for key, path in named.items()}):
        paths = {key: real(path) for key, path in text.items()}
        if paths not in seen:
            seen.append(paths)
            yield {**arguments, **paths}


def real(path: str) -> str:
    """`os.path.realpath`, but what leads into /proc ends there: in it a link means something else for the CLI.

    Raises OSError for a circle of links: nobody can tell where it would be opened.
    """
    if "\0" in path:
        raise ValueError("a path with a null byte")
    here, links = "/", 0
    ahead = path.split("/")[::-1]
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = os.path.dirname(here)  # noqa: PTH120 - of text
        elif name not in ("", "."):
            here = os.path.join(here, name)  # noqa: PTH118 - of text
            if here == PROC:
                return "/".join([PROC, *ahead[::-1]])
            link = _link(here)
            if link is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                here = "/" if link.startswith("/") else os.path.dirname(here)  # noqa: PTH120 - of text
                ahead += link.split("/")[::-1]
    return here


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - of text
    except OSError:  # no link, not there, or not for us: the CLI has our rights and gets no further
        return None


def _absolute(path: str, cwd: str, home: str) -> str:
    """As the CLI reads a path that a model wrote: without blanks around it, `~` alone is the session's HOME."""
    path = path.strip()
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    return os.path.join(cwd, path)  # noqa: PTH118 - an absolute second part wins, as in the CLI


def _beginning(tool: str, arguments: Arguments, cwd: str, home: str) -> str:
    """The folder below which all matches lie; the root where a pattern could leave its folder."""
    folder = _absolute(str(arguments.get("path") or ""), cwd, home)
    if tool != "Glob":
        return folder
    parts = str(arguments.get("pattern", "")).strip().split("/")
    wild = next((index for index, part in enumerate(parts) if any(c in _WILD for c in part)), len(parts))
    rest = "/".join(parts[wild:])
    if any(escape in rest for escape in ("..", "~", "{/", ",/")):
        return "/"
    fixed = "/".join(parts[:wild]) or ("/" if wild and parts[0] == "" else "")
    return _absolute(fixed, folder, home)
