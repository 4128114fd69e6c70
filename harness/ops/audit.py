"""Does the state agree with its journal? Looks only; a loop may run meanwhile."""

from __future__ import annotations

from harness.model.home import Home
from harness.ops.answers import Document
from harness.store.audit import audit

SCHEMA = "loop.audit/1"


def verify(home: Home) -> Document:
    """Everything that does not agree; exit 1 if something does not. Raises NotFound, StoreError."""
    found = audit(home.database)
    facts = {"agrees": not found.violations, "entries": found.entries, "items": found.items}
    return Document(SCHEMA, facts | {"violations": found.violations}, exit_code=int(bool(found.violations)))
