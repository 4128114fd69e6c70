"""The agents of the configuration, each made by its own class with its own options checked (architecture 7.9)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.agents.claude.hooks import Judge
from harness.agents.claude.options import ClaudeOptions
from harness.app.containment import AgentInitContainment
from harness.app.fence import Fence
from harness.config.load import Loaded
from harness.model.brief import Brief
from harness.model.errors import ConfigError
from harness.model.home import Home
from harness.model.policy import Policy
from harness.ports import Agent
from harness.registry import find


def make_agents(loaded: Loaded, home: Home, environ: Mapping[str, str], run: str, fence: Fence) -> Mapping[str, Agent]:
    """Every configured agent by name. `environ` is what agents may see. Raises ConfigError for an unknown type."""
    made = {}
    for name, section in loaded.config.agents.items():
        if section.type == "claude":
            made[name] = _claude(name, section, loaded, home, environ, home.run_folder(run), fence)
        else:
            made[name] = _other(name, section)
    return made


def _claude(
    name: str, section: Any, loaded: Loaded, home: Home, environ: Mapping[str, str], folder: Path, fence: Fence
) -> Agent:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    agent: Agent = find("agents", section.type)(
        ClaudeOptions.model_validate(section.model_dump()),
        policy=_judges(loaded, fence),
        containment=AgentInitContainment(folder, fence),
        environ={**environ, **fence.variables},
        config=home.claude,
        name=name,
        territory=lambda brief: fence.territory(brief.paths),
    )
    return agent


def _other(name: str, section: Any) -> Agent:
    try:
        made: Agent = find("agents", section.type)(**section.options)
    except (TypeError, ValueError, ValidationError) as exc:
        raise ConfigError(f"agents.{name}: {exc}", hint="./loop config schema") from exc
    return made


def _judges(loaded: Loaded, fence: Fence) -> Any:
    rules = tuple(rule.rule() for rule in loaded.config.policy)

    def judge(brief: Brief) -> Judge:
        writable = (brief.paths.workspace, brief.paths.tmp, brief.paths.home)
        folders = tuple(str(Path(path).resolve()) for path in writable)
        return Policy(rules, folders, fence.territory(brief.paths), brief.permitted).judge

    return judge
