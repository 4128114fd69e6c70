"""P16: a fix comes with a test that is red without it and green with it."""

from pathlib import Path

import pytest

from harness.config.gates import TESTS
from harness.gates.regression import RegressionGate
from tests.kit.gates import ground, made

pytestmark = pytest.mark.process
BASE = {"answer.txt": "41\n", "tests/old.sh": "test -f answer.txt\n"}
FIX = {"answer.txt": "42\n"}
PROVES = {"tests/new.sh": "grep -qx 42 answer.txt\n"}
RUN = "for t in {tests}; do sh $t || exit 1; done"


def gate(run=RUN, **options):
    return made(RegressionGate, run=run, tests=TESTS, **options)


async def judged(tmp_path, head, run=RUN, base=BASE, **options):
    return await gate(run, **options).judge(ground(tmp_path, base, head).case())


async def test_a_test_that_is_red_without_the_fix_and_green_with_it_proves_the_fix(tmp_path):
    found = await judged(tmp_path, {**FIX, **PROVES})
    assert (found.verdict, found.proves, found.files) == ("passed", True, ("tests/new.sh",))
    assert [(run.on, run.green) for run in found.runs] == [("head", True), ("base + tests", False)]
    assert len({run.log for run in found.runs}) == 2
    assert all(run.sha256 for run in found.runs)


async def test_a_changed_test_counts_as_a_new_one(tmp_path):
    found = await judged(tmp_path, {**FIX, "tests/old.sh": "grep -qx 42 answer.txt\n"})
    assert found.verdict == "passed"


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (FIX, "no test was added or changed"),
        ({**FIX, "tests/old.sh": None}, "no test was added or changed"),
        ({**FIX, "tests/new.sh": "true\n"}, "pass without the fix too"),
        ({**FIX, "tests/new.sh": "grep -qx 43 answer.txt\n"}, "red with the fix"),
        ({"tests/new.sh": "grep -qx 42 answer.txt\n"}, "red with the fix"),
    ],
)
async def test_a_fix_without_a_test_that_shows_it_is_red(tmp_path, head, says):
    found = await judged(tmp_path, head)
    assert found.verdict == "failed"
    assert says in found.tail


async def test_a_test_that_cannot_even_start_without_the_fix_shows_nothing(tmp_path):
    head = {**FIX, **PROVES, "tool.sh": "sh tests/new.sh\n"}
    found = await judged(tmp_path, head, run="test -f tool.sh || exit 127; sh tool.sh")
    assert (found.verdict, "could not be started" in found.tail) == ("failed", True)


async def test_a_command_that_does_not_exist_is_broken_and_not_the_agents_fault(tmp_path):
    assert (await judged(tmp_path, {**FIX, **PROVES}, run="no-such-runner {tests}")).verdict == "broken"


async def test_hanging_without_the_fix_is_red_without_the_fix(tmp_path):
    head = {**FIX, "tests/new.sh": "until grep -qx 42 answer.txt; do sleep 0.1; done\n"}
    found = await judged(tmp_path, head, timeout_seconds=1)
    assert (found.verdict, [run.timed_out for run in found.runs]) == ("passed", [False, True])


async def test_only_the_changed_tests_run_and_the_base_is_as_it_was_but_for_them(tmp_path):
    head = {**FIX, **PROVES, "helper.txt": "new\n"}
    run = "echo ran {tests}; test ! -f helper.txt && exit 1; " + RUN
    found = await judged(tmp_path, head, run=run)
    assert found.verdict == "passed"
    assert "ran tests/new.sh\n" in Path(found.runs[0].log).read_text()


@pytest.mark.parametrize("name", ["a b.sh", "$(touch owned).sh", "-n.sh", "q'uote.sh", "ü.sh", "a;b.sh"])
async def test_names_of_tests_are_words_and_never_shell(tmp_path, name):
    there = ground(tmp_path, BASE, {**FIX, f"tests/{name}": "grep -qx 42 answer.txt\n"})
    found = await gate('for t in {tests}; do sh "$t" || exit 1; done').judge(there.case())
    assert found.verdict == "passed"
    assert not list(tmp_path.rglob("owned"))
