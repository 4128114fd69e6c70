"""What holds for every command (contract 2, 3, 4)."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness.cli.errors import Fault
from harness.cli.invocation import Invocation
from harness.cli.main import main
from harness.cli.words import is_loop, with_command
from harness.model.errors import HarnessError
from tests.kit.command import ROOT, Caller, home_at


def test_an_unknown_command_names_the_nearest_ones(loop):
    said = loop("queue", "shwo")
    assert said.code == 2
    assert "there is no command 'queue shwo'" in said.err
    assert "./loop queue show" in said.err
    assert said.out == ""


def test_a_misplaced_word_finds_the_command_that_has_it(loop):
    assert "./loop session timeline" in loop("timeline").err


def test_errors_have_three_parts_for_people_and_one_envelope_for_programs(loop):
    loop("queue", "add", '{"title": "x"}')
    people = loop("queue", "show", "nothing")
    assert people.code == 4
    assert people.err.splitlines() == [
        "error: there is no item nothing",
        "  next:  ./loop queue show --all",
    ]
    program = loop("queue", "show", "nothing", "--json")
    assert (program.code, program.err) == (4, "")
    assert set(program.error) == {"code", "kind", "message", "cause", "next", "status"}
    assert (program.error["kind"], program.error["status"]) == ("not_found", 4)


@pytest.mark.parametrize(
    "words", [("queue", "show", "--wrong"), ("queue", "prioritise"), ("queue", "show", "--limit", "many")]
)
def test_a_mistake_on_the_command_line_is_exit_2_in_the_same_shape(loop, words):
    assert loop(*words).code == 2
    assert loop(*words).err.startswith("error: ")
    said = loop(*words, "--json")
    assert (said.code, said.error["kind"]) == (2, "usage")
    assert "--help" in said.error["next"]


def test_global_options_hold_before_and_after_the_command(loop, tmp_path):
    other = home_at(tmp_path / "other")
    loop("queue", "add", '{"title": "here"}')
    rows = [loop(*words).json["rows"] for words in (("--json", "queue", "show"), ("queue", "--json", "show"))]
    assert [len(each) for each in rows] == [1, 1]
    assert loop("-C", str(other.root), "queue", "show", "--json").json["rows"] == []
    assert loop("queue", "show", "--json", "-C", str(other.root)).json["rows"] == []


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ([], ["run"]),
        (["--once"], ["run", "--once"]),
        (["-C", "x", "--max-iterations", "1"], ["-C", "x", "run", "--max-iterations", "1"]),
        (["--json"], ["--json", "run"]),
        (["--launched-as", "./loop"], ["--launched-as", "./loop", "run"]),
        (["status", "--json"], ["status", "--json"]),
        (["-C", "run", "status"], ["-C", "run", "status"]),
        (["--help"], ["--help"]),
    ],
)
def test_without_a_command_it_is_run(words, completed):
    assert with_command(words) == completed
    assert is_loop(words) is (completed != words)


TERMED_WHILE_LOADING = """
import os, runpy, signal, sys
class Loading:
    def find_spec(self, name, path=None, target=None):
        if name == "harness.cli.main":
            os.kill(os.getpid(), signal.SIGTERM)
sys.meta_path.insert(0, Loading())
runpy.run_module("harness", run_name="__main__")
"""


@pytest.mark.parametrize(("words", "status"), [([], 0), (["run", "--once"], 0), (["queue", "show"], -15)])
def test_term_is_a_good_end_for_a_loop_that_has_not_begun_and_for_no_other_command(words, status):
    done = subprocess.run(
        [sys.executable, "-c", TERMED_WHILE_LOADING, *words], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == status, done.stderr


def test_the_home_is_c_then_harness_home_then_here_then_the_launchers(tmp_path):
    here, named, asked, checkout = (home_at(tmp_path / name) for name in ("here", "named", "asked", "checkout"))
    (tmp_path / "empty").mkdir()
    environ = {"HARNESS_LAUNCHER_HOME": str(checkout.root)}
    call = Invocation(environ=environ, cwd=tmp_path / "empty")
    assert call.home.root == checkout.root
    assert Invocation(environ=environ, cwd=here.root).home.root == here.root
    environ["HARNESS_HOME"] = str(named.root)
    assert Invocation(environ=environ, cwd=here.root).home.root == named.root
    assert Invocation(environ=environ, cwd=here.root, folder="../asked").home.root == asked.root


def test_a_home_that_does_not_exist_is_a_mistake(loop):
    said = loop("-C", "nowhere", "status", "--json")
    assert (said.code, said.error["kind"]) == (2, "usage")


def test_jq_filters_any_answer_and_prints_text_bare(loop):
    loop("queue", "add", '{"id": "a", "title": "A"}')
    assert loop("queue", "show", "--jq", ".rows[] | .id, .attempts").out == "a\n0\n"
    assert loop("--jq", ".state", "status").out == "stopped\n"


def test_jq_says_what_is_wrong_with_an_expression(loop):
    said = loop("status", "--jq", ".state |")
    assert (said.code, said.error["kind"]) == (2, "usage")
    assert "failed" in said.error["message"]
    assert loop("status", "--jq", '.state | error("no")').error["cause"] == "no"


def test_jq_sees_no_environment(loop):
    loop.environ["SECRET"] = "hidden"
    assert loop("status", "--jq", "env | length").out == "0\n" or "hidden" not in loop("status", "--jq", "env").out


@pytest.mark.slow
def test_jq_that_never_ends_is_ended(loop):
    began = time.monotonic()
    said = loop("status", "--jq", "[range(0; infinite)] | length")
    assert said.code == 2
    assert time.monotonic() - began < 15


def test_a_fault_of_ours_is_one_line_with_an_id_and_a_traceback_in_the_log(loop, capsys):
    loop("queue", "add", '{"title": "x"}')
    broken = Invocation(environ={}, cwd=loop.home.root, now=lambda: 1 // 0)
    assert main(["status"], broken) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: unexpected ZeroDivisionError")
    assert "Traceback" not in said
    number = said.split("error id ")[1][:8]
    log = (loop.home.state / "logs" / "cli.log").read_text()
    assert number in log
    assert "Traceback" in log


def test_debug_shows_the_traceback(loop, capsys):
    broken = Invocation(environ={"DEBUG": "1"}, cwd=loop.home.root, now=lambda: 1 // 0)
    main(["status", "--json"], broken)
    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert json.loads(said.out)["error"]["kind"] == "internal"


def test_its_own_timeout_is_exit_124(loop):
    silent = loop.home.root / "nobody-writes"
    os.mkfifo(silent)
    said = loop("queue", "add", "--file", str(silent), "--timeout", "0.2", "--json")
    assert (said.code, said.error["kind"]) == (124, "timeout")


def test_a_reader_that_has_seen_enough_is_no_error(worked):
    command = f"'{sys.executable}' -I -m harness session timeline | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=worked.home.root,
        env=worked.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_help_names_what_is_not_built(loop):
    top = loop("--help").out
    assert "Not built in this version" in top
    assert "status" in top
    assert loop("sweep", "start", "--help").out.count("Not built in this version") == 1


def test_nothing_is_coloured_but_a_terminal(loop):
    assert "\x1b" not in loop("status").out


def test_what_comes_from_outside_cannot_drive_the_terminal(loop):
    loop("queue", "add", json.dumps({"title": "red \x1b[31m \x07 and \u202e back", "id": "a"}))
    shown = loop("queue", "show").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_caller_of_another_home_is_not_disturbed(tmp_path):
    caller = Caller(home_at(tmp_path / "home"))
    assert caller("status").code == 3
    assert not caller.home.state.exists()


@pytest.mark.process
def test_a_handler_that_was_there_before_keeps_no_command_from_its_timeout(loop):
    silent = loop.home.root / "nobody-writes"
    os.mkfifo(silent)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert loop("--timeout", "0.5", "queue", "add", "--file", str(silent)).code == 124
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_loop_whose_time_is_up_winds_up_and_exits_124(loop):
    done = loop.process("run", "--timeout", "4", "--json")
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])["error"]["kind"]) == (124, "timeout")
    assert "reason=TERM" in loop.home.iteration_log.read_text()
    assert loop("status").code == 3


def test_every_kind_of_error_is_documented_with_its_exit_code():
    page = (ROOT / "docs/reference/json.md").read_text()
    public = [kind for kind in _below(HarnessError) if kind.__module__ == HarnessError.__module__]
    for kind in [HarnessError, Fault, *public]:
        assert f"| `{kind.code}` | {kind.status} |" in page


def _below(kind):
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
