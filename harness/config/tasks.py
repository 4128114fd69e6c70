"""Section of config.yaml about tasks as markdown."""

from __future__ import annotations

from harness.config.fields import Section


class PageSection(Section):
    """The queue as `tasks/backlog.md`, `active.md` and `completed.md`, for people who like to write it so."""

    enabled: bool | None = None
    """true: the files are kept. false: they are not read and not written. null: kept from the first `task sync` on."""
