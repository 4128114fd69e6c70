"""Ports on loopback, so that what runs side by side never listens on the same one (C17).

Who has which is kept in one file, by the folder that they are for: an entry ends with its folder.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from zlib import crc32

from harness import fs
from harness.model.errors import Refused

FIRST, LAST = 20_000, 29_999
"""Below what Linux gives to outgoing connections (32768 and up)."""


class Ports:
    """The book of one home. Used by several processes at a time: each call holds the book's lock."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self, folder: Path, count: int) -> Sequence[int]:
        """`count` ports for `folder`, which must exist: those it has, as far as they are free, then others.

        Raises Refused if there are not enough, DiskFull or HarnessError if the book cannot be written.
        """
        if count == 0:
            return ()
        with self._locked():
            book = self._read()
            kept = [port for port in book.pop(str(folder), []) if is_free(port)]
            taken = {port for ports in book.values() for port in ports}
            ports = kept[:count]
            for port in _candidates(folder):
                if len(ports) == count:
                    break
                if port not in taken and port not in ports and is_free(port):
                    ports.append(port)
            if len(ports) < count:
                raise Refused(
                    f"{count} ports are wanted for {folder}, {len(ports)} of {FIRST}-{LAST} are free",
                    hint="end what listens there, or lower `ports` of the repository",
                )
            fs.replace(self._file, json.dumps(book | {str(folder): ports}))
        return tuple(ports)

    def _read(self) -> dict[str, list[int]]:
        """Entries of folders that exist. A book that cannot be read is begun anew: `is_free` still holds."""
        try:
            book = json.loads(self._file.read_bytes())
            return {name: [int(port) for port in ports] for name, ports in book.items() if Path(name).is_dir()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return {}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._file.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise fs.translate(exc, lock) from exc
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of loopback, IPv4 or IPv6; connections that are only dying away do not count."""
    return all(_binds(family, host, port) for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")))


def _binds(family: int, host: str, port: int) -> bool:
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return True  # a machine without this family has nobody on it
    with closing(opened):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
        except OSError as exc:
            return exc.errno not in {errno.EADDRINUSE, errno.EACCES}
    return True


def _candidates(folder: Path) -> Iterator[int]:
    """All of the range, beginning at a place of the folder's own: two homes rarely try the same ones."""
    size = LAST - FIRST + 1
    start = crc32(str(folder).encode()) % size
    for step in range(size):
        yield FIRST + (start + step) % size
