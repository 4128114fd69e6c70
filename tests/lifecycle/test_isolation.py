"""What a process behind the fence sees and may change, and that containment is as exact with it (R7, H14)."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.model.hidden import OF_A_USER
from harness.proc.isolation import Reached, prefix, reach
from harness.proc.view import Machine, View, objects_of
from tests.lifecycle.zoo.den import Den
from tests.lifecycle.zoo.zoo import KINDS

pytestmark = pytest.mark.process
REACHED = reach("outer", os.environ["PATH"], View())
if REACHED.level != "outer":  # no silent green: the reason is printed with the skip
    pytest.skip(f"bubblewrap cannot be used here: {REACHED.why}", allow_module_level=True)


def fenced(view: View, reached: Reached = REACHED, **more: object) -> dict[str, object]:
    return {"level": "outer", "required": True, **prefix(reached, view), **more}


@pytest.fixture
def place(tmp_path):
    """A home folder with a secret, a state folder with a workspace in it, and files around them."""
    for folder in ("me/.ssh", "me/src", "state/ws", "state/other", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "me/.ssh/id").write_text("secret")
    (tmp_path / "me/.netrc").write_text("secret")
    (tmp_path / "me/src/a.py").write_text("source")
    (tmp_path / "state/harness.db").write_text("truth")
    (tmp_path / "state/other/work").write_text("of another")
    return tmp_path


def view_of(place: Path) -> View:
    """As the loop has it; the places of this test lie in /tmp, so what is to be seen of them is said."""
    base = View(hidden=(place / "state",), readable=(place / "me",)).over(Machine((place / "me",)).view())
    return View(writable=(place / "state/ws", place / "tmp"), own_tmp=place / "tmp").over(base)


def shell(view: View, script: str) -> str:
    """What a shell inside says, both outputs."""
    command = [REACHED.program, *view.arguments(), "--", "/bin/sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def test_secrets_and_state_are_not_there_and_the_workspace_is(place):
    said = shell(
        view_of(place), f"cd {place}; cat me/.ssh/id me/.netrc state/harness.db state/other/work; cat me/src/a.py"
    )
    assert "secret" not in said
    assert "truth" not in said
    assert "of another" not in said
    assert "source" in said


def test_home_folders_of_others_are_empty(place):
    """The operator of this test lives in `place`; root's home is another's, and root could read it."""
    root = Path("/root")
    if not os.access(root, os.R_OK | os.X_OK) or not any(root.iterdir()):
        pytest.skip("there is no home of another here that could be read")
    assert shell(view_of(place), "ls -A /root; echo end") == "end\n"
    assert shell(View(), "ls -A /root; echo end") != "end\n"


def test_only_what_was_said_can_be_written(place):
    tries = ["me/src/a.py", "me/new", "state/new", "me/.ssh/new", "/etc/new", "/usr/new", f"{Path.home()}/new"]
    shell(view_of(place), "; ".join(f"cd {place}; echo x > {each}" for each in [*tries, "state/ws/new", "tmp/new"]))
    made = [each for each in tries if (place / each).exists() and (place / each).read_text() == "x\n"]
    assert made == []
    assert (place / "state/ws/new").read_text() == (place / "tmp/new").read_text() == "x\n"


def test_a_hidden_folder_cannot_be_filled(place):
    said = shell(view_of(place), f"echo x > {place}/me/.ssh/new; echo x > {place}/state/new; ls -A {place}/me/.ssh")
    assert said.count("cannot create") == 2


def test_what_is_hidden_cannot_be_uncovered(place):
    tries = (
        f"umount {place}/me/.ssh",
        f"umount -l {place}/state",
        f"unshare -Urm umount {place}/me/.ssh && cat {place}/me/.ssh/id",
        f"mount --bind / /mnt && cat /mnt{place}/me/.ssh/id",
        f"cat /proc/1/root{place}/me/.ssh/id",
        f"cat /proc/{os.getpid()}/root{place}/me/.ssh/id",
    )
    said = shell(view_of(place), "; ".join(f"{{ {each}; }}" for each in tries))
    assert "secret" not in said
    assert "truth" not in said


def test_processes_of_the_machine_are_not_seen(place):
    said = shell(view_of(place), "ls /proc | grep -c '^[0-9]'; kill -0 1 && echo first")
    assert int(said.split()[0]) < 10
    assert shell(view_of(place), f"kill -0 {os.getpid()}").strip() != ""


def test_sockets_of_daemons_are_out_of_reach(place):
    assert shell(view_of(place), "find /run -type s | wc -l").strip() == "0"


def test_temporary_files_are_the_sessions_own(place):
    (Path("/tmp") / f"seen-{place.name}").write_text("x")
    try:
        assert f"seen-{place.name}" not in shell(view_of(place), "ls -A /tmp")
        assert shell(view_of(place), "echo x > /tmp/a && echo x > /var/tmp/b && cat /tmp/a") == "x\n"
        assert not Path("/tmp/a").exists()
    finally:
        (Path("/tmp") / f"seen-{place.name}").unlink()


def test_every_known_secret_of_a_home_is_hidden(tmp_path):
    home = tmp_path / "me"
    for name in OF_A_USER:
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name / "it").write_text("secret")
    view = View(readable=(home,)).over(Machine((home,)).view())
    found = shell(view, f"find {shlex.quote(str(home))} -name it -exec cat {{}} +")
    assert found == ""


def test_objects_of_a_repository_can_be_read_also_those_it_borrows(tmp_path):
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "first")
    git("-C", "first", "commit", "-qm", "x", "--allow-empty")
    git("clone", "-q", "--shared", "first", "second")
    git("clone", "-q", "--shared", "second", "ws")
    found = objects_of(tmp_path / "second/.git")
    assert found == (tmp_path / "second/.git/objects", tmp_path / "first/.git/objects")
    view = View(readable=found, writable=(tmp_path / "ws",))
    said = shell(
        view,
        f"cd {tmp_path}/ws && git log --format=%s && git -c user.name=a -c user.email=a@b commit -qm y --allow-empty && git log --oneline | wc -l",
    )
    assert said.split() == ["x", "2"]


def test_a_python_venv_and_its_cache_work_inside(place):
    script = f"cd {place}/state/ws && echo 'def test_a(): pass' > test_a.py && python3 -m venv v && v/bin/python -c 'print(6*7)'"
    assert shell(view_of(place), script) == "42\n"


# agent-init with the fence


@pytest.fixture
def den(tmp_path):
    den = Den(tmp_path)
    den.prepare(isolation=fenced(View(readable=(Path(__file__).parents[2],))))
    yield den
    den.clear()


def start_zoo(den: Den, action: str, *kinds: str, **options) -> subprocess.Popen[bytes]:
    process = den.start(*den.zoo(action, *kinds), **options)
    assert process.stdout.readline() == b'{"type":"ready"}\n', process.stderr.read()
    return process


@pytest.mark.parametrize("kind", KINDS)
def test_agent_that_exits_takes_what_it_left_behind_along(den, kind):
    process = start_zoo(den, "then-exit", kind)
    process.communicate(timeout=20)
    assert (process.returncode, den.living()) == (0, [])
    assert (den.record().exit, den.record().contained, den.record().reached_isolation) == (0, "exact", "outer")


@pytest.mark.parametrize(("action", "code"), [("then-stay", 143), ("then-ignore", 137)])
def test_term_reaches_the_agent_behind_the_fence_and_ends_the_zoo(den, action, code):
    process = start_zoo(den, action)
    process.terminate()
    process.communicate(timeout=20)
    assert (process.returncode, den.living()) == (code, [])
    assert den.record().contained == "exact"


def test_an_agent_that_ends_well_when_asked_is_left_to_it(den):
    den.prepare(grace_seconds=30)
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda n, f: (os.write(1, b'{\"bye\":1}\\n'), sys.exit(9)))\n"
        "os.write(1, b'{}\\n')\nsignal.pause()"
    )
    process = den.start("-c", code)
    process.stdout.readline()
    process.terminate()
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, said) == (9, b'{"bye":1}\n')


@pytest.mark.parametrize("whom", ["agent-init", "bubblewrap"])
def test_nothing_survives_a_kill_of_what_stands_around_it(den, whom):
    process = start_zoo(den, "then-ignore")
    victim = process.pid if whom == "agent-init" else den.record().agent_pid
    os.kill(victim, signal.SIGKILL)
    process.communicate(timeout=20)
    give_up = time.monotonic() + 10
    while den.living() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert den.living() == []


def test_a_fence_that_cannot_be_set_up_starts_nothing(den, tmp_path):
    told = fenced(View())
    told["argv"] = [*told["argv"], "--bind", str(tmp_path / "not there"), "/mnt"]
    den.prepare(isolation=told)
    code, out, _ = den.python("print('never')")
    assert (code, out) == (78, b"")
    assert den.record().exit == 78
    assert "could not be set up" in den.record().reason
    assert b"not there" in den.spec.err.read_bytes()


def test_an_agent_that_ends_with_1_is_no_failure_of_the_fence(den):
    assert den.python("raise SystemExit(1)")[0] == 1
    assert den.record().reason == ""


def test_a_program_that_is_not_there_is_told_as_such(den):
    den.prepare(argv0="no-such-program")
    assert den.run()[0] == 127
    assert "cannot start no-such-program" in den.record().reason


def test_stdin_output_and_limits_pass_the_fence(den):
    sent = os.urandom(200_000)
    assert (
        den.python("import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)", input=sent)[1] == sent
    )


def test_the_agent_gets_no_descriptor_but_the_lock(den):
    code = (
        "import os\nfor n in os.listdir('/proc/self/fd'):\n    path = f'/proc/self/fd/{n}'\n"
        "    if int(n) > 2 and os.path.lexists(path): print(os.readlink(path))"
    )
    said = den.python(code)[1].decode().split()
    assert [Path(each).name for each in said] == ["agent.lock"]


# what can be reached


def test_without_bubblewrap_the_reason_says_how_to_get_it(tmp_path):
    found = reach("outer", str(tmp_path), View())
    assert found.level == "none"
    assert "apt-get install bubblewrap" in found.why


def test_a_bubblewrap_that_fails_is_told_in_its_own_words(tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    found = reach("outer", str(tmp_path), View())
    assert (found.level, found.program) == ("none", "")
    assert "No permissions to create new namespace" in found.why


def test_none_is_none():
    assert reach("none", "", View()) == Reached("none")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_as_an_ordinary_user(tmp_path):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    command = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        REACHED.program,
        *View().arguments(),
    ]
    done = subprocess.run([*command, "--", "id", "-u"], cwd="/", capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "65534", done.stderr
