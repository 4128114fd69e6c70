"""The whole error tree. Expected endings of sessions are outcomes, not exceptions.

HarnessError                1
├── Usage                   2   the command line or a value in it is wrong
│   └── Unbuilt             2   a command of the contract that this version does not have
├── NotFound                4   no such item, session, repository, ref
├── Refused                 1   understood, but the present state forbids it
│   ├── LeaseLost           1   a write of a lease that is no longer the newest (fence)
│   └── IllegalMove         1   a state change that the transition table does not have
├── NotRunning              3   needs a running loop
├── Paused                  5   paused, or waiting for a person
├── ToolMissing            69   a program we need is not there
├── Busy                   75   another instance holds the lock; try again later
├── StoreError              1   the database cannot be read or written
│   └── DiskFull           75   no space left where state lives
├── GitError                1   git said no
│   ├── Conflict            1   two changes cannot both stand
│   ├── NotFastForward      1   the branch moved, or the checkout is in the way
│   └── PushFailed          1   the remote did not take what was integrated here
├── AuthError              77   no usable credential
├── ConfigError            78   config.yaml, a template, or how the program was started
│   └── TemplateError      78   a prompt cannot be rendered
└── Expired               124   our own --timeout
"""

from __future__ import annotations

from typing import ClassVar


class HarnessError(Exception):
    """Something the operator can act on: message = what happened with its values, hint = the command that helps.

    `code` is stable and part of the contract (the `kind` of a JSON error); `status` is the exit code (contract 4).
    `cause` is evidence, at most a few lines.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.cause = cause


class Usage(HarnessError):
    code, status = "usage", 2


class Unbuilt(Usage):
    code = "not_built"


class NotFound(HarnessError):
    code, status = "not_found", 4


class Refused(HarnessError):
    code, status = "refused", 1


class LeaseLost(Refused):
    code = "lease_lost"


class IllegalMove(Refused):
    code = "illegal_move"


class NotRunning(HarnessError):
    code, status = "not_running", 3


class Paused(HarnessError):
    code, status = "paused", 5


class ToolMissing(HarnessError):
    code, status = "tool_missing", 69


class Busy(HarnessError):
    code, status = "busy", 75


class StoreError(HarnessError):
    code, status = "store", 1


class DiskFull(StoreError):
    code, status = "disk_full", 75


class GitError(HarnessError):
    code, status = "git", 1


class Conflict(GitError):
    """Two changes cannot both stand; `paths` are the files in conflict."""

    code = "conflict"

    def __init__(self, message: str, *, paths: tuple[str, ...] = (), hint: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint, cause=cause)
        self.paths = paths


class NotFastForward(GitError):
    """The branch moved on, or local changes of the checkout are in the way; `paths` names them."""

    code = "not_fast_forward"

    def __init__(self, message: str, *, paths: tuple[str, ...] = (), hint: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint, cause=cause)
        self.paths = paths


class PushFailed(GitError):
    """The remote did not take it; `kind` is behind (it has commits that are not here), refused (protected branch or
    hook), auth, network, missing, no_remote or other.
    """

    def __init__(self, message: str, *, kind: str, hint: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint, cause=cause)
        self.kind = kind


class AuthError(HarnessError):
    code, status = "auth", 77


class ConfigError(HarnessError):
    code, status = "config", 78


class TemplateError(ConfigError):
    code = "template"


class Expired(HarnessError):
    code, status = "timeout", 124
