"""What a session has used so far, as its stream shows it: tokens, and their list price.

A lower bound: of a subagent's requests and of compaction the stream tells little. It serves limits while the session
runs; the numbers of `metrics.json` come from the log (architecture 7.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from harness.analysis.frames import Usage
from harness.analysis.usage import Tokens, tokens_of
from harness.model.prices import list_price


class Spending:
    """Of one process. Feed it the events of the stream."""

    def __init__(self) -> None:
        self._requests: dict[str, tuple[str, Tokens]] = {}
        self._streaming: dict[str | None, str] = {}

    def feed(self, event: Mapping[str, Any], agent: str | None) -> bool:
        """Whether the event told of tokens. `agent` is the tool call of the subagent it belongs to."""
        match event:
            case {"type": "message_start", "message": {"id": str(name), "model": str(model), "usage": usage}}:
                self._streaming[agent] = name
                return self._take(name, model, usage, Tokens())
            case {"type": "message_delta", "usage": usage} if agent in self._streaming:
                name = self._streaming[agent]
                model, before = self._requests.get(name, ("", Tokens()))
                return self._take(name, model, usage, before)
        return False

    def _take(self, name: str, model: str, told: object, before: Tokens) -> bool:
        try:
            usage = msgspec.convert(told, Usage)
        except msgspec.ValidationError:
            return False  # a shape nobody knows: the log keeps it, and a lower bound stays one without it
        self._requests[name] = model, tokens_of(usage, before)
        return True

    @property
    def tokens(self) -> int:
        """Input, output and what was written to the cache. Reads from it repeat with each request and do not count."""
        return sum(
            used.input + used.output + used.cache_write_5m + used.cache_write_1h for _, used in self._requests.values()
        )

    @property
    def cost_usd(self) -> Decimal | None:
        """List price of all requests; None if one of the models has none that we know."""
        total = Decimal(0)
        for model, used in self._requests.values():
            price = list_price(model, used.as_dict())
            if price is None:
                return None
            total += price
        return total
