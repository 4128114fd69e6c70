"""How the sessions, gates and set-up commands of a loop are fenced in: what each of them sees and may change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.app.shortcut import MOST_BYTES, shortcut
from harness.config.load import Loaded
from harness.engine.preparing import transcript_path
from harness.model.brief import Paths
from harness.model.errors import ConfigError
from harness.model.home import CACHES, Home
from harness.model.outfit import CACHE
from harness.model.territory import Territory
from harness.ops.isolation import SETTINGS, base_view
from harness.ports import Ended, Finding
from harness.proc.isolation import Reached, prefix, reach
from harness.proc.run import run_contained
from harness.proc.view import View

CREDENTIALS = ".credentials.json"
SNAPSHOTS = "shell-snapshots"
"""Of the CLI's folder: what each Bash of it reads first."""


@dataclass(frozen=True, slots=True)
class Fence:
    """`base` is what everybody of this loop sees; `reached` was found by trying, at the start of the loop.

    `runs` is the folder of the runs, if temporary folders of sessions in it need a short name.
    """

    wished: str = "none"
    required: bool = False
    reached: Reached = field(default_factory=lambda: Reached("none"))
    base: View = field(default_factory=View)
    runs: Path | None = None

    @property
    def stands(self) -> bool:
        """Whether agents, gates and set-up commands are held by the kernel, not by the CLI's own good will."""
        return self.reached.level == "outer"

    @property
    def variables(self) -> Mapping[str, str]:
        """The CLI refuses to work unattended as root unless it is told that it is held from outside (contract 5)."""
        return {"IS_SANDBOX": "1"} if self.stands else {}

    def temporary(self, folder: Path) -> Mapping[str, str]:
        """How a session is told its TMPDIR where the name of `folder` itself is too long. Raises ConfigError."""
        if self.runs is None:
            return {}
        short = shortcut(self.runs) / folder.resolve().relative_to(self.runs.resolve())
        if len(os.fsencode(short)) > MOST_BYTES:
            raise ConfigError(f"{short} is too long for the sockets of level cli", hint="set TMPDIR to a shorter path")
        return {"TMPDIR": str(short)}

    def findings(self) -> Iterator[Finding]:
        """What to say of a level that is not the wished one. Raises ConfigError if it is required, or if what the
        reached one needs cannot be had: here, and not in every session.
        """
        if self.runs is not None:
            self.temporary(self.runs / "12345678" / "tmp" / "ses_0123456789ab")
        if self.reached.level == self.wished:
            return
        found = f"reached {self.reached.level}, wished {self.wished}: {self.reached.why}"
        if self.required:
            raise ConfigError(
                f"isolation {self.wished!r} is required, but it cannot be reached: {self.reached.why}",
                hint="set isolation.required: false, or do what ./loop doctor says",
            )
        yield Finding("isolation", "warn", found, mend="./loop doctor")

    def agent(self, paths: Paths, program: Path, files: Iterable[str] = ()) -> Mapping[str, object]:
        """For one session: its workspace (`.claude` of it cannot be written), HOME and TMPDIR; of the CLI's folder the
        conversations of this workspace. `files` of the session's own folder are the CLI's to write.
        """
        if not self.stands:
            return self._told(View())
        conversations = transcript_path(paths.claude, paths.workspace, "").parent
        conversations.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in files:
            (paths.folder / name).touch(mode=0o600)
        theirs = [*_folders(paths), conversations, *(paths.folder / name for name in files)]
        view = View(readable=(program.resolve().parent,), writable=tuple(theirs), own_tmp=paths.tmp)
        return self._told(view.over(_settings(paths)).over(_cli_folder(paths.claude)))

    def territory(self, paths: Paths) -> Territory | None:
        """What the CLI holds a session to at level cli; at every other level that is not its business."""
        if self.reached.level != "cli":
            return None
        conversations = transcript_path(paths.claude, paths.workspace, "").parent
        snapshots = paths.claude / SNAPSHOTS
        for folder in (conversations, snapshots):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        seen = View(readable=(conversations, snapshots), writable=_folders(paths))
        return seen.over(_settings(paths)).over(self.base).territory()

    def command(self, cwd: Path, environment: Mapping[str, str]) -> Mapping[str, object]:
        """For one gate or set-up command: the checkout it runs in, its HOME and TMPDIR; the document it judges."""
        theirs = [Path(environment[name]) for name in ("HOME", "TMPDIR", CACHE) if name in environment]
        document = environment.get("HARNESS_DOCUMENT")
        view = View(
            readable=(Path(document),) if document else (),
            writable=(cwd, *theirs),
            own_tmp=Path(environment["TMPDIR"]),
        )
        return self._told(view)

    def _told(self, view: View) -> Mapping[str, object]:
        told = {"level": self.wished, "required": self.required}
        return {**told, **prefix(self.reached, view.over(self.base))}


def _folders(paths: Paths) -> tuple[Path, ...]:
    """What is the session's own to write."""
    caches = paths.workspace.parent / CACHES / paths.workspace.name
    return (paths.workspace, paths.home, paths.tmp, *([caches] if caches.is_dir() else []))


def _cli_folder(claude: Path) -> View:
    """The CLI's own folder: empty and forgotten, unless its login must be kept fresh in it; then that is seen too."""
    if (claude / CREDENTIALS).exists():
        return View(empty=(claude / "projects",), writable=(claude,))
    return View(empty=(claude,))


def _settings(paths: Paths) -> View:
    """Settings of the CLI in the workspace are what the base commit says, or nothing. A link that an agent put there
    is not followed: it would open what it leads to.
    """
    settings = paths.workspace / SETTINGS
    if not settings.is_symlink() and not settings.exists():
        settings.mkdir()  # git does not see an empty folder
    return View(readable=(settings,)) if settings.is_dir() and not settings.is_symlink() else View()


def make_fence(loaded: Loaded, home: Home, environ: Mapping[str, str]) -> Fence:
    """Find out what can be reached; `environ` is the caller's. Starts one short process for level `outer`."""
    section = loaded.config.isolation
    base = base_view(loaded, home, environ)
    path = environ.get("PATH", os.defpath)
    reached = reach(section.level, path, base)
    runs = home.run_folder("") if reached.level == "cli" else None
    return Fence(section.level, section.required, reached, base, runs)


@dataclass(frozen=True, slots=True)
class FencedRunner:
    """Implements ports.Runner: gates and set-up commands run behind agent-init and the fence."""

    fence: Fence

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        session: str,
        folder: Path,
        timeout_seconds: float,
    ) -> Ended:
        return await run_contained(
            argv,
            cwd=cwd,
            env=env,
            log=log,
            session=session,
            folder=folder,
            timeout_seconds=timeout_seconds,
            isolation=self.fence.command(cwd, env),
        )
