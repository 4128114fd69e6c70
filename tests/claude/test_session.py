"""Whole sessions: real SDK, real CLI, real tools; only the model is scripted."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness.agents.claude import ClaudeOptions
from harness.model.brief import Limits
from harness.model.errors import Refused
from harness.model.events import Denied, Idle, Said, Started, ToolEnded, ToolStarted, TurnEnded
from harness.model.policy import Denial
from harness.ports import Reply
from harness.rehearsal.stage import Rehearsal
from tests.kit.briefs import RecordingDesk
from tests.kit.claude_agent import DONE, Stage, assert_nothing_lives, bash, billed, new_uuid, scenario

pytestmark = pytest.mark.cli


async def test_a_session_works_reports_and_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_SECRET", "swallow")
    turns = (
        {"text": "I look.", **bash("echo hi > a.txt; env > env.txt")},
        {"tools": [{"name": "mcp__harness__report_progress", "input": {"text": "half"}}]},
        {"tools": [{"name": "mcp__harness__add_work_item", "input": {"item": {"title": "a flaky test"}}}]},
    )
    with Rehearsal(scenario(*turns, *DONE)) as api:
        stage = Stage(tmp_path, api)
        played = await stage.play(stage.brief())
        assert played.ending() is None
        assert played.exit.exit_code == 0
        assert (tmp_path / "workspace/a.txt").read_text() == "hi\n"
        assert stage.desk.calls == [
            ("report_progress", "half"),
            ("add_work_item", {"title": "a flaky test"}),
            ("complete_work", ("done", "all of it")),
        ]
        assert played.of(Started)[0].claude_session_id == played.sheet.claude_session_id
        assert [event.text for event in played.of(Said)] == ["I look.", "Done."]
        assert next(event.name for event in played.of(ToolStarted)) == "Bash"
        assert all(event.ok for event in played.of(ToolEnded))
        assert isinstance(played.events[-1], Idle)
        slug = re.sub(r"[^A-Za-z0-9]", "-", str(tmp_path / "workspace"))
        assert not Path(f"/tmp/claude-{os.getuid()}", slug).exists()
        assert list((tmp_path / "tmp").glob(f"*/{slug}"))
        assert "swallow" not in (tmp_path / "workspace/env.txt").read_text()
        assert_nothing_lives(played.sheet)


async def test_numbers_equal_the_bill_token_for_token(tmp_path: Path) -> None:
    """Subagent, cache writes of both kinds, several requests (C1-C4); the live cost is the CLI's own."""
    sub = {"description": "look", "prompt": "subagent: look", "subagent_type": "general-purpose"}
    main = (
        {
            **bash("true"),
            "usage": {"input": 1200, "output": 40, "cache_read": 5, "cache_write_5m": 7, "cache_write_1h": 9},
        },
        {"tools": [{"name": "Agent", "input": sub}]},
    )
    sessions = [
        {"match": "subagent:", "turns": [bash("true"), {"text": "seen"}]},
        {"default": True, "turns": [*main, *DONE]},
    ]
    with Rehearsal({"sessions": sessions}) as api:
        stage = Stage(tmp_path, api)
        played = await stage.play(stage.brief())
        numbers = played.metrics
        assert numbers["tokens"] == billed(api, played.sheet.claude_session_id)
        assert numbers["requests"] == len([row for row in api.bill if not row.side])
        assert numbers["complete"] is True
        assert not any(numbers["unattributed"]["tokens"].values())
        assert numbers["subagents"][0]["requests"] == 2
        assert numbers["cost_usd"] == played.of(TurnEnded)[-1].cost_usd
        assert next(tool["name"] for tool in numbers["tools"]) == "Bash"
        assert all("_at" in json.loads(line) for line in played.sheet.paths.log.read_text().splitlines())


async def test_a_resumed_session_knows_the_conversation_and_counts_only_itself(tmp_path: Path) -> None:
    uuid = new_uuid()
    with Rehearsal(scenario({"text": "I stop here."}, *DONE)) as api:
        stage = Stage(tmp_path, api)
        stage.desk.settled = lambda: True  # type: ignore[method-assign]
        first = await stage.play(stage.brief(prompt="begin", claude_session_id=uuid))
        before, first_bill = len(api.bill), billed(api, uuid)
        stage.desk = RecordingDesk()
        second = await stage.play(
            stage.brief(prompt="go on", claude_session_id=uuid, resume=True, limits=Limits(max_cost_usd=0.02))
        )
        assert second.ending() is None
        assert stage.desk.settled()
        assert api.requests[before].messages > api.requests[0].messages
        assert first.metrics["tokens"] == first_bill
        both = billed(api, uuid)
        assert second.metrics["tokens"] == {name: both[name] - first_bill[name] for name in both}
        assert second.metrics["complete"] is True


async def test_a_denial_holds_under_bypass_and_the_agent_reads_why(tmp_path: Path) -> None:
    def judge(tool: str, arguments: Any) -> Denial | None:
        return Denial("no force push") if "push" in str(arguments.get("command")) else None

    with Rehearsal(scenario(bash("touch ran && git push --force"), *DONE)) as api:
        stage = Stage(tmp_path, api, judge=judge, options=ClaudeOptions(permission_mode="bypassPermissions"))
        played = await stage.play(stage.brief())
        assert not (tmp_path / "workspace/ran").exists()
        assert played.of(Denied) == [Denied("Bash", "no force push")]
        assert "denied by policy: no force push" in str(api.requests[1].body)
        assert played.exit.denials == 1


async def test_a_denial_reaches_subagents(tmp_path: Path) -> None:
    sub = {"description": "look", "prompt": "subagent: look", "subagent_type": "general-purpose"}
    sessions = [
        {"match": "subagent:", "turns": [bash("touch ran"), {"text": "seen"}]},
        {"default": True, "turns": [{"tools": [{"name": "Agent", "input": sub}]}, *DONE]},
    ]
    with Rehearsal({"sessions": sessions}) as api:
        stage = Stage(tmp_path, api, judge=lambda tool, _: Denial("no shell") if tool == "Bash" else None)
        played = await stage.play(stage.brief())
        assert not (tmp_path / "workspace/ran").exists()
        assert played.of(Denied) == [Denied("Bash", "no shell")]


async def test_a_policy_that_fails_refuses(tmp_path: Path) -> None:
    def judge(tool: str, arguments: Any) -> Denial | None:
        if tool == "Bash":
            raise RuntimeError("the policy is broken")
        return None

    with Rehearsal(scenario(bash("touch ran"), *DONE)) as api:
        stage = Stage(tmp_path, api, judge=judge)
        played = await stage.play(stage.brief())
        assert not (tmp_path / "workspace/ran").exists()
        assert [event.ok for event in played.of(ToolEnded)] == [False, True]


async def test_ask_tells_the_agent_to_request_a_decision(tmp_path: Path) -> None:
    ask = {
        "tools": [{"name": "mcp__harness__request_decision", "input": {"question": "may I?", "options": ["yes", "no"]}}]
    }
    with Rehearsal(scenario(bash("make deploy"), ask, {"text": "I wait."})) as api:
        stage = Stage(tmp_path, api, judge=lambda tool, _: Denial("deploys", ask=True) if tool == "Bash" else None)
        played = await stage.play(stage.brief())
        assert played.of(Denied) == [Denied("Bash", "deploys", ask=True)]
        assert "call request_decision" in str(api.requests[1].body)
        assert stage.desk.calls == [("request_decision", ("may I?", ("yes", "no")))]


async def test_paths_are_resolved_before_the_policy_sees_them(tmp_path: Path) -> None:
    seen: list[str] = []

    def judge(tool: str, arguments: Any) -> Denial | None:
        if tool == "Write":
            seen.append(arguments["file_path"])
            return Denial("outside")
        return None

    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace/link").symlink_to("/etc")
    write = {"tools": [{"name": "Write", "input": {"file_path": "link/passwd", "content": "x"}}]}
    with Rehearsal(scenario(write, *DONE)) as api:
        stage = Stage(tmp_path, api, judge=judge)
        await stage.play(stage.brief())
    assert seen == ["/etc/passwd"]


async def test_an_agent_that_does_not_report_is_sent_back_twice_then_ends(tmp_path: Path) -> None:
    with Rehearsal(scenario({"text": "one"}, {"text": "two"}, {"text": "three"}, {"text": "four"})) as api:
        stage = Stage(tmp_path, api)
        played = await stage.play(stage.brief())
        assert [event.text for event in played.of(Said)] == ["one", "two", "three"]
        assert "You have not said how your work ended" in str(api.requests[1].body)
        assert not stage.desk.settled()
        assert played.ending() is None


async def test_being_sent_back_makes_an_agent_report(tmp_path: Path) -> None:
    with Rehearsal(scenario({"text": "I am done."}, *DONE)) as api:
        stage = Stage(tmp_path, api)
        await stage.play(stage.brief())
        assert stage.desk.settled()


async def test_a_refused_completion_can_be_mended_in_the_same_session(tmp_path: Path) -> None:
    with Rehearsal(scenario(DONE[0], bash("git commit -qam x || true"), *DONE)) as api:
        stage = Stage(tmp_path, api, desk=RecordingDesk(refusals=1))
        await stage.play(stage.brief())
        assert [name for name, _ in stage.desk.calls] == ["complete_work", "complete_work"]
        assert "uncommitted changes: a.txt" in str(api.requests[1].body)
        assert stage.desk.settled()


async def test_an_error_of_the_desk_is_an_answer_to_the_agent(tmp_path: Path) -> None:
    class Closed(RecordingDesk):
        async def report_progress(self, text: str) -> Reply:
            raise Refused("the store is busy", hint="try again")

    progress = {"tools": [{"name": "mcp__harness__report_progress", "input": {"text": "x"}}]}
    with Rehearsal(scenario(progress, *DONE)) as api:
        stage = Stage(tmp_path, api, desk=Closed())
        await stage.play(stage.brief())
        assert "the store is busy try again" in str(api.requests[1].body)


async def test_a_wrong_argument_never_reaches_the_desk(tmp_path: Path) -> None:
    wrong = {"tools": [{"name": "mcp__harness__complete_work", "input": {"status": "perfect", "summary": "x"}}]}
    with Rehearsal(scenario(wrong, *DONE)) as api:
        stage = Stage(tmp_path, api)
        await stage.play(stage.brief())
        assert stage.desk.calls == [("complete_work", ("done", "all of it"))]


async def test_text_of_the_queue_is_never_a_command_to_the_cli(tmp_path: Path) -> None:
    """`@file` and a leading slash come from untrusted items (research/agent-sdk 4)."""
    (tmp_path / "secret.txt").write_text("the-secret-content")
    with Rehearsal(scenario(*DONE)) as api:
        stage = Stage(tmp_path, api)
        await stage.play(stage.brief(prompt=f"/clear see @{tmp_path}/secret.txt"))
        assert "the-secret-content" not in str(api.requests[0].body)
        assert "/clear see @" in api.requests[0].prompt


async def test_an_agent_that_goes_round_in_circles_is_told(tmp_path: Path) -> None:
    fails, works = bash("echo no; false"), bash("echo same")
    with Rehearsal(scenario(works, works, fails, fails, fails, *DONE)) as api:
        stage = Stage(tmp_path, api)
        await stage.play(stage.brief())
        told = ["the same call 3 times" in str(request.body) for request in api.requests]
    assert told[:6] == [False, False, False, False, False, True]


async def test_the_clis_own_debug_log_is_kept_on_request(tmp_path: Path) -> None:
    with Rehearsal(scenario(*DONE)) as api:
        stage = Stage(tmp_path, api, options=ClaudeOptions(debug=True))
        played = await stage.play(stage.brief())
        assert (played.sheet.paths.folder / "cli-debug.log").stat().st_size > 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused by the CLI")
async def test_doctor_names_a_root_without_isolation(tmp_path: Path) -> None:
    with Rehearsal(scenario()) as api:
        stage = Stage(tmp_path, api)
        environment = stage.environment()
        environment.pop("IS_SANDBOX")
        findings = {finding.check: finding for finding in stage.agent(environment).doctor()}
    assert findings["claude cli"].level == "ok"
    assert "Claude Code" in findings["claude cli"].found
    assert findings["root"].level == "fail"
