"""Why an item that is ready has to wait for others that run: full lanes and repositories, resources, scopes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from harness.model.errors import HarnessError
from harness.model.globs_meet import meet
from harness.model.home import Home
from harness.model.itemform import Form
from harness.model.work import WorkItem, WorkState
from harness.store.reader import StoreReader

MOST_SCOPES = 500
"""Different scopes of one repository that are held against each other: each against each."""
MOST_TOLD = 20


def no_room(home: Home, environ: Mapping[str, str], store: StoreReader, item: WorkItem) -> str:
    """The first reason, in the order in which a lease meets them; empty if there is none.

    Asked last: only here the configuration is needed, and it costs more than all the rest.
    """
    from harness.config.load import load  # noqa: PLC0415

    try:
        loaded = load(home.root, environ)
    except HarnessError:
        return "the configuration cannot be read, so nothing is known of what may run: ./loop config check"
    name = item.repo or loaded.default_repository
    lane, repo = loaded.config.lanes.get(item.lane), loaded.config.repository(name or "")
    out = store.items(states=(WorkState.LEASED,), limit=1000)
    here = [each for each in out if (each.repo or loaded.default_repository) == name]
    lanes = [each for each in out if each.lane == item.lane]
    wanted = (*item.resources, *(repo.resources if repo else ()))
    reasons = (
        _full(f"its lane {item.lane}", lanes, lane.running if lane else None),
        _full(f"its repository {name}", here, repo.running if repo else None),
        _taken(wanted, store.resources()),
        _worked_on(item, here) if repo is None or repo.overlap != "allow" else "",
    )
    return next(filter(None, reasons), "")


def _full(what: str, busy: Sequence[WorkItem], most: int | None) -> str:
    full = most is not None and len(busy) >= most
    return f"{what} is full: {', '.join(each.id for each in busy)} ({most} at a time)" if full else ""


def _taken(wanted: Sequence[str], taken: Mapping[str, str]) -> str:
    return next((f"it needs {name}, which {taken[name]} has now" for name in wanted if name in taken), "")


def _worked_on(item: WorkItem, here: Sequence[WorkItem]) -> str:
    found = next((each for each in here if meet(item.scope, each.scope)), None)
    return "" if found is None else f"its scope overlaps that of {found.id}, which runs: one after the other"


def overlaps(items: Sequence[WorkItem], form: Form) -> list[str]:
    """Unfinished items of one repository whose scopes may match the same path, pair by pair."""
    found: list[str] = []
    for repo, scopes in _by_repository(items, form).items():
        found += [f"{ids[0]} and {ids[1]} have one scope in {repo}" for ids in scopes.values() if len(ids) > 1]
        for one, other in combinations(list(scopes)[:MOST_SCOPES], 2):
            if meet(one, other):
                found.append(f"the scopes of {scopes[one][0]} and {scopes[other][0]} overlap in {repo}")
        if len(scopes) > MOST_SCOPES:
            found.append(f"{repo}: only the first {MOST_SCOPES} of {len(scopes)} scopes were held against each other")
    return _cut(found)


def _by_repository(items: Sequence[WorkItem], form: Form) -> Mapping[str, dict[tuple[str, ...], list[str]]]:
    found: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for item in items:
        if item.scope:
            name = item.repo or form.default_repository or "the default repository"
            found.setdefault(name, {}).setdefault(item.scope, []).append(item.id)
    return found


def held_up(store: StoreReader) -> list[str]:
    """Blocked items that wait for one that has failed: never by themselves."""
    return _cut(list(_held_up(store)))


def _held_up(store: StoreReader) -> Iterator[str]:
    for item, need, state in store.held_up(MOST_TOLD + 1):
        yield f"{item} waits for {need}, which is {state}: ./loop queue retry {need}, or on_failure skip or run"


def _cut(told: list[str]) -> list[str]:
    return told if len(told) <= MOST_TOLD else [*told[:MOST_TOLD], "and more"]
