"""The gate `spec`: changed specifications say how they are verified, what is risky or assumed, what is open (C16)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from harness.gates.files import change_of, listed, shown
from harness.model.globs import covered
from harness.model.verdict import FAILED, PASSED, Verdict
from harness.ports import GateCase, GateTerms, Runner

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.+?)\s*#*\s*$")


class SpecGate:
    """`paths` are globs of specifications, `sections` name -> headings of which one must stand there with text below.

    A heading counts if it begins with the wanted words, whatever their case; numbers before it do not matter. A passed
    one proves work that is specifications and nothing else.
    """

    def __init__(
        self,
        name: str,
        runner: Runner,  # noqa: ARG002 - every gate is made with one
        *,
        paths: Sequence[str],
        sections: Mapping[str, Sequence[str]],
        kinds: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self.terms = GateTerms(proves=False, compares=True, checkout=False)
        self._paths = tuple(paths)
        self._sections = {each: tuple(headings) for each, headings in sections.items()}

    async def judge(self, case: GateCase) -> Verdict:
        """Raises GitError."""
        began = time.monotonic()
        change = change_of(case)
        every = await change.files()
        covers = [file for file in every if covered(file.path, self._paths)]
        specs = [file.path for file in covers if file.status != "D"]
        faults = {}
        for path in specs:
            if missing := self._missing(await change.text(change.head, path)):
                faults[path] = missing
        text = _told(faults) if faults else f"{len(specs)} changed specification(s) say what they must"
        word = FAILED if faults else PASSED
        files = tuple(shown(path) for path in faults or specs)
        alone = bool(specs) and len(covers) == len(every)
        return Verdict(self.name, word, time.monotonic() - began, "", text, case.commit, proves=alone, files=files)

    def _missing(self, text: str | None) -> list[str]:
        """The sections that are not there, or are empty. All, if the file is no text."""
        found = _sections(text or "")
        return [
            f"{name} (a heading that begins with: {' or '.join(headings)})"
            for name, headings in self._sections.items()
            if not any(body and _begins(title, headings) for title, body in found)
        ]


def _begins(title: str, headings: Sequence[str]) -> bool:
    words = re.sub(r"^[\d.\s)]+", "", title).casefold()
    return any(words.startswith(heading.casefold()) for heading in headings)


def _sections(text: str) -> list[tuple[str, bool]]:
    """Headings of a Markdown text, each with whether any text stands below it, in its own subsections too.

    What stands in a code block is no heading.
    """
    found: list[tuple[str, bool]] = []
    open_: list[tuple[int, int]] = []
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or fence == mark[1]):
            fence = "" if fence else mark[1]
        heading = None if fence or mark else _HEADING.match(line)
        if heading:
            level = len(heading[1])
            open_ = [*((deep, place) for deep, place in open_ if deep < level), (level, len(found))]
            found.append((heading[2], False))
        elif line.strip():
            for _, place in open_:
                found[place] = (found[place][0], True)
    return found


def _told(faults: Mapping[str, Sequence[str]]) -> str:
    parts = [f"{listed([path]).strip()} lacks:\n{listed(missing)}" for path, missing in faults.items()]
    return "\n".join([*parts, "write these sections; a heading with nothing below it does not count"])
