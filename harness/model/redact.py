"""Blots secrets out of what is written: known values in the forms they take on their way, and what looks like a token.

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

SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
SECRET_LENGTH = 8
TOKEN_MARK = "«redacted:token»".encode()
TOKEN = re.compile(
    rb"sk-ant-[\w-]{24,}|gh[pousr]_\w{30,}|github_pat_\w{40,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{20,}"
    rb"|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}\b"
)
"""The shapes of keys of Anthropic, GitHub, GitLab, Slack, AWS and Google; nothing else looks like them."""
BEGUN = re.compile(rb"(?:sk-|gh[pousr]_|github_|glpat-|xox[abprs]-|AKIA|AIza)[\w-]{0,255}\Z")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Redactor:
    """Replaces the values of secret environment variables by their names, and tokens by a mark."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        marks: dict[bytes, bytes] = {}
        for name, value in environment.items():
            if len(value) >= SECRET_LENGTH and any(word in name.upper() for word in SECRET_WORDS):
                mark = f"«redacted:{name}»".encode(errors="replace")
                marks |= {form: mark for form in forms(value) if len(form) >= SECRET_LENGTH}
        self.marks = sorted(marks.items(), key=lambda mark: -len(mark[0]))

    def apply(self, data: bytes) -> bytes:
        for value, mark in self.marks:
            if value in data:
                data = data.replace(value, mark)
        return TOKEN.sub(TOKEN_MARK, data)

    def text(self, text: str) -> str:
        """The same for text."""
        return self.apply(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")

    def undecided(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret whose rest has not come yet."""
        begun = BEGUN.search(data, max(0, len(data) - 270))
        longest = len(data) - begun.start() if begun else 0
        for value, _mark in self.marks:
            size = min(len(value) - 1, len(data))
            while size > longest and not data.endswith(value[:size]):
                size -= 1
            longest = max(longest, size)
        return longest


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
