"""`./loop state reset`: begin anew. What was there is moved aside whole, so the way back is one rename (H24)."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

from harness.model.errors import HarnessError, NotFound, Refused, Usage
from harness.model.home import Home
from harness.ops.answers import Change
from harness.ops.restore import unused

LOGIN = ".credentials.json"


def reset(home: Home, now: datetime, *, confirmed: bool) -> Change:
    """Move `state/` to `state.reset-<time>/`; configuration, prompts, session logs and repositories stay.

    The CLI's own login is copied into the new state. Raises Usage without a confirmation, Refused while a loop or
    another owner of leases works there, NotFound if there is no state.
    """
    if not home.database.exists():
        raise NotFound(f"there is nothing to reset in {home.state}", hint="./loop status")
    if not confirmed:
        raise Usage(f"this sets aside queue, history and workspaces of {home.root}", hint="./loop state reset --yes")
    aside = home.root / f"state.reset-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if aside.exists():
        raise Refused(f"{aside} exists already", hint="try again in a second")
    with unused(home):
        try:
            home.state.rename(aside)
        except OSError as exc:
            raise HarnessError(f"{home.state} cannot be moved: {exc.strerror}", hint="nothing was changed") from exc
    home.state.mkdir(mode=0o700)
    _keep_login(home, aside.name)
    undo = f"rm -r {home.state} && mv {aside} {home.state}"
    old = f"its backups are good where they are: ./loop backup restore {aside / home.backups.name}/ID --yes"
    kept = "config.yaml, prompts, docs/sessions, the login and every ref of the repositories are kept"
    return Change(
        "state", applied=True, detail=f"{home.state} begins anew; the old one is {aside}\n{kept}\n{old}\nundo: {undo}"
    )


def _keep_login(home: Home, aside: str) -> None:
    login = home.root / aside / "claude" / LOGIN
    if login.is_file():
        home.claude.mkdir(mode=0o700)
        shutil.copy2(login, home.claude / LOGIN)
