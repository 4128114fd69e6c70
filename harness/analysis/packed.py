"""A packed session log, read as far as it goes: what is cut or damaged ends like a log that was cut off."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

CUT = b'{"_truncated":true}\n'


class PackedLog:
    """The lines of a gzip file; after the last good one of a damaged file the mark of a log that is not whole."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed by `with`, as any other log

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._file
        except (EOFError, zlib.error, gzip.BadGzipFile):
            yield CUT

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()
