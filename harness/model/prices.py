"""List prices of models, for estimates while a session runs and where the exact cost was lost with its process.

What a session really cost is told by the CLI at its end (contract 6); no estimate replaces that. Source: the model
catalogue of the bundled Claude CLI; a test asks the CLI itself. Long prompts that cost more are priced like others.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

MILLION = Decimal(1_000_000)
_INPUT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "claude-3-5-haiku": ("0.8", "0.08"),
        "claude-haiku-4-5": ("1", "0.1"),
        "claude-haiku-5-5": ("0.1", "0.01"),
        "claude-3-5-sonnet": ("3", "0.3"),
        "claude-3-7-sonnet": ("3", "0.3"),
        "claude-sonnet-4": ("3", "0.3"),
        "claude-sonnet-5": ("2", "0.2"),
        "claude-sonnet-5-5": ("2", "0.1"),
        "claude-opus-4": ("5", "0.5"),
        "claude-opus-4-0": ("15", "1.5"),
        "claude-opus-4-1": ("15", "1.5"),
        "claude-opus-4-2025": ("15", "1.5"),
        "claude-opus-5": ("5", "0.5"),
        "claude-opus-5-5": ("4", "0.2"),
        "claude-fable-5": ("10", "1"),
        "claude-fable-5-1": ("10", "0.25"),
        "claude-fable-5-2": ("8", "0.2"),
        "claude-mythos-5": ("10", "1"),
        "claude-mythos-5-1": ("10", "0.25"),
        "claude-mythos-5-2": ("8", "0.2"),
    }
)
"""Beginning of a model's name: US dollars for a million tokens of input, and of input read from the cache."""
_OF_INPUT: Mapping[str, Decimal] = MappingProxyType(
    {"input": Decimal(1), "output": Decimal(5), "cache_write_5m": Decimal("1.25"), "cache_write_1h": Decimal(2)}
)
"""What the others cost in proportion to input, the same for all models."""


def list_price(model: str, tokens: Mapping[str, int]) -> Decimal | None:
    """US dollars for tokens by the names of `metrics.json`; None for a model whose price is not known here."""
    known = max((name for name in _INPUT if model.startswith(name)), key=len, default=None)
    if known is None:
        return None
    price, of_reads = map(Decimal, _INPUT[known])
    weighed = sum((share * tokens[name] for name, share in _OF_INPUT.items()), Decimal(0))
    return (weighed * price + tokens["cache_read"] * of_reads) / MILLION
