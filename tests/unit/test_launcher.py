"""The first minute of a person with the project: what ./loop does with the Python, pip and network it finds (A1, H1, H49, H54)."""

import os
import signal
from pathlib import Path

import pytest

from tests.kit.launcher import Desk

NETWORK = """echo "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: Failed to establish a new connection'"
echo "ERROR: Could not find a version that satisfies the requirement anyio==4 (from versions: none)" >&2; exit 1"""
MISMATCH = 'echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."; exit 1'
DEBIAN = 'mkdir -p "$3/bin"; echo "The virtual environment was not created successfully because ensurepip is not available."; exit 1'

ALIASES = {
    "parse-session-events": "session",
    "manage-queue": "queue",
    "report-status": "status",
    "verify-installation": "doctor",
    "health-check": "health",
    "analyze-weekly-metrics": "report|weekly",
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_first_use_makes_the_venv_with_progress_and_starts_the_harness(desk: Desk) -> None:
    desk.python(install='echo "Collecting anyio==4"; echo "  Downloading anyio-4.whl (1 kB)"')
    ended = desk.run(desk.checkout / "loop", "queue", "add", "two words")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{desk.checkout}|{desk.tmp}|--launched-as|{desk.checkout}/loop|queue|add|two words|"
    assert "loop: making .venv (runtime)" in ended.stderr
    assert "\n  Downloading anyio-4.whl (1 kB)\n" in ended.stderr
    assert "loop: .venv is ready after " in ended.stderr
    assert desk.called(f"--require-hashes -r {desk.checkout}/requirements.lock") == 1


def test_second_use_is_silent_and_starts_no_python_but_the_harness(desk: Desk) -> None:
    desk.python()
    desk.run()
    desk.calls.write_text("")
    ended = desk.run()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert desk.calls.read_text().splitlines() == [
        f"{desk.checkout}/.venv/bin/python -I -m harness --launched-as {desk.checkout}/loop"
    ]


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements.lock"])
def test_a_changed_lock_or_pyproject_updates_the_venv(desk: Desk, changed: str) -> None:
    desk.python()
    desk.run()
    with (desk.checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert "loop: updating .venv (runtime)" in desk.run().stderr
    assert desk.called("-m pip install") == 2
    assert desk.called("-m venv") == 1
    assert desk.run().stderr == ""


def test_the_dev_level_installs_the_dev_lock_and_serves_the_runtime_too(desk: Desk) -> None:
    desk.python()
    assert desk.run(desk.checkout / "scripts/venv", "dev").returncode == 0
    assert desk.called("requirements-dev.lock") == 1
    assert desk.run().stderr == ""


def test_a_checkout_that_was_moved_makes_its_venv_again(desk: Desk) -> None:
    desk.python()
    desk.run()
    desk.checkout = desk.checkout.rename(desk.tmp / "elsewhere")
    assert "loop: making .venv (runtime)" in desk.run().stderr
    assert desk.called(f"-m venv {desk.tmp}/elsewhere/.venv") == 1


def test_a_venv_whose_python_is_gone_is_made_again(desk: Desk) -> None:
    desk.python()
    desk.run()
    (desk.checkout / ".venv/bin/python").unlink()
    assert "loop: making .venv (runtime)" in desk.run().stderr


def test_an_interrupted_build_is_not_taken_for_a_finished_one(desk: Desk) -> None:
    reached, never = desk.fifo("reached"), desk.fifo("never")
    desk.python(install=f"echo >'{reached}'; read -r _ <'{never}'")
    launcher = desk.start()
    reached.read_text()
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.communicate(timeout=10)
    desk.python()
    ended = desk.run()
    assert ended.returncode == 0
    assert "loop: making .venv (runtime)" in ended.stderr
    assert desk.called("-m venv") == 2


def test_after_an_interrupted_update_the_venv_is_made_from_nothing(desk: Desk) -> None:
    failing = "echo 'ERROR: half of it'; exit 1"
    desk.python(install=f"[ -e '{desk.tmp}/broken' ] && {{ {failing}; }}; exit 0")
    desk.run()
    (desk.tmp / "broken").touch()
    (desk.checkout / "pyproject.toml").write_text("")
    assert "loop: updating .venv" in desk.run().stderr
    (desk.tmp / "broken").unlink()
    assert "loop: making .venv (runtime)" in desk.run().stderr


def test_of_two_first_uses_one_builds_and_the_other_waits_for_it(desk: Desk) -> None:
    reached, go_on = desk.fifo("reached"), desk.fifo("go on")
    desk.python(install=f"echo >'{reached}'; read -r _ <'{go_on}'")
    first = desk.start()
    reached.read_text()
    second = desk.start()
    assert second.stderr is not None
    assert second.stderr.readline() == "loop: another process is making .venv; waiting for it\n"
    go_on.write_text("\n")
    first.communicate(timeout=10)
    rest = second.communicate(timeout=10)[1]
    assert (first.returncode, second.returncode, rest) == (0, 0, "")
    assert desk.called("-m pip install") == 1


def test_no_python(desk: Desk) -> None:
    ended = desk.run()
    assert ended.returncode == 69
    assert "there is no python3 on PATH\n  next: apt-get install python3 python3-venv" in ended.stderr


def test_a_python_that_is_too_old_is_named(desk: Desk) -> None:
    desk.python(version="3.9")
    ended = desk.run()
    assert ended.returncode == 69
    assert f"Python 3.11 or newer is needed; python3 here is 3.9 ({desk.bin}/python3)" in ended.stderr
    assert not (desk.checkout / ".venv").exists()


def test_a_newer_python_is_found_beside_an_old_one_and_a_shim_that_does_not_run(desk: Desk) -> None:
    desk.python(version="3.9")
    desk.tool("python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    desk.python("python3.12", version="3.12")
    ended = desk.run()
    assert ended.returncode == 0
    assert f"with {desk.bin}/python3.12;" in ended.stderr


def test_a_python_that_can_make_a_venv_is_preferred_to_one_that_cannot(desk: Desk) -> None:
    desk.python(ensurepip=False)
    desk.python("python3.12", version="3.12")
    assert f"with {desk.bin}/python3.12;" in desk.run().stderr


def test_debians_python_without_ensurepip_is_recognised(desk: Desk) -> None:
    desk.python(ensurepip=False)
    ended = desk.run()
    assert ended.returncode == 69
    assert "its modules venv and ensurepip are missing\n  next: apt-get install python3-venv" in ended.stderr
    assert "python3.11-venv" in ended.stderr


def test_a_venv_that_cannot_be_made_shows_why_and_leaves_nothing(desk: Desk) -> None:
    desk.python(venv=DEBIAN)
    ended = desk.run()
    assert ended.returncode == 69
    assert "because ensurepip is not available." in ended.stderr
    assert "next: apt-get install python3-venv" in ended.stderr
    assert not (desk.checkout / ".venv").exists()


def test_a_venv_without_pip_names_the_package(desk: Desk) -> None:
    desk.python(pip=False)
    ended = desk.run()
    assert ended.returncode == 69
    assert "has no pip\n  next: apt-get install python3-venv python3-pip" in ended.stderr


def test_no_git(desk: Desk) -> None:
    desk.python()
    (desk.bin / "git").unlink()
    ended = desk.run()
    assert (ended.returncode, ended.stderr) == (
        69,
        "loop: git is not installed\n  next: apt-get install git   (Debian, Ubuntu)\n",
    )


@pytest.mark.parametrize(
    ("install", "status", "message", "evidence"),
    [
        (NETWORK, 75, "the package registry cannot be reached", "Could not find a version that satisfies"),
        (MISMATCH, 69, "the packages could not be installed", "DO NOT MATCH THE HASHES"),
        ("echo 'ERROR: [Errno 28] No space left on device'; exit 1", 75, "the disk is full", "No space left"),
    ],
)
def test_a_failing_pip_shows_its_last_lines_and_the_next_use_tries_again(
    desk: Desk, install: str, status: int, message: str, evidence: str
) -> None:
    desk.python(install=install)
    ended = desk.run()
    assert ended.returncode == status
    assert f"loop: {message}" in ended.stderr
    assert evidence in ended.stderr
    assert ended.stdout == ""
    desk.python()
    assert desk.run().returncode == 0


def test_uv_is_used_when_present(desk: Desk) -> None:
    desk.python(ensurepip=False, venv="exit 1")
    body = FAKE_UV.format(template=desk.tmp / "venv-python3")
    desk.tool("uv", body)
    ended = desk.run()
    assert ended.returncode == 0, ended.stderr
    assert (
        desk.called(f"uv pip install --python {desk.checkout}/.venv/bin/python --compile-bytecode --require-hashes")
        == 1
    )
    assert desk.called("-m pip install") == 0


FAKE_UV = """[ "$1" = pip ] || {{ for last; do :; done; mkdir -p "$last/bin"; cat '{template}' >"$last/bin/python"; /bin/chmod +x "$last/bin/python"; }}"""


def test_a_uv_that_fails_leaves_the_work_to_pip(desk: Desk) -> None:
    desk.python()
    desk.tool("uv", "echo 'error: certificate' >&2; exit 2")
    ended = desk.run()
    assert ended.returncode == 0
    assert "error: certificate\nloop: uv could not do it; trying with pip\n" in ended.stderr
    assert desk.called("-m pip install") == 1


def test_a_venv_made_by_uv_has_no_pip_and_is_made_again_when_uv_has_gone(desk: Desk) -> None:
    desk.python(pip=False)
    desk.tool("uv", FAKE_UV.format(template=desk.tmp / "venv-python3"))
    desk.run()
    (desk.bin / "uv").unlink()
    desk.python()
    (desk.checkout / "pyproject.toml").write_text("")
    ended = desk.run()
    assert (ended.returncode, "making .venv" in ended.stderr) == (0, True), ended.stderr


def test_a_link_to_the_launcher_finds_its_checkout(desk: Desk) -> None:
    desk.python()
    link = desk.tmp / "loop link"
    link.symlink_to(Path("a check out/loop"))
    ended = desk.run(link, "status")
    assert ended.stdout == f"{desk.checkout}|{desk.tmp}|--launched-as|{link}|status|"


@pytest.mark.parametrize("suffix", ["", ".sh"])
@pytest.mark.parametrize("alias", ALIASES)
def test_the_seed_named_scripts_are_the_commands_of_the_loop(desk: Desk, alias: str, suffix: str) -> None:
    desk.python()
    ended = desk.run("./" + alias + suffix, "last one", cwd=desk.checkout / "scripts")
    assert ended.stdout == f"{desk.checkout}|{desk.checkout}/scripts|--launched-as|./../loop|{ALIASES[alias]}|last one|"


def test_loop_sh_is_the_loop(desk: Desk) -> None:
    desk.python()
    ended = desk.run("sh", "loop.sh", "version", cwd=desk.checkout)
    assert ended.stdout == f"{desk.checkout}|{desk.checkout}|--launched-as|loop.sh|version|"


def test_an_unknown_level_is_a_usage_error(desk: Desk) -> None:
    ended = desk.run(desk.checkout / "scripts/venv", "everything")
    assert (ended.returncode, ended.stderr) == (2, "usage: scripts/venv [runtime|dev]\n")
