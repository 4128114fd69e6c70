"""Blots secrets out of what is written: known values in the forms they take on their way, what looks like a token, and
names and passwords in URLs.

Standard library only, and little of it: agent-init runs on this.
"""

from __future__ import annotations

import binascii
import json
import os
import re

TYPE_CHECKING = False  # importing typing costs as much as everything else here together
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET_PARTS = (
    *("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL"),
    *("DATABASE_URL", "CONNECTION_STRING", "CONNECTIONSTRING", "CONN_STR"),
)
"""A variable with one of these anywhere in its name holds a secret,"""
SECRET_WORDS = frozenset({"DSN", "PASS", "PWD"})
"""and one with one of these between its underscores, PWD itself apart: the shell's folder."""
SECRET_LENGTH = 8
TOKEN_MARK, LOGIN_MARK = "«redacted:token»".encode(), "«redacted:login»".encode()
TOKEN = re.compile(
    rb"sk-ant-[\w-]{24,}|gh[pousr]_\w{30,}|github_pat_\w{40,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{20,}"
    rb"|AKIA(?<!\wAKIA)[0-9A-Z]{16}\b|AIza(?<!\wAIza)[\w-]{35}\b"
)
"""The shapes of keys of Anthropic, GitHub, GitLab, Slack, AWS and Google; nothing else looks like them.

Each begins with a letter, not with a condition: four times as fast, and every byte of output comes by here.
"""
LOGIN = re.compile(rb"""://(?!\xc2\xab)[^\s/@:?#"'<>\\]{0,64}:(?!\xc2\xab)[^\s/@?#"'<>\\]{1,256}@""")
"""Name and password before the host of a URL; not where a known value in it is blotted out already."""
PASSWORD = re.compile(r"(?:password|pwd)\s*=\s*([^\s;'\"]+)", re.IGNORECASE)
"""In what is no URL: `Server=db;Password=…`, `host=db password=…`."""
BEGUN = re.compile(
    rb"(?:sk-|gh[pousr]_|github_|glpat-|xox[abprs]-|AKIA|AIza)[\w-]{0,255}\Z"
    rb"""|:(?:/(?:/[^\s/@?#"'<>\\]{0,321})?)?\Z"""
)
MOST_BEGUN = 340
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Redactor:
    """Replaces the values of secret environment variables by their names, tokens and logins in URLs by a mark."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        marks: dict[bytes, bytes] = {}
        for name, value in environment.items():
            mark = f"«redacted:{name}»".encode(errors="replace")
            for secret in secrets_of(name, value):
                marks |= {form: mark for form in forms(secret) if len(form) >= SECRET_LENGTH}
        self.marks = sorted(marks.items(), key=lambda mark: -len(mark[0]))

    def apply(self, data: bytes) -> bytes:
        for value, mark in self.marks:
            if value in data:
                data = data.replace(value, mark)
        return LOGIN.sub(b"://" + LOGIN_MARK + b"@", TOKEN.sub(TOKEN_MARK, data))

    def text(self, text: str) -> str:
        """The same for text."""
        return self.apply(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")

    def undecided(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret whose rest has not come yet."""
        begun = BEGUN.search(data, max(0, len(data) - MOST_BEGUN))
        longest = len(data) - begun.start() if begun else 0
        for value, _mark in self.marks:
            size = min(len(value) - 1, len(data))
            while size > longest and not data.endswith(value[:size]):
                size -= 1
            longest = max(longest, size)
        return longest


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds a secret."""
    words = name.upper().split("_")
    return any(part in name.upper() for part in SECRET_PARTS) or (not SECRET_WORDS.isdisjoint(words) and name != "PWD")


def secrets_of(name: str, value: str) -> Iterator[str]:
    """What must not be shown of a variable, of what is long enough to be told from other text: all of it if its name
    says so, and name and password of a URL in it, together and apart.
    """
    found = [value] if is_secret(name) else []
    found += PASSWORD.findall(value) if found else []
    for login in LOGIN.findall(os.fsencode(value)):
        both = os.fsdecode(login[3:-1])
        password = both.partition(":")[2]
        found += [both, password, _unquoted(password)]
    yield from (secret for secret in dict.fromkeys(found) if len(secret) >= SECRET_LENGTH)


def _unquoted(text: str) -> str:
    """As a program gets it that takes the URL apart. Not urllib's: loading that costs more than all of this."""
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), os.fsencode(text))
    return os.fsdecode(raw)


def forms(value: str) -> Iterator[bytes]:
    """A secret as it is, inside JSON, inside a URL, and inside Base64 of something longer, wherever it begins there."""
    raw = os.fsencode(value)
    yield raw
    for escaped in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        yield os.fsencode(escaped[1:-1])
    yield b"".join(bytes([byte]) if byte in _UNRESERVED else b"%%%02X" % byte for byte in raw)
    for before in range(3):
        encoded = binascii.b2a_base64(b"\0" * before + raw, newline=False)
        # the characters that the bytes of the secret alone decide
        inner = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))
