"""Whether items wait for each other in a circle: then none would ever start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence


def find_cycle(starts: Iterable[str], needs: Callable[[str], Iterable[str]]) -> Sequence[str] | None:
    """A circle reachable from `starts`, beginning and ending with the same id; None if there is none.

    `needs` gives what one item depends on. Every item is looked at once; no recursion, chains may be long.
    """
    cleared: set[str] = set()
    for start in starts:
        way: dict[str, Iterator[str]] = {} if start in cleared else {start: iter(needs(start))}
        while way:
            here = next(reversed(way))
            there = next((need for need in way[here] if need not in cleared), None)
            if there is None:
                cleared.add(here)
                del way[here]
            elif there in way:
                path = list(way)
                return [*path[path.index(there) :], there]
            else:
                way[there] = iter(needs(there))
    return None
