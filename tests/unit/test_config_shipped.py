"""The shipped file and the reference page say what the schema says (H31)."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.config.edit import shipped
from harness.config.load import load
from harness.config.reference import page
from harness.config.schema import Config
from harness.config.show import schema_json
from harness.config.text import parse

ROOT = Path(__file__).parents[2]


def test_the_reference_page_is_current():
    current = (ROOT / "docs/reference/config.md").read_text(encoding="utf-8")
    assert current == page(), "python -m harness.config.reference > docs/reference/config.md"


def test_the_shipped_file_changes_no_default_and_names_no_repository(tmp_path):
    (tmp_path / "config.yaml").write_text(shipped(), encoding="utf-8")
    assert load(tmp_path, {}).config == Config()


def test_the_shipped_file_shows_every_key_that_has_a_default():
    tree = parse(shipped().encode()).tree
    assert set(tree) == set(Config.model_fields)
    for section in ("harness", "isolation", "budgets", "pressure", "watch", "retention"):
        assert set(tree[section]) == set(type(getattr(Config(), section)).model_fields)
    assert set(tree["agents"]["default"]) == set(type(Config().agents["default"]).model_fields) - {
        "session_timeout",
        "stall_threshold",
    }
    assert set(tree["kinds"]) == set(Config().kinds)
    assert set(tree["lanes"]) == set(Config().lanes)


def test_the_file_of_a_fresh_checkout_is_the_shipped_one():
    # An operator may have changed the one in the folder: git has the one of the checkout.
    fresh = (ROOT / "config.yaml").read_text(encoding="utf-8")
    if (ROOT / ".git").exists() and (git := shutil.which("git")):
        fresh = subprocess.run(
            [git, "-C", ROOT, "show", ":config.yaml"], check=True, capture_output=True, text=True
        ).stdout
    assert fresh == shipped()


@pytest.mark.parametrize("section", sorted(Config.model_fields))
def test_every_key_is_described(section):
    schema = schema_json()
    models = [schema, *schema["$defs"].values()]
    described = [field for model in models for field in model.get("properties", {}).items()]
    silent = [name for name, field in described if not field.get("description") and "$ref" not in field]
    assert silent == []
    assert section in schema["properties"]
