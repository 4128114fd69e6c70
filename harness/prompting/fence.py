"""The fence round untrusted text in a prompt: data is shown to the agent, it does not speak to it."""

from __future__ import annotations

import hashlib
import re
import secrets

from harness.model.text import plain

_JOINERS = "[\u200c\u200d\\s/\uff0f]*"
_LOOK_ALIKE = re.compile(
    "[<\uff1c\ufe64\u2039\u3008\u27e8]" + _JOINERS + _JOINERS.join("untrusted"),
    re.IGNORECASE,
)
_OPENING = re.compile(r'<untrusted id="([0-9a-f]{16})"')


_TAG = re.compile(r'^</?untrusted id="[0-9a-f]{16}"(?: what="[^"\n]*")?>\n?', re.MULTILINE)


class Fence:
    """Fences for one prompt. The ids follow from `seed` (the session's id, unknown to whoever wrote the text), so
    that the same prompt rendered twice is the same text; without a seed they are random.
    """

    def __init__(self, seed: str = "") -> None:
        self._seed = seed or secrets.token_hex(16)
        self._count = 0

    def around(self, text: str, what: str) -> str:
        """The text inside a block of its own, whole; `what` is our word for it ("description", "gate output")."""
        self._count += 1
        nonce = hashlib.sha256(f"{self._seed} {self._count}".encode()).hexdigest()[:16]
        inside = _LOOK_ALIKE.sub("&lt;untrusted", plain(text)).replace(nonce, "[id]").strip("\n")
        return f'<untrusted id="{nonce}" what="{what}">\n{inside}\n</untrusted id="{nonce}">'


def unfenced(text: str) -> str:
    """A rendered text without its fences, for a person; tags that the fenced text itself has were made harmless."""
    return _TAG.sub("", text)


def fence_id(block: str) -> str | None:
    """The id of a fenced block, None for text that has no fence."""
    found = _OPENING.match(block)
    return found[1] if found else None
