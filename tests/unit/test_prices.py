"""List prices: what an estimate is made of (the real CLI is asked in tests/claude/test_wrap_up.py)."""

from decimal import Decimal

import pytest

from harness.model.prices import list_price

NONE = dict.fromkeys(("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"), 0)


@pytest.mark.parametrize(
    ("model", "tokens", "dollars"),
    [
        ("claude-sonnet-4-5-20250929", {"input": 1_000_000}, "3"),
        ("claude-haiku-4-5", {"output": 1_000_000}, "5"),
        ("claude-opus-4-1-20250805", {"input": 1_000_000, "output": 1_000_000}, "90"),
        ("claude-opus-4-20250514", {"input": 1_000_000}, "15"),
        ("claude-opus-4-5", {"cache_read": 1_000_000}, "0.5"),
        ("claude-sonnet-5-5", {"cache_read": 1_000_000}, "0.1"),
        # research/event-analysis C6: a measured run
        (
            "claude-sonnet-4-5",
            {"input": 4102, "output": 710, "cache_read": 38000, "cache_write_5m": 1201, "cache_write_1h": 2405},
            "0.05328975",
        ),
    ],
)
def test_what_tokens_cost(model, tokens, dollars):
    assert list_price(model, NONE | tokens) == Decimal(dollars)


def test_a_model_nobody_knows_has_no_price():
    assert list_price("glm-9", NONE | {"input": 5}) is None
