"""Who used how many tokens: requests as the stream shows them, and the CLI's own ledger, which knows more.

Rules C1-C6 of research/event-analysis §3. A request is counted once, by message id, with the record that is final; the
ledger (`modelUsage`) also has what no message shows: compaction, attempts that were cut. Costs are the ledger's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from harness.analysis.frames import Frame, ModelUsage, Usage

_EXACT = Decimal("1e-10")
_MOST_COST = Decimal("1e15")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts of one request or many; the names are those of `metrics.json`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(*(a - b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, int, int, int, int]:
        return self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h

    def covers(self, other: Tokens) -> bool:
        return all(a >= b for a, b in zip(self.values(), other.values(), strict=True))

    def at_least(self, other: Tokens) -> Tokens:
        return Tokens(*(max(a, b) for a, b in zip(self.values(), other.values(), strict=True)))

    def as_dict(self) -> dict[str, int]:
        return {
            "input": self.input,
            "output": self.output,
            "cache_read": self.cache_read,
            "cache_write_5m": self.cache_write_5m,
            "cache_write_1h": self.cache_write_1h,
        }


def tokens_of(usage: Usage, start: Tokens | None = None) -> Tokens:
    """Tokens of a usage record; what it leaves out is as at the start of the message."""
    base = start or Tokens()
    five, hour = base.cache_write_5m, base.cache_write_1h
    if usage.cache_creation is not None:
        five, hour = usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens
    elif usage.cache_creation_input_tokens is not None:
        five, hour = usage.cache_creation_input_tokens - base.cache_write_1h, base.cache_write_1h
    return Tokens(
        base.input if usage.input_tokens is None else usage.input_tokens,
        base.output if usage.output_tokens is None else usage.output_tokens,
        base.cache_read if usage.cache_read_input_tokens is None else usage.cache_read_input_tokens,
        five,
        hour,
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model used, and its price; None where the CLI does not know the price."""

    tokens: Tokens
    cost: Decimal | None
    basis: str | None = None

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.tokens + other.tokens, _both(self.cost, other.cost), other.basis or self.basis)

    def __sub__(self, other: Spent) -> Spent:
        cost = None if other.cost is None else -other.cost
        return Spent(self.tokens - other.tokens, _both(self.cost, cost), self.basis)


def _both(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


Models = dict[str, Spent]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The CLI's account of a conversation at one moment: per model, and the time it spent; milliseconds.

    As a baseline it is what the conversation had used before this session (contract 6).
    """

    models: Mapping[str, Spent] = field(default_factory=dict)
    api_ms: float | None = None
    tool_ms: float | None = None

    @property
    def tokens(self) -> Tokens:
        return total(self.models)


def total(models: Mapping[str, Spent]) -> Tokens:
    return sum((spent.tokens for spent in models.values()), Tokens())


def exact(cost: Decimal) -> Decimal | None:
    """An amount in US dollars to its last meaningful digit; None for what is no amount (NaN, beyond all bills)."""
    return cost.quantize(_EXACT) if cost.is_finite() and abs(cost) < _MOST_COST else None


def spent_of(row: ModelUsage) -> Spent:
    """A row of the ledger. Writes to the cache of unknown kind count as those of five minutes (C6)."""
    hour = row.cache_write_1h or 0
    five = row.cache_write - hour if row.cache_write_5m is None else row.cache_write_5m
    cost = None if row.cost is None or row.basis == "unknown" else exact(row.cost)
    return Spent(Tokens(row.input, row.output, row.cache_read, five, hour), cost, row.basis)


def models_of(rows: Mapping[str, ModelUsage]) -> Models:
    return {name: spent_of(row) for name, row in rows.items()}


@dataclass(slots=True)
class Request:
    """One answer of the API (C1). `agent` is the tool call of the subagent it belongs to, None for the main one."""

    id: str
    model: str
    agent: str | None
    tokens: Tokens
    final: bool = False
    tools: int = 0


class Requests:
    """Requests of one process, in the order of their first frame."""

    def __init__(self) -> None:
        self.by_id: dict[str, Request] = {}
        self._streaming: dict[str | None, Request] = {}
        self._settled: set[str] = set()

    def feed(self, frame: Frame) -> None:
        if frame.type == "assistant" and frame.message is not None:
            message, tools = frame.message, 0
            if isinstance(message.content, list):
                tools = sum(block.type == "tool_use" for block in message.content)
            request = self._request(frame, message.id or frame.session_id, message.model)
            if request is None:
                return
            request.tools += tools
            if message.usage is not None and not request.final:
                self._update(request, tokens_of(message.usage), final=message.stop_reason is not None)
        elif frame.type == "stream_event" and frame.event is not None:
            self._stream(frame)
        elif frame.type == "result":
            self._settled |= set(self.by_id)

    def _stream(self, frame: Frame) -> None:
        event, agent = frame.event, frame.parent_tool_use_id
        assert event is not None
        if event.type == "message_start" and event.message is not None:
            request = self._request(frame, event.message.id, event.message.model)
            if request is not None and event.message.usage is not None:
                self._streaming[agent] = request
                self._update(request, tokens_of(event.message.usage), final=False)
        elif event.type == "message_delta" and event.usage is not None and agent in self._streaming:
            request = self._streaming[agent]
            self._update(request, tokens_of(event.usage, request.tokens), final=True)

    def final(self, name: str, model: str, tokens: Tokens, call: str | None) -> None:
        """The transcript has the final usage of a request that the stream left open, or did not show at all."""
        if name not in self.by_id:
            self.by_id[name] = Request(name, model, call, tokens, final=True)
            self._settled.add(name)
        elif not self.by_id[name].final:
            self._update(self.by_id[name], tokens, final=True)

    @property
    def tokens(self) -> Tokens:
        return sum((request.tokens for request in self.by_id.values()), Tokens())

    @property
    def unsettled(self) -> list[Request]:
        """Requests that no result has accounted for yet."""
        return [request for name, request in self.by_id.items() if name not in self._settled]

    def _request(self, frame: Frame, name: str, model: str) -> Request | None:
        if model == "<synthetic>" or not name:
            return None
        return self.by_id.setdefault(name, Request(name, model, frame.parent_tool_use_id, Tokens()))

    @staticmethod
    def _update(request: Request, tokens: Tokens, *, final: bool) -> None:
        """What is not final is a lower bound: each count keeps the highest seen."""
        request.tokens = tokens if final else request.tokens.at_least(tokens)
        request.final = request.final or final


def summed(rows: Iterable[Models]) -> Models:
    """Ledgers of several segments, added model by model."""
    out: Models = {}
    for models in rows:
        for name, spent in models.items():
            out[name] = out[name] + spent if name in out else spent
    return out


def since(end: Mapping[str, Spent], start: Mapping[str, Spent]) -> Models:
    """What was used between two ledgers. A counter that started again at zero is taken as it is (C4)."""
    if any(name not in end or not end[name].tokens.covers(spent.tokens) for name, spent in start.items()):
        return dict(end)
    rest = {name: spent - start[name] if name in start else spent for name, spent in end.items()}
    return {name: spent for name, spent in rest.items() if any(spent.tokens.values()) or spent.cost}


def money(models: Mapping[str, Spent]) -> str | None:
    """The cost of all models as an exact decimal string, None if one of them has no known price."""
    cost = Decimal(0)
    for spent in models.values():
        if spent.cost is None:
            return None
        cost += spent.cost
    return f"{cost.normalize():f}"
