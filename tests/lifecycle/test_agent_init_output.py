"""An agent's output goes onwards byte for byte, and to disk capped, redacted and timed (contract 2, H8)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from harness.proc.contain import InitLimits, launcher
from tests.lifecycle.zoo.den import Den

pytestmark = pytest.mark.process

MIB = 1 << 20
AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def den(tmp_path):
    den = Den(tmp_path)
    den.prepare()
    return den


def test_frames_get_their_time_and_other_lines_are_wrapped(den):
    said = b'{"type":"a","n":1}\nnot json\n{}\n{broken}\n[1]\n\n {"b": 2}\r\n{"last": true}'
    code, out, _ = den.python(f"import os; os.write(1, {said!r})")
    assert (code, out) == (0, said)
    frames = den.frames()
    assert all(AT.fullmatch(frame.pop("_at")) for frame in frames)
    assert frames == [
        {"type": "a", "n": 1}, {"_raw": "not json"}, {}, {"_raw": "{broken}"}, {"_raw": "[1]"}, {"_raw": ""}, {"b": 2},
        {"last": True},
    ]  # fmt: skip


def test_frames_reach_the_log_while_the_agent_runs(den):
    process = den.start("-c", "import sys; print('{}', flush=True); sys.stdin.read()", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"{}\n"
    assert len(den.frames()) == 1
    process.communicate(timeout=10)


def test_stdin_reaches_the_agent_untouched(den):
    sent = os.urandom(300_000)
    _, out, _ = den.python("import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)", input=sent)
    assert out == sent


def test_text_is_copied_plain_and_both_outputs_may_share_a_log(den):
    den.prepare(format="text", err=den.spec.log)
    den.python("import os; os.write(1, b'one\\n'); os.write(2, b'two\\n'); os.write(1, b'three')")
    assert den.spec.log.read_bytes() == b"one\ntwo\nthree"


def test_stderr_goes_to_its_file_and_not_onwards(den):
    _, out, err = den.python("import os; os.write(2, b'oops\\n')")
    assert (out, err, den.spec.err.read_bytes()) == (b"", b"", b"oops\n")


def test_a_line_of_50_mib_passes_in_bounded_memory(den):
    den.prepare(limits=InitLimits(log_bytes=100 * MIB))
    said = b'{"x":"' + b"y" * (50 * MIB) + b'"}\n{"type":"result"}\n'
    code = (
        "import os, sys\nout = open(1, 'wb', buffering=0)\nout.write(b'{\"x\":\"')\n"
        f"for _ in range({50 * 16}): out.write(b'y' * 65536)\n"
        'out.write(b\'"}\\n{"type":"result"}\\n\')\nsys.stdin.read()'
    )
    with den.start("-I", "-S", "-c", code, stdin=subprocess.PIPE) as process:
        assert hashlib.sha256(process.stdout.read(len(said))).digest() == hashlib.sha256(said).digest()
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.stdin.close()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 40 * 1024
    first, second = den.spec.log.read_bytes().splitlines()
    assert re.sub(rb'"_at":"[^"]*",', b"", first) == said.splitlines()[0]
    assert json.loads(second)["type"] == "result"


def test_a_long_line_that_is_no_object_is_cut(den):
    den.python(f"print('x' * {2 * MIB}); print('{{}}')")
    first, second = den.frames()
    assert first["_cut"]
    assert set(first["_raw"]) == {"x"}
    assert set(second) == {"_at"}


def test_floods_on_both_outputs_meet_a_slow_reader(den):
    code = (
        "import os, threading\n"
        f"flood = lambda fd: [os.write(fd, b'z' * 65535 + b'\\n') for _ in range({20 * 16})]\n"
        "threads = [threading.Thread(target=flood, args=(fd,)) for fd in (1, 2)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    )
    with den.start("-I", "-S", "-c", code) as process:
        total = 0
        while piece := os.read(process.stdout.fileno(), 1000 if total < MIB else MIB):
            total += len(piece)
    assert total == 20 * MIB
    assert process.returncode == 0
    assert den.spec.err.stat().st_size <= MIB


def test_nobody_reading_onwards_does_not_stop_the_agent_or_the_log(den):
    process = den.start("-c", "import sys; sys.stdin.read(); print('{}\\n' * 200_000)", stdin=subprocess.PIPE)
    process.stdout.close()
    process.stdout = None
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(den.frames()) > 200_000


def test_reader_that_never_reads_does_not_keep_agent_init_alive(den):
    process = den.start("-I", "-S", "-c", "import os\nwhile True: os.write(1, b'{}\\n' * 1000)")
    try:
        while not den.spec.record.exists() or den.spec.log.stat().st_size < 2 * MIB:
            os.sched_yield()
        process.terminate()
        assert process.wait(timeout=15) == 143
    finally:
        process.stdout.close()
        process.stderr.close()


def test_log_stops_at_its_limit_and_keeps_the_end(den):
    den.prepare(limits=InitLimits(log_bytes=MIB, err_bytes=MIB))
    _, out, _ = den.python("for n in range(100_000): print('{\"n\":%d}' % n)")
    assert out.count(b"\n") == 100_000
    assert den.spec.log.stat().st_size <= MIB
    frames = den.frames()
    at = next(index for index, frame in enumerate(frames) if frame.get("_truncated"))
    assert [frame["n"] for frame in frames[:at]] == list(range(at))
    assert frames[-1]["n"] == 99_999
    assert den.record().log_truncated


SECRET = 'p"ss/wörd\\12345'


def test_secrets_are_redacted_on_disk_and_only_there(den):
    env = {"MY_API_KEY": SECRET, "db_password": "hunter2hunter2", "SHORT_TOKEN": "abc", "HARMLESS": "harmless-value"}
    code = (
        "import os, json, sys\nkey = os.environ['MY_API_KEY']\n"
        "print(json.dumps({'a': key}), json.dumps({'a': key}, ensure_ascii=False), sep='\\n')\n"
        "print(key, os.environ['SHORT_TOKEN'], os.environ['HARMLESS'])\n"
        "for letter in os.environ['db_password'] + '\\n': os.write(2, letter.encode())"
    )
    _, out, _ = den.python(code, env={**env, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"})
    assert SECRET in out.decode()
    ascii_frame, frame, raw = den.frames()
    assert ascii_frame["a"] == frame["a"] == "«redacted:MY_API_KEY»"
    assert raw["_raw"] == "«redacted:MY_API_KEY» abc harmless-value"
    assert den.spec.err.read_text() == "«redacted:db_password»\n"


def test_secret_inside_a_streamed_line_is_redacted(den):
    code = "import os; print('{\"x\":\"' + 'y' * 5_000_000 + (os.environ['A_TOKEN'] + '-') * 100_000 + '\"}')"
    den.python(code, env={"A_TOKEN": "0123456789abcdef"})
    raw = den.spec.log.read_bytes()
    assert b"0123456789abcdef" not in raw
    assert json.loads(raw)["x"].count("«redacted:A_TOKEN»") == 100_000


def test_full_disk_loses_log_lines_but_not_the_agent(den):
    den.prepare(log=Path("/dev/full"))
    code, out, _ = den.python("print('{}'); print('{}')")
    assert (code, out) == (0, b"{}\n{}\n")
    assert den.record().reason == "2 records of a log are lost: No space left on device"


def test_file_size_limit_leaves_whole_lines_only(den):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code, out, _ = den.python("for n in range(5000): print('{\"n\":%d}' % n)", preexec_fn=limit)
    assert (code, out.count(b"\n")) == (0, 5000)
    assert [frame["n"] for frame in den.frames()] == list(range(len(den.frames())))
    assert "File too large" in den.record().reason


@pytest.mark.parametrize(
    ("code", "status", "exit_", "signum"),
    [
        ("raise SystemExit(7)", 7, 7, None),
        ("import os; os.kill(os.getpid(), 9)", 137, None, 9),
        ("import os; os.kill(os.getpid(), 15)", 143, None, 15),
    ],
)
def test_exit_code_is_the_agents(den, code, status, exit_, signum):
    assert den.python(code)[0] == status
    assert (den.record().exit, den.record().signal) == (exit_, signum)


@pytest.mark.parametrize(("program", "status"), [("/no/such/program", 127), ("/etc/passwd", 126)])
def test_program_that_cannot_be_started_is_named(den, program, status):
    den.prepare(argv0=program)
    code, _, err = den.run()
    assert code == status
    assert f"cannot start {program}" in err.decode()
    assert den.record().exit == status
    assert program in den.record().reason


def test_interrupt_and_hangup_are_passed_on(den):
    code = (
        "import os, signal, sys\n"
        "for s in (signal.SIGINT, signal.SIGHUP): signal.signal(s, lambda n, f: os.write(1, b'%d\\n' % n))\n"
        "os.write(1, b'{}\\n')\nsys.stdin.read()"
    )
    process = den.start("-c", code, stdin=subprocess.PIPE)
    process.stdout.readline()
    for signum in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(signum)
        assert int(process.stdout.readline()) == signum
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_limits_reach_the_agent(den):
    den.prepare(limits=InitLimits(nofile=123, core=0, nice=5))
    code = "import os, resource as r; print(r.getrlimit(r.RLIMIT_NOFILE)[0], r.getrlimit(r.RLIMIT_CORE)[0], os.nice(0))"
    assert den.python(code)[1] == b"123 0 %d\n" % (os.nice(0) + 5)


def test_agent_starts_with_no_signal_ignored(den):
    den.prepare(argv0="grep")
    assert den.run("SigIgn", "/proc/self/status")[1].split() == [b"SigIgn:", b"0" * 16]


def test_agent_sees_its_session_but_not_the_spec(den):
    code = "import os; print(os.environ['HARNESS_SESSION'], 'HARNESS_AGENT_SPEC' in os.environ)"
    assert den.python(code)[1].decode() == f"{den.spec.session} False\n"


def test_a_secret_is_handed_over_once_and_not_in_the_environment(den):
    den.prepare(handed_over={"API_KEY": "API_KEY_DESCRIPTOR", "NOT_SET": "NOT_SET_DESCRIPTOR"})
    code = (
        "import os\nfd = int(os.environ['API_KEY_DESCRIPTOR'])\n"
        "print(len(os.read(fd, 99)), os.read(fd, 99), 'API_KEY' in os.environ, 'NOT_SET_DESCRIPTOR' in os.environ)\n"
        "print('secret' in open('/proc/self/environ').read())"
    )
    said = den.python(code, env={"API_KEY": "a-real-secret"})[1].decode().splitlines()
    assert said == ["13 b'' False False", "False"]


def test_isolation_that_is_required_and_missing_fails_closed(den):
    den.prepare(isolation={"level": "outer", "required": True})
    code, out, err = den.python("print('never')")
    assert (code, out) == (78, b"")
    assert b"isolation outer is required" in err
    assert den.record().exit == 78


def test_isolation_that_is_only_wished_is_recorded_as_not_reached(den):
    den.prepare(isolation={"level": "outer", "required": False})
    assert den.python("pass")[0] == 0
    assert den.record().reached_isolation == "none"
    assert den.record().reason == "isolation outer is not available: none is reached"


def test_spec_that_others_could_write_is_refused(den):
    (den.folder / "spec.json").chmod(0o622)
    code, _, err = den.python("print('never')")
    assert code == 78
    assert b"0600" in err


def test_files_are_private(den):
    den.python("print('{}')")
    for path in (den.spec.log, den.spec.err, den.spec.record, den.folder / "spec.json"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_launcher_works_from_a_folder_with_spaces_and_keeps_the_pid(den, tmp_path):
    program = launcher(tmp_path / "a folder with 'quotes'")
    with subprocess.Popen([program, "-c", "print('{}')"], env=den.environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout.read() == b"{}\n"
    assert den.record().pid == process.pid
