"""A rule with `ask`: the call is refused, a person is asked about exactly it, and a yes allows it (R7, C11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.loop import COMPLETE, DONE, bash, commit, yard

pytestmark = [pytest.mark.process, pytest.mark.slow]

WHY = {
    "tools": [
        {"name": "mcp__harness__request_decision", "input": {"question": "it is ready", "options": ["go", "stay"]}}
    ]
}
DEPLOY = bash("mkdir deployed && touch deployed/now")
SCENARIO = {"sessions": [{"match": "title of one", "turns": [DEPLOY, WHY, DONE, DEPLOY, commit(), COMPLETE, DONE]}]}


def test_a_call_that_a_person_allowed_is_made_in_the_same_conversation(tmp_path: Path) -> None:
    policy = [{"ask": "bash", "argv": ["mkdir"], "reason": "folders are for people"}]
    with yard(tmp_path, SCENARIO, policy=policy) as place:
        place.add("one")
        assert place.run("run", "--drain", seconds=60)[0] == 1
        assert place.item("one").state == "waiting"
        asked = place.run("decision", "show", "one")[1]
        for said in ("May the agent do this: mkdir deployed", "folders are for people", "The agent says: it is ready"):
            assert said in asked
        assert place.run("decision", "answer", "one", "yes")[0] == 0
        status, said = place.run("run", "--drain", seconds=60)
        assert status == 0, said
        first, second = place.sessions("one")
        assert first.claude_session_id == second.claude_session_id
        assert place.git("ls-tree", "-r", "--name-only", "main").split() == ["README.md", "deployed/now", "work.txt"]
