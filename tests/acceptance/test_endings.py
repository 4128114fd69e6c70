"""M4: how sessions end (research/agent-sdk 3), through the whole loop: ending, what becomes of the item, attempts counted.

What the SDK and CLI make of each row is held by tests/claude; here is what the queue makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.model.home import Home
from harness.rehearsal.stage import Rehearsal
from tests.kit.endings import assert_as_on_the_page, assert_at_rest
from tests.kit.user import MEND, WORKS, User, bash, done, repository, scenario

pytestmark = [pytest.mark.cli, pytest.mark.slow]

SHORT = {"CLAUDE_CODE_MAX_RETRIES": "1", "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": "700"}
PATIENT = dict.fromkeys(SHORT, "")
OAUTH = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-rehearsal"}
SAID: Mapping[str, Any] = {"text": "Something."}
ASKS = {"tools": [{"name": "mcp__harness__request_decision", "input": {"question": "A or B?", "options": ["A", "B"]}}]}


@dataclass(frozen=True)
class Row:
    """What the model does; what must come of it. `outcome` None: the session ended well and gates judge its work."""

    ending: str | None
    state: str
    attempts: int
    turns: tuple[Mapping[str, Any], ...]
    status: int = 1
    outcome: str = "failed"
    kind: str = "test"
    agent: Mapping[str, Any] = field(default_factory=dict)
    policy: tuple[Mapping[str, Any], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    reset: float | None = None


def fault(kind: str | Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return ({"text": "never said", "fault": kind},)


NAMED = {"kind": "usage_limit", "resets_in_seconds": 300}  # with an API key there is no typed event, only the wait
DEAR = {**bash("true"), "usage": {"input": 100_000, "output": 9_000}}
WRONG = bash("echo wrong > state.txt && git commit -qam 'Mend it wrongly'")
NO_SHELL = {"deny": "bash", "argv": ["ls"], "reason": "nobody looks here"}

ROWS: dict[str, Row] = {
    "success": Row(None, "done", 0, WORKS, status=0, outcome="verified"),
    "gate is red": Row("gate_failed", "delayed", 1, (WRONG, done(), SAID), kind="bug-fix"),
    "max_turns": Row("max_turns", "delayed", 1, tuple(bash(f"echo {n}") for n in range(4)), agent={"max_turns": 2}),
    "budget": Row("budget", "delayed", 1, (DEAR, DEAR, DEAR), agent={"max_cost_usd": 0.1}),
    "says nothing": Row("unreported", "delayed", 1, fault("empty")),
    "done without a commit": Row("no_change", "delayed", 1, (done(), SAID)),
    "leaves changes": Row("uncommitted", "delayed", 1, (bash("echo good > state.txt"), done(), SAID)),
    "401": Row("auth", "ready", 0, fault("unauthorized"), status=77),
    "429": Row("throttled", "ready", 0, fault("rate_limited"), status=5),
    "429 names its end": Row("throttled", "ready", 0, fault(NAMED), status=5, env=PATIENT, reset=300),
    "403": Row("auth", "ready", 0, fault("forbidden"), status=77),
    "credit balance": Row("billing", "ready", 0, fault("billing"), status=77),
    "model unknown": Row("model_unknown", "waiting", 0, fault("model_not_found"), agent={"model": "claude-none-1"}),
    "subscription limit": Row("usage_limit", "ready", 0, fault("usage_limit"), status=5, env=OAUTH, reset=3600),
    "500": Row("api_down", "delayed", 0, fault("server_error")),
    "502 html body": Row("api_down", "delayed", 0, fault({"status": 502, "body": "<html>Bad gateway</html>"})),
    "prompt too long": Row("context_full", "ready", 0, fault("prompt_too_long")),
    "refusal": Row("refusal", "delayed", 1, fault("refusal")),
    "all tools denied": Row("policy_wall", "waiting", 0, (bash("ls"), bash("ls -l"), SAID, SAID, SAID), policy=(NO_SHELL,)),
    "red before the work too": Row("base_red", "ready", 0, (WRONG, done(), SAID)),
    "killed from outside": Row("crashed", "ready", 0, (bash("kill -9 $PPID"), SAID)),
    "malformed tool json": Row(None, "done", 0, ({"tools": [{"name": "Bash", "raw": '{"comm'}]}, *WORKS), status=0, outcome="verified"),
    "overloaded, then well": Row(None, "done", 0, ({**bash(MEND), "fault": {"kind": "overloaded", "times": 1}}, done(), SAID), status=0, outcome="verified"),
    "blocked": Row(None, "waiting", 0, (done("no access", "blocked"), SAID), outcome="asked"),
    "asks": Row(None, "waiting", 0, (ASKS, SAID), outcome="asked"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_each_ending_leads_to_its_place_in_the_queue(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    with Rehearsal(scenario(*row.turns)) as api:
        user = User(tmp_path, api.url, prepared=True)
        user.init(repository(tmp_path / "app"))
        user.configure(lambda config: config["agents"]["default"].update(row.agent))
        user.configure(lambda config: config.update(policy=list(row.policy)))
        user.add({"type": row.kind})
        ran = user.loop("run", "--once", "--json", **{**SHORT, **row.env})
        item, metrics = user.item(), user.sessions()[0]
        assert (ran.code, item["state"], item["attempts"]) == (row.status, row.state, row.attempts), (ran, item)
        assert json.loads(ran.out)["outcomes"] == {row.outcome: 1}
        assert metrics["outcome"] == row.outcome
        if row.ending is not None:
            handed_over = row.ending == "context_full"
            counted = False if handed_over else None
            met = assert_as_on_the_page(Home(user.home), item["id"], row.ending, reset=row.reset, counted=counted)
            if not handed_over:
                assert_at_rest(Home(user.home), item["id"], row.ending, met)
