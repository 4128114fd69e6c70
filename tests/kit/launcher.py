"""A copy of the checkout's launcher on a PATH of fakes: no network, no real Python of the machine, milliseconds a run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "cat",
    "cmp",
    "cut",
    "date",
    "dirname",
    "env",
    "grep",
    "head",
    "id",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sed",
    "sh",
    "tail",
)
LAUNCHER = ("loop", "loop.sh", "scripts", "pyproject.toml", "requirements.lock", "requirements-dev.lock")

# What the launcher asks of a Python, answered from the knobs written into the script.
FAKE_PYTHON = """#!/bin/sh
echo "$0 $*" >>'{calls}'
case "$*" in
    *_base_executable*) echo "{path} {version}"; exit {too_old} ;;
    *ensurepip*) exit {no_ensurepip} ;;
    *fcntl*) exec '{python}' "$@" ;;
    "-m venv "*) {venv} ;;
esac
"""
FAKE_VENV_PYTHON = """#!/bin/sh
echo "$0 $*" >>'{calls}'
case "$*" in
    "-m pip --version" | "-c import pip") exit {no_pip} ;;
    "-m pip install "*) {install} ;;
    *sysconfig*) echo "${{0%/bin/python}}" ;;
    "-I -m harness "*) shift 3; printf '%s|' "$HARNESS_LAUNCHER_HOME" "$PWD" "$@" ;;
esac
"""


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Desk:
    """A checkout in a folder with a space in its name, and the tools a person has there."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.checkout = tmp / "a check out"
        self.bin = tmp / "bin"
        self.bin.mkdir()
        self.calls = tmp / "calls"
        self.calls.touch()
        self.checkout.mkdir()
        for name in LAUNCHER:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.checkout / name)
        for name in COMMANDS:
            (self.bin / name).symlink_to(shutil.which(name) or f"/bin/{name}")
        self.tool("git")

    def tool(self, name: str, text: str = "exit 0") -> None:
        """Put a command on the desk's PATH."""
        _script(self.bin / name, f"#!/bin/sh\necho \"{name} $*\" >>'{self.calls}'\n{text}\n")

    def python(
        self,
        name: str = "python3",
        version: str = "3.11",
        *,
        ensurepip: bool = True,
        pip: bool = True,
        venv: str = "",
        install: str = "exit 0",
    ) -> None:
        """Put a Python on PATH; `venv` and `install` are what `-m venv` and pip do instead of succeeding."""
        template = self.tmp / f"venv-{name}"
        _script(template, FAKE_VENV_PYTHON.format(calls=self.calls, no_pip=int(not pip), install=install))
        make = venv or f'mkdir -p "$3/bin" && cat \'{template}\' >"$3/bin/python" && /bin/chmod +x "$3/bin/python"'
        too_old = int(tuple(map(int, version.split("."))) < (3, 11))
        text = FAKE_PYTHON.format(
            calls=self.calls,
            path=self.bin / name,
            version=version,
            too_old=too_old,
            no_ensurepip=int(not ensurepip),
            python=sys.executable,
            venv=make,
        )
        _script(self.bin / name, text)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.tmp / "no such home")}

    def run(self, *argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the launcher, or what argv begins with, as an ordinary first-time user would."""
        command = [str(part) for part in argv] if argv else [str(self.checkout / "loop")]
        return subprocess.run(
            command, env=self.environment, cwd=cwd or self.tmp, capture_output=True, text=True, timeout=20, check=False
        )

    def start(self, *argv: str | Path) -> subprocess.Popen[str]:
        """Start the launcher in a process group of its own, its messages on a pipe."""
        command = [str(part) for part in argv] if argv else [str(self.checkout / "loop")]
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.tmp,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def called(self, what: str) -> int:
        """How many calls of the fakes contained `what`."""
        return sum(what in line for line in self.calls.read_text().splitlines())

    def fifo(self, name: str) -> Path:
        path = self.tmp / name
        os.mkfifo(path)
        return path
