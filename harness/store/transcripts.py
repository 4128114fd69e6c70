"""The CLI's own transcripts (`state/claude/projects`), when nobody will go on in them: secrets are blotted out.

Not before: the API refuses a conversation whose signed text has changed. What is there an agent may have written, so
links are not followed and only plain files are touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness import fs
from harness.model.errors import HarnessError
from harness.model.redact import Redactor
from harness.model.session import SessionRow
from harness.ports import Scrubbed

CHUNK_BYTES = 1 << 20
_MARK = "«redacted:".encode()
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class CliTranscripts:
    """Implements ports.Transcripts. `claude` is the CLI's CLAUDE_CONFIG_DIR."""

    claude: Path
    redactor: Redactor

    def scrub(self, row: SessionRow) -> Scrubbed:
        """Each file is replaced whole or stays as it is. Blocking. Raises DiskFull or HarnessError."""
        try:
            blots = [self._scrub(path) for path in self._files(row)]
        except OSError as exc:
            found = f"{exc.filename or self.claude}: {exc.strerror}"
            raise HarnessError(f"cannot look through {found}", hint="check its owner and mode") from exc
        return Scrubbed(len(blots), sum(blots))

    def _files(self, row: SessionRow) -> Iterator[Path]:
        """The conversation, and what the CLI keeps in a folder beside it: subagents, outputs too long for it."""
        recorded = [Path(row.transcript)] if row.transcript else []
        found = [path for path in recorded if path.exists()]
        for path in found or self.claude.glob(f"projects/*/{row.claude_session_id}.jsonl"):
            folder = path.with_suffix("")
            inner = [] if folder.is_symlink() else os.walk(folder, onerror=_unreadable)
            beside = [Path(parent) / name for parent, _folders, names in inner for name in sorted(names)]
            yield from (each for each in (path, *beside) if stat.S_ISREG(each.lstat().st_mode))

    def _scrub(self, path: Path) -> int:
        """How much was blotted out; a file with nothing to blot out is not written."""
        blotted = _Blotted(path, self.redactor)
        for _chunk in blotted.chunks():
            pass
        if blotted.blots:
            fs.replace(path, blotted.chunks(), mode=_PRIVATE)
        elif stat.S_IMODE(path.lstat().st_mode) != _PRIVATE:
            path.chmod(_PRIVATE)
        return blotted.blots


def _unreadable(exc: OSError) -> None:
    if not isinstance(exc, FileNotFoundError):
        raise exc


@dataclass(slots=True)
class _Blotted:
    """A file as it should be; `blots` of the last reading."""

    path: Path
    redactor: Redactor
    blots: int = field(default=0)

    def chunks(self) -> Iterator[bytes]:
        """What may be the beginning of a secret waits for the next part. Raises OSError."""
        self.blots = 0
        held = b""
        handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                data = self._applied(held + chunk)
                keep = len(data) - self.redactor.undecided(data)
                held = data[keep:]
                yield data[:keep]
        yield held

    def _applied(self, data: bytes) -> bytes:
        made = self.redactor.apply(data)
        self.blots += made.count(_MARK) - data.count(_MARK)
        return made
