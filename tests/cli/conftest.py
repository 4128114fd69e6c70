import pytest

from tests.kit.command import Caller, home_at


@pytest.fixture
def loop(tmp_path):
    """Commands on a fresh home with one repository and a scripted agent."""
    return Caller(home_at(tmp_path / "home"))


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A home in which a real loop has done one item with the scripted agent."""
    caller = Caller(home_at(tmp_path_factory.mktemp("worked") / "home"))
    assert caller("queue", "add", '{"id": "test-001", "title": "Mend the state", "type": "test"}').code == 0
    done = caller.process("run", "--once")
    assert done.returncode == 0, done.stderr
    return caller
