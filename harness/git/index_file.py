"""Whether a git index is whole: a killed process or a full disk leaves half of one, which git then always refuses."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

SIGNATURE = b"DIRC"
LEAST_BYTES = 12 + 20
STALE_LOCK_SECONDS = 10.0


def is_whole(raw: bytes) -> bool:
    """By git's signature and the checksum at the end (SHA-1 or SHA-256; zeros where `index.skipHash` left it out)."""
    if len(raw) < LEAST_BYTES or not raw.startswith(SIGNATURE):
        return False
    return raw[-20:] in (hashlib.sha1(raw[:-20], usedforsecurity=False).digest(), bytes(20)) or (
        raw[-32:] in (hashlib.sha256(raw[:-32]).digest(), bytes(32))
    )


def clear_stale_lock(index: Path, *, after_seconds: float = STALE_LOCK_SECONDS) -> bool:
    """Remove `<index>.lock` if it is older than any command of ours that could still hold it; whether it was there.

    For an index of ours alone, by the holder of its workspace's lock.
    """
    lock = index.with_name(f"{index.name}.lock")
    try:
        if time.time() - lock.stat().st_mtime < after_seconds:
            return False
    except FileNotFoundError:
        return False
    lock.unlink(missing_ok=True)
    return True
