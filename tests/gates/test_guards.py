"""Gates that look at what was changed: scope, clean, tamper, spec (O3, O6, C16)."""

import subprocess
from dataclasses import replace

import pytest

from harness.config.gates import APPROVAL, SECTIONS, SPECS, TESTS
from harness.gates.clean import CleanGate
from harness.gates.scope import ScopeGate
from harness.gates.spec import SpecGate
from harness.gates.tamper import TamperGate
from tests.kit.gates import ground, made

pytestmark = pytest.mark.process
README = {"README.md": "a sample\n"}


# --- scope


@pytest.mark.parametrize(
    ("scope", "options", "changed", "outside"),
    [
        (("src/**",), {}, {"src/a/b.py": "1"}, ()),
        (("src",), {}, {"src/a/b.py": "1"}, ()),
        (("src/**",), {}, {"src/a.py": "1", "ci/x": "1"}, ("ci/x",)),
        (("src/*.py",), {}, {"src/a/b.py": "1"}, ("src/a/b.py",)),
        (("src/**",), {"always": ["CHANGELOG.md"]}, {"CHANGELOG.md": "1"}, ()),
        (("src/**",), {}, {"README.md": None}, ("README.md",)),
        ((), {}, {"anything": "1"}, ()),
        ((), {"paths": ["src/**"]}, {"anything": "1"}, ("anything",)),
        (("lib/**",), {"paths": ["src/**"]}, {"lib/a": "1"}, ("lib/a",)),
    ],
)
async def test_only_what_the_scope_covers_may_change(tmp_path, scope, options, changed, outside):
    found = await made(ScopeGate, **options).judge(ground(tmp_path, README, changed).case(scope=scope))
    assert (found.verdict, found.files, found.proves) == ("failed" if outside else "passed", outside, False)
    assert all(path in found.tail for path in (*outside, *(scope if outside else ())))


async def test_a_renamed_file_must_be_in_the_scope_with_both_names(tmp_path):
    there = ground(tmp_path, {"old/a.py": "text\n" * 30}, {"old/a.py": None, "src/a.py": "text\n" * 30})
    found = await made(ScopeGate).judge(there.case(scope=("src/**",)))
    assert found.files == ("old/a.py",)


# --- clean


def shell(command, folder):
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)


@pytest.mark.parametrize(
    ("run", "allow", "left"),
    [
        ("true", (), ()),
        ("echo x > left.txt", (), ("left.txt",)),
        ("mkdir -p deep/er && echo x > deep/er/left.txt", (), ("deep/",)),
        ("echo x >> README.md", (), ("README.md",)),
        ("rm README.md", (), ("README.md",)),
        ("echo x > a.log; mkdir build; touch build/x", (), ()),
        ("echo x > left.txt", ("*.txt",), ()),
        ("touch README.md", (), ()),
    ],
)
async def test_what_a_gate_leaves_behind_is_found(tmp_path, run, allow, left):
    there = ground(tmp_path, {**README, ".gitignore": "*.log\nbuild/\n"}, {"new": "1"})
    async with there.open(there.head, "tests") as case:
        shell(run, case.folder)
        found = {"tests": await there.left(case.folder, there.head)}
    judged = await made(CleanGate, allow=allow).judge(replace(there.case(), left=found))
    assert (judged.verdict, judged.files) == ("failed" if left else "passed", left)


async def test_a_git_directory_that_a_gate_rewrote_hides_nothing(tmp_path):
    there = ground(tmp_path, README, {"new": "1"})
    async with there.open(there.head, "tests") as case:
        (case.folder / "left.txt").write_text("x")
        (case.folder / ".git" / "info" / "exclude").write_text("*\n")
        (case.folder / ".git" / "config").write_text("[core]\n\tfsmonitor = touch /nonexistent/owned\n")
        assert await there.left(case.folder, there.head) == ("left.txt",)


# --- tamper

TEST = "test -f fixed && grep -q strict tests/check.sh"


def tamper(**options):
    return made(TamperGate, approval=APPROVAL, tests=TESTS, **options)


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml", ".gitlab-ci.yml", "Jenkinsfile", ".husky/pre-commit", "sub/.gitattributes",
        ".gitmodules", ".claude/settings.json", "sub/.claude/hooks/x", ".mcp.json", "CLAUDE.md", "docs/AGENTS.md",
    ],
)  # fmt: skip
@pytest.mark.parametrize("deleted", [False, True])
async def test_a_person_is_asked_before_what_judges_or_configures_changes(tmp_path, path, deleted):
    before, after = ({path: "1"}, {path: None}) if deleted else (README, {path: "1"})
    found = await tamper().judge(ground(tmp_path, before, {**after, "src.py": "1"}).case())
    assert (found.verdict, found.files, found.proves) == ("asks", (path,), False)
    assert path in found.tail


@pytest.mark.parametrize("path", ["src/github.py", ".gitignore", "docs/claude.md", "tests/test_x.py"])
async def test_ordinary_files_ask_nobody(tmp_path, path):
    assert (await tamper().judge(ground(tmp_path, README, {path: "1"}).case())).verdict == "passed"


OLD = {"tests/check.sh": "grep -qx good state.txt\n", "state.txt": "good\n"}
RUN = "for t in {tests}; do sh $t || exit 1; done"


@pytest.mark.parametrize(
    ("head", "word", "runs"),
    [
        ({"tests/check.sh": "true\n", "state.txt": "bad\n"}, "asks", ["head + tests", "base"]),
        ({"tests/check.sh": None, "state.txt": "bad\n"}, "asks", ["head + tests", "base"]),
        ({"tests/check.sh": "grep -qx good state.txt && true\n"}, "passed", ["head + tests"]),
        ({"tests/check.sh": None}, "passed", ["head + tests"]),
        ({"tests/new.sh": "true\n", "state.txt": "bad\n"}, "passed", []),
        ({"state.txt": "bad\n"}, "passed", []),
    ],
)
async def test_tests_as_they_were_still_judge_the_work(tmp_path, head, word, runs):
    found = await tamper(run=RUN).judge(ground(tmp_path, OLD, head).case())
    assert (found.verdict, [run.on for run in found.runs]) == (word, runs)


async def test_a_test_that_was_red_before_accuses_nobody(tmp_path):
    there = ground(tmp_path, {**OLD, "state.txt": "bad\n"}, {"tests/check.sh": "true\n"})
    found = await tamper(run=RUN).judge(there.case())
    assert (found.verdict, [run.green for run in found.runs]) == ("passed", [False, False])
    assert "red before this work" in found.tail


async def test_weakened_tests_can_be_the_agents_failure(tmp_path):
    there = ground(tmp_path, OLD, {"tests/check.sh": "true\n", "state.txt": "bad\n"})
    assert (await tamper(run=RUN, on_red="fail").judge(there.case())).verdict == "failed"


async def test_the_repository_itself_is_not_touched_by_a_graft(tmp_path):
    there = ground(tmp_path, OLD, {"tests/check.sh": None})
    before = sorted(path.name for path in (tmp_path / "app").rglob("*") if ".git" not in path.parts)
    grafted = await there.change.graft(there.head, there.base, ["tests/check.sh"])
    assert await there.change.text(grafted, "tests/check.sh") == OLD["tests/check.sh"]
    assert await there.change.text(there.head, "tests/check.sh") is None
    assert sorted(path.name for path in (tmp_path / "app").rglob("*") if ".git" not in path.parts) == before


# --- spec

WHOLE = "# Thing\n\n## Verification\n\nrun it\n\n## Risks\n\nnone\n\n## Known gaps\n\nnone\n"


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (WHOLE, ()),
        (WHOLE.replace("## Verification", "### 3.1 VERIFICATION steps"), ()),
        (WHOLE.replace("## Risks", "## Assumptions and risks"), ()),
        (WHOLE.replace("## Verification\n\nrun it", "## Verification\n\n### By hand\n\nrun it"), ()),
        (WHOLE.replace("## Known gaps\n\nnone\n", ""), ("known gaps",)),
        (WHOLE.replace("run it\n", ""), ("verification",)),
        (WHOLE.replace("## Risks", "```\n## Risks\n```"), ("risks or assumptions",)),
        ("nothing\n", ("verification", "risks or assumptions", "known gaps")),
    ],
)
async def test_a_changed_specification_says_what_it_must(tmp_path, text, lacks):
    there = ground(tmp_path, README, {"specs/thing.md": text})
    found = await made(SpecGate, paths=SPECS, sections=SECTIONS).judge(there.case())
    assert found.verdict == ("failed" if lacks else "passed")
    assert [name for name in SECTIONS if f"{name} (" in found.tail] == list(lacks)


async def test_it_proves_specifications_and_nothing_else(tmp_path):
    gate = made(SpecGate, paths=SPECS, sections=SECTIONS)
    alone = await gate.judge(ground(tmp_path / "a", README, {"specs/thing.md": WHOLE}).case())
    mixed = await gate.judge(ground(tmp_path / "b", README, {"specs/thing.md": WHOLE, "x.py": "1"}).case())
    none = await gate.judge(ground(tmp_path / "c", README, {"x.py": "1"}).case())
    gone = await gate.judge(ground(tmp_path / "d", {"specs/thing.md": "bare\n"}, {"specs/thing.md": None}).case())
    assert [each.proves for each in (alone, mixed, none, gone)] == [True, False, False, False]
    assert {each.verdict for each in (alone, mixed, none, gone)} == {"passed"}
