"""What a failure looks like when everything that changes from one time to the next is taken away.

Two attempts with the same fingerprint failed the same way: then it is the task, not the luck.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from harness.model.journal import AttemptRow

TAIL_CHARACTERS = 2000
_TIMES = re.compile(r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d:\d\d[\d.]*(?:z|[+-]\d\d:?\d\d)?")
_PATHS = re.compile(r"(?:/[\w.@+-]+)+/")
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b(?=[a-f]*\d)[0-9a-f]{7,}\b|\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class Symptom:
    """`gate` is the one that was red, empty if none; `digest` of the end of what it, or the session, said."""

    ending: str
    gate: str
    digest: str

    @property
    def fingerprint(self) -> str:
        return "/".join(part for part in (self.ending, self.gate, self.digest) if part)


def symptom(attempt: AttemptRow) -> Symptom:
    """Pure. An attempt that did not fail has its outcome for an ending."""
    red = next((v for v in attempt.verdicts if v.get("verdict") not in (None, "passed")), None)
    words = str(red.get("tail") or "") if red else attempt.evidence
    plain = normalised(words)
    digest = hashlib.sha256(plain.encode()).hexdigest()[:12] if plain else ""
    return Symptom(attempt.ending or attempt.outcome or "", str(red.get("gate") or "") if red else "", digest)


def normalised(text: str) -> str:
    """The end of a text without times, folders, numbers and spacing."""
    text = text[-TAIL_CHARACTERS:].lower()
    for pattern, word in ((_TIMES, "<time>"), (_PATHS, ""), (_NUMBERS, "#")):
        text = pattern.sub(word, text)
    return " ".join(text.split())
