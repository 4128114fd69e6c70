"""Values of several levels: the nearest that says something holds (H34, contract 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.effective import effective, item_overrides
from harness.config.schema import Config
from harness.model.errors import ConfigError, Usage
from harness.model.work import WorkItem

LEVELS = ("harness", "agent", "kind", "repo", "item")


def config(**levels):
    return Config.model_validate(
        {
            "harness": levels.get("harness", {}),
            "agents": {"default": levels.get("agent", {}), "other": {"type": "command", "run": "x"}},
            "kinds": {"default": {}, "docs": levels.get("kind", {})},
            "repositories": [{"name": "app", "path": "app", **levels.get("repo", {})}],
        }
    )


@given(st.dictionaries(st.sampled_from(LEVELS), st.integers(min_value=1, max_value=9), min_size=1))
def test_the_narrowest_level_that_says_something_holds(values):
    levels = {name: {"session_timeout": value} for name, value in values.items()}
    item = levels.pop("item", None)
    found = effective(config(**levels), "docs", "app", item)
    narrowest = max(values, key=LEVELS.index)
    assert found.limits.session_timeout_seconds == values[narrowest]
    names = {
        "harness": "harness",
        "agent": "agents.default",
        "kind": "kinds.docs",
        "repo": "repositories.app",
        "item": "item",
    }
    assert found.origins["session_timeout"] == names[narrowest]


def test_without_any_the_defaults_hold():
    found = effective(Config(), "docs", None)
    assert (found.agent, found.model, found.max_attempts, found.permission_mode) == (
        "default",
        "sonnet",
        3,
        "bypassPermissions",
    )
    assert (found.limits.max_turns, found.limits.max_cost_usd, found.limits.stall_threshold_seconds) == (80, 5, 420)
    assert found.limits.retry_wait_seconds == 900


@pytest.mark.parametrize(
    ("item", "agent", "global_", "model"),
    [
        (None, None, "claude-opus", "opus"),
        (None, None, "claude-haiku", "haiku"),
        (None, None, "claude-sonnet-4-5", "claude-sonnet-4-5"),
        (None, "claude-sonnet", "claude-opus", "sonnet"),
        ("my/model", "claude-sonnet", "claude-opus", "my/model"),
    ],
)
def test_the_model_is_the_items_else_the_agents_else_the_agent_type(item, agent, global_, model):
    found = effective(config(harness={"agent_type": global_}, agent={"model": agent}), "docs", "app", {"model": item})
    assert found.model == model


def test_a_written_null_lifts_a_limit_and_an_absent_key_does_not():
    found = effective(config(kind={"max_cost_usd": 2, "max_turns": 7}, repo={"max_cost_usd": None}), "docs", "app")
    assert (found.limits.max_cost_usd, found.limits.max_turns) == (None, 7)
    assert found.origins["max_cost_usd"] == "repositories.app"


def test_a_written_null_does_not_take_the_time_limit_away():
    found = effective(config(repo={"session_timeout": None}), "docs", "app")
    assert (found.limits.session_timeout_seconds, found.origins["session_timeout"]) == (3600, "harness")


def test_another_agent_brings_its_own_values():
    found = effective(config(kind={"agent": "other"}), "docs", "app")
    assert (found.agent, found.permission_mode, found.limits.max_turns) == ("other", None, None)
    assert found.origins["agent"] == "kinds.docs"


def test_an_agent_of_an_item_that_is_not_configured_is_named():
    with pytest.raises(ConfigError, match="item names agent 'codex'; known: default"):
        effective(Config(), "docs", None, {"agent": "codex"})


def test_an_unlisted_kind_uses_the_values_of_default():
    found = effective(Config.model_validate({"kinds": {"default": {"max_turns": 3}}}), "docs", None)
    assert (found.limits.max_turns, found.origins["max_turns"]) == (3, "kinds.default")


def test_an_item_sets_its_values_in_its_own_columns_and_beside_them():
    item = WorkItem(
        "wrk_1", "t", model="opus", timeout_seconds=60, extra={"max_turns": 5, "allowed_tools": ["Read"], "note": "x"}
    )
    found = effective(config(kind={"max_turns": 9}), "docs", "app", item_overrides(item))
    assert (found.model, found.limits.session_timeout_seconds, found.limits.max_turns) == ("opus", 60, 5)
    assert (found.allowed_tools, found.origins["allowed_tools"]) == (("Read",), "item")


@pytest.mark.parametrize("extra", [{"max_turns": "many"}, {"allowed_tools": "Read"}, {"permission_mode": "root"}])
def test_a_value_of_an_item_that_is_not_allowed_is_named(extra):
    with pytest.raises(Usage, match=f"item wrk_1: {next(iter(extra))}: .* is not allowed") as caught:
        item_overrides(WorkItem("wrk_1", "t", extra=extra))
    assert caught.value.hint.startswith("allowed: ")
