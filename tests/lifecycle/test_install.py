"""The launcher with a real Python, a real venv and a real pip, on a registry that is one folder with one wheel (A1, H54)."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.kit.launcher import LAUNCHER, ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow]

METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MAIN = "import sys, tiny\nprint(tiny.VERSION, *sys.argv[1:])\n"


def wheel(folder: Path, version: str) -> str:
    """Write tiny-VERSION to the registry folder; returns its line for a lock."""
    path = folder / f"tiny-{version}-py3-none-any.whl"
    info = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", f'VERSION = "{version}"\n')
        archive.writestr(f"{info}/METADATA", METADATA.format(version=version))
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return f"tiny=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def make_checkout(folder: Path, lock: str) -> Path:
    checkout = folder / "check out"
    checkout.mkdir()
    for name in LAUNCHER:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, checkout / name)
    (checkout / "requirements.lock").write_text(lock)
    (checkout / "harness").mkdir()
    (checkout / "harness/__init__.py").touch()
    (checkout / "harness/__main__.py").write_text(MAIN)
    return checkout


def run(checkout: Path, registry: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ./loop as a new user: nothing in the environment but a PATH, an empty HOME and what pip needs."""
    path = f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": registry.as_uri(), "PIP_CONFIG_FILE": os.devnull}
    environment = {"PATH": path, "HOME": str(cwd / "home"), "PYTHONDONTWRITEBYTECODE": "1", **pip}
    command = [str(checkout / "loop"), "status"]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=90, check=False)


def test_install_use_update_and_a_lock_that_lies(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    first, second = wheel(registry, "1.0"), wheel(registry, "2.0")
    checkout = make_checkout(tmp_path, first)
    (tmp_path / "tiny.py").write_text("raise SystemExit('the folder of the caller was searched for modules')")

    made = run(checkout, registry, tmp_path)
    assert (made.returncode, made.stdout) == (0, f"1.0 --launched-as {checkout}/loop status\n"), made.stderr
    again = run(checkout, registry, tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert (checkout / "harness/__pycache__").is_dir(), "modules must be cached whatever the environment says"

    (checkout / "requirements.lock").write_text(second)
    assert run(checkout, registry, tmp_path).stdout.startswith("2.0 ")
    (checkout / "requirements.lock").write_text(first.replace("sha256:", "sha256:0000")[:-5] + "\n")
    refused = run(checkout, registry, tmp_path)
    assert (refused.returncode, refused.stdout) == (69, "")
    assert "DO NOT MATCH THE HASHES" in refused.stderr
