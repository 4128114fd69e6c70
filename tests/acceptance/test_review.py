"""A bug is fixed, objected to, mended and approved: the real CLI as worker and as reviewer, each with its own model."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from harness.model.session import Role
from tests.kit.loop import COMPLETE, DONE, bash, commit, yard

pytestmark = [pytest.mark.process, pytest.mark.slow]

OBJECT = "verdict: findings\\n\\n## Findings\\n\\n- major work.txt:1: it says done before it is\\n"
APPROVE = "verdict: approve\\n"
SCENARIO = {
    "sessions": [
        {"match": "This is review 2", "turns": [bash(f"printf '{APPROVE}' > result.md"), COMPLETE, DONE]},
        {
            "match": "as the reviewer of work",
            "turns": [
                bash("git diff --stat HEAD~1 HEAD > seen; echo looks fine > result.md"),
                COMPLETE,
                bash(f"printf '{OBJECT}' > result.md"),
                COMPLETE,
                DONE,
            ],
        },
        {
            "match": "title of one",
            "turns": [
                *(commit(), COMPLETE, DONE),
                *(bash("echo now it is >> work.txt && git commit -qam 'mend work.txt'"), COMPLETE, DONE),
            ],
        },
    ]
}


def test_findings_of_a_reviewer_reach_the_same_conversation_and_only_approved_work_is_integrated(
    tmp_path: Path,
) -> None:
    kinds = {"bug-fix": {"review": {"model": "claude-opus", "max_cost_usd": 1}}}
    with yard(tmp_path, SCENARIO, kinds=kinds) as place:
        place.add("one", kind="bug-fix")
        status, said = place.run("run", "--drain", seconds=90)
        assert status == 0, said
        assert place.git("show", "main:work.txt") == "done\nnow it is"
        assert "seen" not in place.git("ls-tree", "--name-only", "main").split()
        worked, objected, mended, approved = place.sessions("one")
        roles = [row.role for row in (worked, objected, mended, approved)]
        assert roles == [Role.WORK, Role.REVIEW, Role.WORK, Role.REVIEW]
        assert mended.claude_session_id == worked.claude_session_id
        assert place.item("one").attempts == 0
        models = {request.body["model"].split("-")[1] for request in place.asked()}
        assert models == {"sonnet", "opus"}
        refused = [request for request in place.asked() if "result.md gives no verdict" in json.dumps(request.body)]
        assert refused, "the reviewer was not told that its document cannot be read"
        facts = json.loads((place.home.evidence / "one" / "evidence.json").read_text())
        assert facts["gates"][-1]["gate"] == "review"
        assert Decimal(facts["cost_usd"]) == sum(Decimal(row.metrics["cost_usd"]) for row in place.sessions("one"))
        assert place.run("evidence", "one")[0] == 0
        assert place.living() == []
