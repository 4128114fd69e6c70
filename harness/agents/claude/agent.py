"""The Claude agent: from a brief to a session. Imports the SDK in a thread, begun by `warm`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

from harness import fs
from harness.agents.claude import cli, sandbox
from harness.agents.claude.hooks import Judge
from harness.agents.claude.options import ClaudeOptions
from harness.model.brief import Brief
from harness.model.territory import Territory
from harness.ports import AgentSession, Containment, Desk, Finding

_SESSION_MODULE = "harness.agents.claude.session"
_SDK_SETS = frozenset({"CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SDK_READS_SESSION_STATE", "PWD"})


class ClaudeAgent:
    """Implements ports.Agent. `policy` makes the judge of one session; `environ` is the operator's environment, for
    PATH and `doctor`; `config` is the CLI's CLAUDE_CONFIG_DIR; `territory` is what the CLI itself holds a session
    to (level cli), None = nothing.
    """

    def __init__(
        self,
        options: ClaudeOptions,
        *,
        policy: Callable[[Brief], Judge],
        containment: Containment,
        environ: Mapping[str, str],
        config: Path,
        name: str = "claude",
        territory: Callable[[Brief], Territory | None] = lambda _brief: None,
    ) -> None:
        self.name = name
        self._options = options
        self._policy = policy
        self._containment = containment
        self._environ = environ
        self._config = config
        self._territory = territory
        self._module: Future[ModuleType] | None = None
        # a cold start is a second of CPU: more of them at once than cores and all run into the SDK's own time-out
        self._spawning = asyncio.Semaphore(max(1, (os.cpu_count() or 1) // 2))

    @property
    def cli(self) -> Path:
        return cli.find_cli(self._options.cli, self._environ.get("PATH", os.defpath))

    def warm(self) -> None:
        """Begin to import the SDK, so that the first session does not wait for it. Idempotent."""
        if self._module is None:
            self._module = Future()
            # No daemon: Python aborts the process if it ends while such a thread imports an extension module.
            Thread(target=_load, args=(self._module,), name="import claude sdk").start()

    @contextlib.asynccontextmanager
    async def session(self, brief: Brief, desk: Desk) -> AsyncIterator[AgentSession]:
        """Raises ImportError if the SDK is not installed, HarnessError if the session's files cannot be written."""
        self.warm()
        assert self._module is not None
        loaded = await asyncio.wrap_future(self._module)
        environment = {**cli.environment(brief), **self._containment.arm(brief, self.cli)}
        territory = self._territory(brief)
        if territory is not None:
            sandbox.prepare(brief.paths.home)
        start = loaded.Start(
            brief=brief,
            desk=desk,
            options=self._options.over(_own(brief)),
            environment=environment,
            program=_program(brief, self._containment.launcher, environment),
            judge=self._policy(brief),
            territory=territory,
            containment=self._containment,
            spawning=self._spawning,
        )
        async with loaded.running(start) as session:
            yield session

    def doctor(self) -> Sequence[Finding]:
        return cli.doctor(self.cli, self._environ, self._config)


def _load(into: Future[ModuleType]) -> None:
    try:
        into.set_result(importlib.import_module(_SESSION_MODULE))
    except BaseException as exc:
        into.set_exception(exc)


def _own(brief: Brief) -> Mapping[str, Any]:
    return {**brief.options, "model": brief.options.get("model") or brief.item.model}


def _program(brief: Brief, launcher: Path, environment: Mapping[str, str]) -> Path:
    """The launcher, behind `env -u` for every variable of this process that the session must not have.

    The SDK passes our own environment on and can only add to it (research/agent-sdk 1.2). The loop reduces its own at
    start; whoever has not done so is made good here.
    """
    surplus = sorted(os.environ.keys() - environment.keys() - _SDK_SETS)
    if not surplus:
        return launcher
    unset = shlex.join(part for name in surplus for part in ("-u", name))
    path = brief.paths.folder / "agent"
    fs.replace(path, f'#!/bin/sh\nexec env {unset} {shlex.quote(str(launcher))} "$@"\n', mode=0o700)
    return path
