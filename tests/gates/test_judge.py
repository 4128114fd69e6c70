"""Architecture 5 and 6: verdicts become one judgement; red on the base too is not the agent's."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.gates.judge import Places, judge_all
from harness.model.errors import DiskFull
from harness.model.verdict import Verdict
from harness.model.work import WorkItem
from harness.ports import GateCase, GateTerms


class Scripted:
    """A gate that says of each commit what it was told to say."""

    kinds = ()

    def __init__(self, name, terms=None, **says):
        self.name = name
        self.terms = terms or GateTerms()
        self.says = says
        self.asked = []

    async def judge(self, case):
        self.asked.append(case.commit)
        word = self.says[case.commit]
        if isinstance(word, Exception):
            raise word
        return Verdict(
            self.name, word, 0.5, str(case.log), f"{self.name} is {word}", case.commit, proves=self.terms.proves
        )


class Benches:
    def __init__(self, commit="base"):
        self.commit = commit
        self.open = 0
        self.opened = 0

    @asynccontextmanager
    async def __call__(self, gate, word):
        self.open, self.opened = self.open + 1, self.opened + 1
        try:
            yield case(self.commit, gate)
        finally:
            self.open -= 1


def case(commit, gate):
    return GateCase(
        WorkItem("a", "t"), Path("/bench"), commit, {}, Path(f"/logs/{gate.name}-{commit}.log"), Path("/scratch")
    )


@asynccontextmanager
async def head(gate, word):
    yield case("head", gate)


async def test_all_green_needs_no_base():
    gates, benches = [Scripted("tests", head="passed"), Scripted("lint", head="passed")], Benches()
    judged = await judge_all(gates, Places(head, benches))
    assert (judged.ending, [v.verdict for v in judged.verdicts], benches.opened) == (None, ["passed", "passed"], 0)


@pytest.mark.parametrize(
    ("on_head", "on_base", "base_is_red", "ending", "verdict"),
    [
        ("failed", "passed", False, "gate_failed", "failed"),
        ("failed", "failed", False, "base_red", "failed"),
        ("failed", "broken", False, "base_red", "failed"),
        ("failed", "failed", True, "gate_failed", "failed"),
        ("broken", "broken", False, "gate_broken", "broken"),
        ("broken", "broken", True, "gate_broken", "broken"),
        ("broken", "passed", False, "gate_failed", "failed"),
        ("broken", "failed", False, "base_red", "failed"),
        ("broken", "failed", True, "gate_failed", "failed"),
    ],
)
async def test_the_base_tells_whose_fault_it_is(on_head, on_base, base_is_red, ending, verdict):
    benches = Benches()
    gates = [Scripted("lint", head="passed", base="passed"), Scripted("tests", head=on_head, base=on_base)]
    judged = await judge_all(gates, Places(head, benches), base_is_red=base_is_red)
    assert (judged.ending, judged.verdicts[1].verdict, benches.open) == (ending, verdict, 0)
    assert "gate tests" in judged.evidence
    assert "/logs/tests-head.log" in judged.evidence


async def test_a_bug_fix_does_not_pay_for_a_run_on_its_red_base():
    benches = Benches()
    await judge_all([Scripted("tests", head="failed")], Places(head, benches), base_is_red=True)
    assert benches.opened == 0


async def test_every_gate_runs_so_that_the_agent_sees_all():
    gates = [
        Scripted("one", head="failed", base="passed"),
        Scripted("two", head="failed", base="passed"),
        Scripted("three", head="passed"),
    ]
    judged = await judge_all(gates, Places(head, Benches()))
    assert [v.verdict for v in judged.verdicts] == ["failed", "failed", "passed"]
    assert [gate.asked for gate in gates] == [["head", "base"], ["head"], ["head"]]


async def test_what_is_the_agents_outweighs_what_is_not():
    gates = [
        Scripted("red", head="failed", base="failed"),
        Scripted("gone", head="broken", base="broken"),
        Scripted("own", head="failed", base="passed"),
    ]
    judged = await judge_all(gates, Places(head, Benches()))
    assert judged.ending == "gate_failed"
    assert "own is failed" in judged.evidence
    assert "red is failed" not in judged.evidence


async def test_a_broken_gate_outweighs_a_red_base():
    gates = [Scripted("red", head="failed", base="failed"), Scripted("gone", head="broken", base="broken")]
    assert (await judge_all(gates, Places(head, Benches()))).ending == "gate_broken"


@pytest.mark.parametrize(
    ("on_head", "on_base", "alone", "ending"),
    [
        ("failed", "passed", "passed", "conflict"),
        ("failed", "passed", "failed", "gate_failed"),
        ("failed", "passed", "broken", "conflict"),
        ("broken", "passed", "broken", "gate_failed"),
        ("broken", "passed", "passed", "conflict"),
        ("failed", "failed", None, "base_red"),
        ("broken", "broken", None, "gate_broken"),
    ],
)
async def test_red_on_the_merged_tree_is_the_agents_only_if_its_work_alone_is_red(on_head, on_base, alone, ending):
    gate, apart = Scripted("tests", head=on_head, base=on_base, seal=alone), Benches("seal")
    judged = await judge_all([gate], Places(head, Benches(), apart))
    assert (judged.ending, apart.opened, apart.open) == (ending, int(alone is not None), 0)
    assert gate.asked == ["head", "base", *(["seal"] if alone else [])]
    assert ("green on the work alone" in judged.evidence) is (alone == "passed")
    assert ("could not start" in judged.evidence) is (on_head == "failed" and alone == "broken")


async def test_one_gate_that_is_red_alone_outweighs_one_that_is_red_only_together():
    gates = [Scripted("both", head="failed", base="passed", seal="passed")]
    gates.append(Scripted("own", head="failed", base="passed", seal="failed"))
    judged = await judge_all(gates, Places(head, Benches(), Benches("seal")))
    assert (judged.ending, "own is failed" in judged.evidence) == ("gate_failed", True)


@pytest.mark.parametrize(("word", "ending"), [("failed", "gate_failed"), ("broken", "gate_broken"), ("passed", None)])
async def test_a_document_is_judged_once(word, ending):
    gate = Scripted("sections", head=word)
    assert (await judge_all([gate], Places(head, None))).ending == ending
    assert gate.asked == ["head"]


async def test_a_full_disk_is_no_verdict():
    with pytest.raises(DiskFull):
        await judge_all([Scripted("tests", head=DiskFull("no space"))], Places(head, Benches()))


COMPARES = GateTerms(proves=False, compares=True)


async def test_a_gate_that_compares_is_not_run_on_the_base():
    benches = Benches()
    judged = await judge_all([Scripted("scope", COMPARES, head="failed")], Places(head, benches))
    assert (judged.ending, benches.opened) == ("gate_failed", 0)


@pytest.mark.parametrize(
    ("tests", "tamper", "ending", "asks", "proved"),
    [
        ("passed", "asks", None, True, True),
        ("failed", "asks", "gate_failed", False, False),
        ("passed", "passed", None, False, True),
        (None, "passed", None, False, False),
        (None, "asks", None, True, False),
    ],
)
async def test_a_person_is_asked_only_of_work_that_is_not_red(tests, tamper, ending, asks, proved):
    gates = [Scripted("tests", head=tests, base="passed")] if tests else []
    judged = await judge_all([*gates, Scripted("tamper", COMPARES, head=tamper)], Places(head, Benches()))
    assert (judged.ending, judged.question, judged.proved) == (ending, "tamper is asks" if asks else None, proved)
