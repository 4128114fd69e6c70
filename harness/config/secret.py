"""Secrets are named in config.yaml, never written there (C37)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harness.model.errors import ConfigError

MASK = "********"
REFERENCE = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00]+)$"
_TELLING_NAME = re.compile(
    r"(^|[_-])(token|secret|password|passwd|api_?key|private_?key|access_?key|credentials?)$", re.IGNORECASE
)
_TELLING_VALUE = re.compile(
    r"sk-[A-Za-z0-9-]{16}|gh[pousr]_\w{16}|github_pat_\w{16}|xox[abp]-\w{8}|AKIA[0-9A-Z]{16}"
    r"|://[^\s/@:?#]*:[^\s/@?#]+@|(?i:\b(?:password|pwd)\s*=\s*[^\s;])"
)
"""Tokens, URLs with a password, connection strings."""
_LARGEST = 64 * 1024


class Secret:
    """`env:NAME` or `file:PATH`: where a secret is. Holds the reference only, so printing one reveals nothing."""

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(pattern=REFERENCE, strict=True),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda secret: secret.reference),
        )

    def resolve(self, environ: Mapping[str, str], home: Path) -> str:
        """The secret itself, now; a relative file is looked for in `home`, one final newline is dropped.

        Raises ConfigError when it is missing, or when others than its owner may read the file.
        """
        kind, _, where = self.reference.partition(":")
        if kind == "file":
            return _read(home / where)
        if where not in environ:
            raise ConfigError(
                f"{self.reference}: {where} is not set", hint=f"export {where}, or name a file with file:PATH"
            )
        return environ[where]


def looks_secret(name: str, value: object) -> bool:
    """Whether a literal value would be a secret written down, told by its key or by its shape."""
    if not isinstance(value, str) or not value or re.match(REFERENCE, value):
        return False
    return bool(_TELLING_NAME.search(name) or _TELLING_VALUE.search(value))


def _read(path: Path) -> str:
    try:
        # Without waiting: somebody may have put a pipe there.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check(path, os.fstat(handle))
            return os.read(handle, _LARGEST).decode().removesuffix("\n")
        finally:
            os.close(handle)
    except OSError as exc:
        raise ConfigError(f"file:{path}: {exc.strerror}", hint="write the secret into that file, mode 600") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"file:{path}: not UTF-8 text") from exc


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        raise ConfigError(f"file:{path}: not a regular file of at most {_LARGEST} bytes")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"file:{path}: mode {mode:03o} lets others read it", hint=f"chmod 600 {path}")
