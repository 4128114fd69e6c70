"""A short name for the sessions' temporary folders: level cli puts sockets there, and a socket's path has 107 bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from harness.model.errors import ConfigError

MOST_BYTES = 107 - len("/claude-socks-0123456789abcdef.sock")
"""Of a session's TMPDIR; the CLI 2.1 adds these names."""


def shortcut(runs: Path) -> Path:
    """A link to `runs` in the system's temporary folder, the same for each start. Made if it is not there.

    Raises ConfigError if something of somebody else has its name.
    """
    target = str(runs.resolve())
    link = Path(tempfile.gettempdir()) / f"loop-{hashlib.sha256(os.fsencode(target)).hexdigest()[:12]}"
    try:
        link.symlink_to(target)
    except FileExistsError:
        ours = link.is_symlink() and link.lstat().st_uid == os.geteuid() and os.fspath(link.readlink()) == target
        if not ours:
            raise ConfigError(f"{link} is in the way: not a link of ours to {target}", hint=f"rm {link}") from None
    except OSError as exc:
        raise ConfigError(f"{link} cannot be made: {exc.strerror}", hint="set TMPDIR to a folder of yours") from exc
    return link
