"""What follows an integration (`repositories[].after`), and what is asked before a push (`before_push`)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from harness.config.fields import Many, Name, Seconds, Section, Text


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or path.parts[:1] in ((), (".git",)):
        raise ValueError("an artefact is a file or folder inside the checkout")
    return value


class BuildSection(Section):
    """A build of what is integrated. One that fails never takes the place of one that works."""

    run: Text
    """Shell command, run as gates are: in a clean checkout, contained, without credentials of the model."""
    artefacts: Annotated[Many[Annotated[Text, AfterValidator(_inside)]], Field(max_length=100)] = ()
    """Files or folders of the checkout that are kept when it has succeeded; `state/builds/NAME/current` leads to them.
    """
    timeout_seconds: Seconds = 1800
    """Longest run; then the build has failed."""


class AfterSection(Section):
    """What follows each integration on the repository's branch; outstanding steps survive any crash."""

    review: bool = False
    """Whether every integrated piece of work gets an item of kind `review` in lane `review`."""
    pull: Many[Text] = ()
    """Long-lived worktrees or clones that are fast-forwarded, never forced; paths as in `path`."""
    build: BuildSection | None = None
    """What is built from the branch; null = nothing."""


class PushCheckSection(Section):
    """A command that is asked before a push: it reads a description as JSON from its input, and refuses with any exit
    but 0. It may write a JSON report to the file that HARNESS_REPORT names.
    """

    name: Name
    """Name in reports and reasons."""
    run: Text
    """Shell command, run as gates are, in a clean checkout of what is to be pushed."""
    mend: str = ""
    """What helps when it refuses, for people; the report may say it better."""
    timeout_seconds: Seconds = 600
    """Longest run; then it has refused."""
