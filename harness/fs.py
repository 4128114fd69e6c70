"""Files, done once: atomic replace, append, and the one function that deletes folders."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from harness.model.errors import DiskFull, HarnessError, Refused

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of linux/fcntl.h and linux/fs.h."""


def translate(exc: OSError, path: Path) -> HarnessError:
    """The error an operator can act on for a failed write at `path`."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left writing {path}", hint="make space on that volume; the loop goes on by itself")
    return HarnessError(f"cannot write {path}: {exc.strerror}", hint=f"check owner and mode of {path.parent}")


def replace(path: Path, data: bytes | str | Iterable[bytes], *, mode: int = 0o600, durable: bool = False) -> None:
    """Write `path` so that a reader sees the old or the new content, never a part.

    With `durable`, the content is on disk before the name points to it. Raises DiskFull or HarnessError.
    """
    raw = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        # Not the module tempfile: it loads `random` and `shutil`, which cost a read command more than its question.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.writelines([raw] if isinstance(raw, bytes) else raw)
            os.fchmod(out.fileno(), mode)
            if durable:
                out.flush()
                os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise translate(exc, path) from exc


def place(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Write `path` whole, unless something is there already; whether it was written. Raises as `replace` does."""
    made = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    replace(made, text, mode=mode)
    try:
        os.link(made, path)
    except FileExistsError:
        return False
    except OSError as exc:
        raise translate(exc, path) from exc
    finally:
        made.unlink(missing_ok=True)
    return True


def exchange(one: Path, other: Path) -> None:
    """Two files change names in one step, so that nothing which somebody writes over `one` meanwhile is lost. Where the
    system cannot do that (not Linux, some file systems) it is three steps. Raises FileNotFoundError; HarnessError.
    """
    import ctypes  # noqa: PLC0415 - dear, and only for files that people edit

    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is not None and swap(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return
    if swap is not None and (number := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
        if number == errno.ENOENT:
            raise FileNotFoundError(number, os.strerror(number), str(one))
        raise translate(OSError(number, os.strerror(number)), one)
    spare = other.with_name(f"{other.name}.{os.urandom(4).hex()}")
    os.link(one, spare)
    other.replace(one)
    spare.replace(other)


def append(path: Path, line: str, *, mode: int = 0o600) -> None:
    """Add one line with one write, so that lines of several processes never mix. Raises DiskFull or HarnessError."""
    raw = line.rstrip("\n").encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            while raw:
                raw = raw[os.write(handle, raw) :]
        finally:
            os.close(handle)
    except OSError as exc:
        raise translate(exc, path) from exc


def discard(folder: Path, *, under: Path) -> None:
    """Delete a folder of ours. The only deletion of folders in the program.

    `folder` must be strictly inside `under`; links are removed, never followed. Raises Refused otherwise.
    """
    root, target = Path(os.path.realpath(under)), Path(os.path.realpath(folder.parent), folder.name)
    if root == target or root not in target.parents:
        raise Refused(f"refusing to delete {target}: it is not inside {root}")
    try:
        target.rmdir()  # an empty one needs no walk
    except FileNotFoundError:
        return
    except OSError:
        _discard(target)


def _discard(target: Path) -> None:
    if target.is_symlink():
        target.unlink()
        return
    import shutil  # noqa: PLC0415 - dear, and only for deleting

    try:
        shutil.rmtree(target)
    except PermissionError:
        _unlock(target)
        shutil.rmtree(target)


def _unlock(folder: Path) -> None:
    """Agents may leave read-only folders behind (build caches do); deleting needs write permission on each."""
    folder.chmod(0o700)
    for parent, folders, _files in os.walk(folder, followlinks=False):
        for name in (".", *folders):
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o700)
