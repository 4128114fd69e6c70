"""Running gates: side by side, resources, a red one again before it counts (R15)."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.gates.slots import Resources, Slots, side_by_side
from harness.gates.trial import Trial
from harness.model.errors import DiskFull
from harness.model.verdict import GateRun, Verdict
from harness.model.work import WorkItem
from harness.ports import GateCase, GateTerms


class Meeting:
    """Who is inside at the same time."""

    def __init__(self):
        self.inside = set()
        self.met = set()

    @asynccontextmanager
    async def enter(self, name):
        self.met |= {frozenset((name, other)) for other in self.inside}
        self.inside.add(name)
        try:
            for _ in range(20):
                await asyncio.sleep(0)
            yield
        finally:
            self.inside.discard(name)


class Says:
    """A gate that says one word after another."""

    kinds = ()

    def __init__(self, name, *words, meeting=None, timed_out=False, **terms):
        self.name = name
        self.terms = GateTerms(**terms)
        self.words = list(words or ["passed"])
        self.meeting = meeting or Meeting()
        self.timed_out = timed_out
        self.cases = []

    async def judge(self, case):
        self.cases.append(case)
        async with self.meeting.enter(self.name):
            word = self.words.pop(0)
        if isinstance(word, Exception):
            raise word
        run = GateRun(case.on, case.commit, int(word != "passed"), 0.5, str(case.log), timed_out=self.timed_out)
        return Verdict(self.name, word, 0.5, str(case.log), f"said {word}", case.commit, runs=(run,))


class Checkouts:
    def __init__(self, left=()):
        self.opened = []
        self.left = left

    @asynccontextmanager
    async def __call__(self, gate, word):
        number = len(self.opened)
        self.opened.append((gate.name, word))

        async def leftovers():
            return self.left

        log = Path(f"/logs/{gate.name}.{word}.log")
        item = WorkItem("a", "t")
        yield GateCase(item, Path(f"/bench/{number}"), "head", {}, log, Path("/scratch"), leftovers=leftovers)


def trial(checkouts=None, *, most=4, resources=None, **more):
    return Trial(checkouts or Checkouts(), Slots(resources or Resources(), most), **more)


async def test_verdicts_stand_in_the_order_of_the_gates_however_long_each_takes():
    verdicts = await trial().all([Says("slow"), Says("quick"), Says("third")])
    assert [each.gate for each in verdicts] == ["slow", "quick", "third"]


async def test_gates_run_side_by_side_each_in_a_checkout_of_its_own():
    meeting = Meeting()
    gates = [Says(name, meeting=meeting) for name in "abc"]
    await trial().all(gates)
    assert len(meeting.met) == 3
    assert len({case.folder for gate in gates for case in gate.cases}) == 3


@pytest.mark.parametrize("most", [1, 2])
async def test_no_more_run_at_a_time_than_may(most):
    meeting = Meeting()
    await trial(most=most).all([Says(name, meeting=meeting) for name in "abcdef"])
    together = max((len(meeting.met & {frozenset((x, y)) for x in "abcdef" for y in "abcdef" if x < y}), 0))
    assert (together == 0) is (most == 1)
    assert not any(len(group) > most for group in meeting.met)


async def test_gates_that_share_a_resource_never_meet_also_not_those_of_another_proof():
    meeting, resources = Meeting(), Resources()
    one = trial(resources=resources).all([Says("a", meeting=meeting, resources=("db",)), Says("b", meeting=meeting)])
    two = trial(resources=resources).all([Says("c", meeting=meeting, resources=("port", "db"))])
    async with asyncio.timeout(10):
        await asyncio.gather(one, two)
    assert frozenset("ac") not in meeting.met
    assert frozenset("ab") in meeting.met


async def test_nobody_waits_in_a_circle_for_resources():
    meeting = Meeting()
    gates = [Says(str(n), meeting=meeting, resources=("x", "y") if n % 2 else ("y", "x")) for n in range(8)]
    async with asyncio.timeout(10):
        await trial(most=2).all(gates)
    assert not meeting.met


async def test_red_then_green_in_a_new_checkout_is_passed_and_flaky():
    gate, checkouts = Says("tests", "failed", "passed", retry=1), Checkouts()
    (verdict,) = await trial(checkouts).all([gate])
    assert (verdict.verdict, verdict.flaky, verdict.seconds) == ("passed", True, 1.0)
    assert checkouts.opened == [("tests", ""), ("tests", "run2")]
    assert gate.cases[0].folder != gate.cases[1].folder
    assert [Path(run.log).name for run in verdict.runs] == ["tests..log", "tests.run2.log"]
    assert "said failed" in verdict.tail


@pytest.mark.parametrize(
    ("words", "retry", "timed_out", "runs", "word"),
    [
        (["failed", "failed"], 1, False, 2, "failed"),
        (["failed", "failed", "passed"], 2, False, 3, "passed"),
        (["failed"], 0, False, 1, "failed"),
        (["failed"], 1, True, 1, "failed"),
        (["broken"], 1, False, 1, "broken"),
        (["asks"], 1, False, 1, "asks"),
        (["failed", "broken"], 2, False, 2, "broken"),
    ],
)
async def test_what_is_tried_again_and_what_is_not(words, retry, timed_out, runs, word):
    gate = Says("tests", *words, retry=retry, timed_out=timed_out)
    (verdict,) = await trial().all([gate])
    assert (verdict.verdict, len(verdict.runs), verdict.flaky) == (word, runs, word == "passed")


async def test_one_that_runs_after_the_others_is_told_what_they_left():
    after = Says("clean", after=True, checkout=False)
    first = Says("tests")
    await trial(Checkouts(left=("x.txt",)), watch=True).all([after, first])
    assert after.cases[0].left == {"tests": ("x.txt",)}


async def test_a_full_disk_ends_all_of_them_at_once():
    ended = asyncio.Event()

    class Waits(Says):
        async def judge(self, case):
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

    async with asyncio.timeout(10):
        with pytest.raises(DiskFull):
            await trial().all([Waits("long"), Says("full", DiskFull("no space"))])
    assert ended.is_set()


async def test_cancelled_jobs_have_ended_when_the_caller_goes_on():
    ended = []

    async def job(n):
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append(n)

    running = asyncio.ensure_future(side_by_side(job(n) for n in range(3)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(ended) == [0, 1, 2]
