"""What must hold before a loop may start, each with its exit code (contract 4, H1, H11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.app.fence import Fence
from harness.config.load import Loaded
from harness.model.errors import AuthError, ConfigError, HarnessError, ToolMissing
from harness.ports import Agent, Finding, Prompts

_BY_ENDING: Mapping[str, type[HarnessError]] = {
    "cli_missing": ToolMissing,
    "auth": AuthError,
    "sandbox_missing": ConfigError,
}


def check_start(loaded: Loaded, agents: Mapping[str, Agent], prompts: Prompts, fence: Fence) -> Sequence[Finding]:
    """Warnings worth saying. Raises ConfigError, ToolMissing or AuthError for what no session could survive."""
    config = loaded.config
    if not config.repositories:
        raise ConfigError("config.yaml names no repository", hint="./loop init --repo PATH --test CMD")
    lower = list(fence.findings())
    templates = {kind.template for kind in config.kinds.values()} | {"continue", "retry", "conflict"}
    templates |= {kind.review.template for kind in config.kinds.values() if kind.review is not None}
    prompts.check(sorted(templates))
    findings = [finding for agent in agents.values() for finding in agent.doctor()]
    for finding in findings:
        if finding.level == "fail":
            raise _error(finding)
    return [*(f for f in findings if f.level == "warn"), *lower, *_unbuilt(loaded)]


def _unbuilt(loaded: Loaded) -> Iterator[Finding]:
    """What the configuration wishes and this version does not do: said, never passed over."""
    for section, wished in (("sources", loaded.config.sources), ("notifiers", loaded.config.notifiers)):
        if wished:
            yield Finding(section, "warn", f"{len(wished)} configured; {section} are not built in this version")


def _error(finding: Finding) -> HarnessError:
    kind = _BY_ENDING.get(finding.ending or "", ConfigError)
    expected = f" (expected {finding.expected})" if finding.expected else ""
    return kind(f"{finding.check}: {finding.found}{expected}", hint=finding.mend)
