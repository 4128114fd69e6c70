"""Which level of isolation there is here, and what it holds: found by trying, never by reading the configuration."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import fs
from harness.config.load import Loaded
from harness.config.secret import Secret
from harness.git.repository import git_dir
from harness.model.errors import NotFound
from harness.model.hidden import SOCKETS
from harness.model.home import Home
from harness.model.policy import Policy
from harness.ports import Finding
from harness.proc.isolation import Reached, inside, reach
from harness.proc.view import Machine, View, objects_of, own_homes

SETTINGS = ".claude"
MEND = "apt-get install bubblewrap socat, and let this user make user namespaces; or isolation.level: container in one"


@dataclass(frozen=True, slots=True)
class Canary:
    """Something that must fail behind the fence: `script` ends with 0 if it did not, or, where that can be seen from
    here, has made `trace`.
    """

    name: str
    script: str
    trace: Path | None = None


def base_view(loaded: Loaded, home: Home, environ: Mapping[str, str]) -> View:
    """The machine without secrets, and without this loop's state and logs; repositories can be read."""
    private = (home.state, home.session_logs, *_secret_files(loaded))
    return View(hidden=private, readable=_repositories(loaded)).over(Machine(own_homes(environ.get("HOME"))).view())


def examine(loaded: Loaded, home: Home, environ: Mapping[str, str]) -> tuple[Reached, Sequence[Finding]]:
    """Try the wished level; behind `outer`, also the canaries. Leaves nothing behind."""
    wished = loaded.config.isolation.level
    view = base_view(loaded, home, environ)
    reached = reach(wished, environ.get("PATH", os.defpath), view)
    if reached.level != wished:
        level = "fail" if loaded.config.isolation.required else "warn"
        ending = "sandbox_missing" if loaded.config.isolation.required else None
        found = f"reached {reached.level}, wished {wished}: {reached.why}. {_HOLDS[reached.level]}"
        return reached, [Finding("isolation", level, found, wished, MEND, ending)]
    if reached.level == "outer":
        return reached, list(_tried(reached, view, loaded, home))
    if reached.level == "cli":
        return reached, [_judged(view, home)]
    return reached, [Finding("isolation", "ok", f"{wished}, as wished. {_HOLDS[wished]}")]


_HOLDS: Mapping[str, str] = {
    "none": "Nothing is held: agents and gates have the rights of this user",
    "cli": (
        "Held are Bash, by the CLI's own sandbox, and the CLI's file tools, by a hook that is asked before each call; "
        "gates and set-up commands are not, they have the rights of this user"
    ),
    "container": "What the container holds is up to whoever made it",
}


def _judged(view: View, home: Home) -> Finding:
    """Level cli: the hook is asked for each hidden place, by its name and by a link. What Bash is held to only a
    session can try.
    """
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = home.state / f"canary-{secrets.token_hex(4)}"
    try:
        seen = _session(scratch).over(view)
        policy = Policy((), tuple(map(str, seen.writable)), seen.territory())
        tried = [*(("Read", place) for place in view.hidden), ("Write", home.config)]
        through = list(_let_through(policy, scratch, tried))
    finally:
        fs.discard(scratch, under=home.state)
    if through:
        return Finding("isolation", "fail", f"cli, but file tools are let through to {', '.join(through)}", "nothing")
    sandbox = "assumed on macOS, not tried" if sys.platform == "darwin" else "bubblewrap and socat work"
    return Finding("isolation", "ok", f"cli ({sandbox}; {len(view.hidden)} hidden places tried). {_HOLDS['cli']}")


def _let_through(policy: Policy, scratch: Path, tried: Sequence[tuple[str, Path]]) -> Iterator[str]:
    from harness.agents.claude.paths import readings  # noqa: PLC0415 - other levels do not need the adapter

    def allowed(tool: str, path: Path) -> bool:
        calls = readings(tool, {"file_path": str(path)}, str(scratch / "workspace"), str(scratch / "tmp"))
        return all(policy.judge(tool, call) is None for call in calls)

    for number, (tool, place) in enumerate(tried):
        link = scratch / "workspace" / f"link-{number}"
        link.symlink_to(place)
        yield from (f"{tool} {path}" for path in (place, link) if allowed(tool, path))


def _tried(reached: Reached, view: View, loaded: Loaded, home: Home) -> Iterator[Finding]:
    """One finding; each canary that gets through makes it a failure and is named."""
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = home.state / f"canary-{secrets.token_hex(4)}"
    tried = list(canaries(scratch, view, loaded, home))
    script = "\n".join(f"({each.script}) >/dev/null 2>&1 && echo {number}" for number, each in enumerate(tried))
    try:
        done = inside(reached.program, _session(scratch).over(view), f"{script}\necho end")
        traces = {number for number, each in enumerate(tried) if each.trace is not None and each.trace.exists()}
    finally:
        _clear(scratch, tried, home)
    *numbers, end = done.stdout.split() or [""]
    if end != "end":
        yield Finding("isolation", "fail", f"outer, but nothing could be tried: {done.stderr.strip()}", mend=MEND)
        return
    without = {int(number) for number in numbers if tried[int(number)].trace is None}
    through = [tried[number].name for number in sorted(without | traces)]
    if through:
        yield Finding("isolation", "fail", f"outer, but it lets through: {', '.join(through)}", "nothing", MEND)
    else:
        held = "secrets, writing outside, the loop's state, .claude, hooks of repositories"
        yield Finding("isolation", "ok", f"outer (bubblewrap); tried and held: {held}")


def _clear(scratch: Path, tried: Sequence[Canary], home: Home) -> None:
    fs.discard(scratch, under=home.state)
    for each in tried:
        if each.trace is not None:
            each.trace.unlink(missing_ok=True)


def _session(scratch: Path) -> View:
    workspace, tmp = scratch / "workspace", scratch / "tmp"
    for folder in (workspace / SETTINGS, tmp):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return View(readable=(workspace / SETTINGS,), writable=(workspace, tmp), own_tmp=tmp)


def canaries(scratch: Path, view: View, loaded: Loaded, home: Home) -> Iterator[Canary]:
    """What is tried: one of each kind of harm that the fence is for."""
    (scratch / "other").mkdir(parents=True, mode=0o700)
    (scratch / "other" / "file").write_text("of another session", encoding="utf-8")
    yield Canary("the loop's state", f"cat {_quoted(scratch / 'other' / 'file')}")
    for secret in (each for each in view.hidden if each not in (home.state, Path(SOCKETS))):
        read = f"cat {_quoted(secret)}" if secret.is_file() else f"ls -A {_quoted(secret)} | grep -q ."
        yield Canary(f"a secret ({secret})", read)
    yield Canary("a socket of a daemon", f"find {SOCKETS} -type s | grep -q .")
    mark = f"canary-{secrets.token_hex(4)}"
    yield _writing("writing outside", home.root / mark)
    yield _writing(".claude of the workspace", scratch / "workspace" / SETTINGS / mark)
    for section in loaded.config.repositories:
        hooks = loaded.path(section) / ".git" / "hooks"
        if hooks.is_dir():
            yield _writing(f"a hook of {section.name}", hooks / mark)


def _writing(name: str, path: Path) -> Canary:
    return Canary(name, f": > {_quoted(path)}", path)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _secret_files(loaded: Loaded) -> Sequence[Path]:
    references = [value.reference for value in loaded.config.environment.values() if isinstance(value, Secret)]
    return [loaded.home / each.removeprefix("file:") for each in references if each.startswith("file:")]


def _repositories(loaded: Loaded) -> tuple[Path, ...]:
    """The objects that workspaces borrow."""
    found: list[Path] = []
    for section in loaded.config.repositories:
        try:
            found += objects_of(git_dir(loaded.path(section)))
        except NotFound:
            continue  # said by whoever prepares a workspace of it
    return tuple(found)
