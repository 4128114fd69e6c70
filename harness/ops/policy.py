"""What becomes of commands that an agent might run: refused by which rule, or let through to the isolation (R7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import yaml

from harness.config.load import Loaded, load
from harness.model.home import Home
from harness.model.policy import Policy
from harness.ops.answers import Rows
from harness.ops.isolation import base_view
from harness.proc.isolation import reach

DISGUISES = Path(__file__).with_name("disguises.yaml")
WORKSPACE = "/workspace"
COLUMNS = ("verdict", "right", "command", "by")
PLACES = {
    "secret": "~/.ssh/id_ed25519",
    "outside": "../outside",
    "state": "state/harness.db",
    "hooks": "app/.git/hooks",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """`right` is None where nobody said what is to be expected of a command, or it cannot be told."""

    command: str
    verdict: str
    by: str
    right: bool | None = None


def test(home: Home, environ: Mapping[str, str], commands: Sequence[str], now: datetime) -> Rows:
    """Judge `commands`, by default the shipped corpus. Exit 1 if one of them is denied, or one of the corpus is not
    dealt with as it should be: allowed though dangerous, denied though ordinary, or held by an isolation that is not
    there. Nothing is run. Raises ConfigError.
    """
    loaded = load(home.root, environ)
    policy = policy_of(loaded)
    if commands:
        trials = [_trial(policy, command, level="") for command in commands]
        bad = any(trial.verdict != "allowed" for trial in trials)
    else:
        wished = loaded.config.isolation.level
        level = reach(wished, environ.get("PATH", ""), base_view(loaded, home, environ)).level
        trials = [_trial(policy, command, expected, level) for expected, command in corpus(PLACES)]
        bad = not all(trial.right for trial in trials)
    return Rows("loop.policy-test/1", [asdict(each) for each in trials], now, COLUMNS, exit_code=int(bad))


def policy_of(loaded: Loaded) -> Policy:
    """The configured rules for a session whose workspace is WORKSPACE."""
    return Policy(tuple(rule.rule() for rule in loaded.config.policy), (WORKSPACE,))


def corpus(places: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is expected, and the command with `places` (secret, outside, state, hooks) filled in."""
    for expected, lines in yaml.safe_load(DISGUISES.read_text(encoding="utf-8")).items():
        for line in lines.splitlines():
            command = line.replace("\\n", "\n")
            for name, place in places.items():
                command = command.replace(f"{{{name}}}", place)
            yield expected, command


def _trial(policy: Policy, command: str, expected: str = "", level: str = "") -> Trial:
    denial = policy.judge("Bash", {"command": command})
    if denial is not None:
        word = "ask" if denial.ask else "denied"
        return Trial(command, word, denial.reason, expected != "allowed" if expected else None)
    if expected == "held":
        held = level in {"outer", "cli"}  # both hold what Bash runs
        by = f"isolation {level}" if held else f"nothing: isolation {level}"
        return Trial(command, "held" if held else "allowed", by, held)
    return Trial(command, "allowed", "", expected == "allowed" if expected else None)
