"""The locks are whole: everything pyproject.toml asks for is pinned with hashes, and no host is named in them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WANTED = {
    "requirements.lock": PROJECT["dependencies"],
    "requirements-dev.lock": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
}


def pins(lock: str) -> dict[str, str]:
    """Version by name."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", WANTED)
def test_the_lock_satisfies_pyproject(lock: str) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, WANTED[lock]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), (
            f"{requirement}: run 'make lock'"
        )


@pytest.mark.parametrize("lock", WANTED)
def test_every_pin_has_hashes_and_no_host_is_named(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(lock))
    for block in blocks:
        assert "--hash=sha256:" in block, block


def test_both_locks_agree() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= dev.items()
