"""Text from outside (items, agents, gates, other programs) made safe to show and to write on one line."""

from __future__ import annotations

import re

# Compiled by `re` when the first text needs them: most are plain ASCII, and a command that only looks meets no other.
_SEQUENCES = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, …: title, clipboard
    r"|\x1b[ -/]*[0-~]?"
)
_INVISIBLE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_SURROGATES = "[\ud800-\udfff]"


def plain(text: str) -> str:
    """The text without what a terminal or a reader would obey instead of seeing: escape sequences, control and
    direction characters, hidden tag characters. Newlines and tabs stay. Encodes to UTF-8 always. Linear time.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(_SEQUENCES, "", text)
    return encodable(re.sub(_INVISIBLE, "", text))


def encodable(text: str) -> str:
    """The text as it is, but for halves of surrogate pairs, which neither a file nor a database takes."""
    return text if text.isascii() else re.sub(_SURROGATES, "\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str, most: int | None = None) -> str:
    """`plain` text with every run of white space as one space; cut after `most` characters, with an ellipsis."""
    line = " ".join(plain(text).split())
    return line if most is None or len(line) <= most else line[: most - 1] + "…"


def tail(text: str, most: int) -> str:
    """The last `most` characters, from the start of a line where one is near; says how much was left off."""
    if len(text) <= most:
        return text
    kept = text[-most:]
    first = kept.find("\n")
    if text[-most - 1] != "\n" and 0 <= first < most // 4:
        kept = kept[first + 1 :]
    return f"[{len(text) - len(kept)} characters left off]\n{kept}"
