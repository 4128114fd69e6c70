"""run, demo, init: the commands that work, not ask."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.course import course_options
from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.model.errors import Unbuilt, Usage
from harness.ops.answers import Answer, Document

if TYPE_CHECKING:
    from harness.app.life import Ended


@command(
    examples=[
        "./loop",
        "MAX_ITERATIONS=1 ./loop",
        "./loop run --drain --workers 2",
        "./loop run --until 07:00",
        './loop run --once "make the parser accept tabs"',
    ]
)
@click.argument("objective", required=False)
@course_options
@click.option("--detach", is_flag=True, help="Not built in this version.")
@click.option("--web", is_flag=True, help="Not built in this version.")
@click.option("--profile", metavar="NAME", help="Not built in this version.")
@click.option("--fresh", is_flag=True, help="Not built in this version.")
@click.option("--no-watchdog", is_flag=True, help="Not built in this version.")
@click.option("--tmux", is_flag=True, help="Not built in this version.")
def run(
    call: Invocation,
    objective: str | None,
    max_iterations: int | None,
    once: bool,
    drain: bool,
    span: str | None,
    until: str | None,
    workers: int | None,
    detach: bool,
    web: bool,
    profile: str | None,
    fresh: bool,
    no_watchdog: bool,
    tmux: bool,
) -> int:
    """Run the loop: lease, work, prove, integrate. Ends by TERM, INT, its flags, or never."""
    _refuse(detach=detach, web=web, profile=profile, fresh=fresh, no_watchdog=no_watchdog, tmux=tmux)
    from harness.app import start as app  # noqa: PLC0415 - help and refusals need none of it

    end, seconds = ends_at(call, span, until)
    if objective is not None:
        if not once:
            raise Usage("an objective is worked on once", hint='./loop run --once "objective"')
        return _adhoc(call, objective)
    ended = app.start(call.home, app.Options(max_iterations, once, drain, workers, end, seconds))
    say(call, ended)
    return ended.status


def ends_at(call: Invocation, span: str | None, until: str | None) -> tuple[datetime | None, float | None]:
    """The end that `--until` or `--for` gives: a time on the clock, or seconds. Raises Usage."""
    from harness.app import start as app  # noqa: PLC0415 - as in `run`

    if span and until:
        raise Usage("--for and --until are two ends for one loop", hint="give one of them")
    end = app.time_of_day(until, call.now()) if until else None
    return end, app.span(span).total_seconds() if span else None


def _refuse(**later: object) -> None:
    for name, asked in later.items():
        if asked:
            flag = "--" + name.replace("_", "-")
            raise Unbuilt(f"`run {flag}` is not built in this version", hint="./loop run --help")


def say(call: Invocation, ended: Ended) -> None:
    """What came of it, for --json."""
    facts = {"schema": "loop.run/1", "outcomes": dict(ended.outcomes), "iterations": ended.iterations}
    if call.as_json:
        sys.stdout.write(json.dumps(facts | {"exit_code": ended.status, "reason": ended.reason}) + "\n")


def _adhoc(call: Invocation, objective: str) -> int:
    """One objective in the repository around us; then where the work is and how to take it."""
    from harness.app import start as app  # noqa: PLC0415
    from harness.app.adhoc import adhoc  # noqa: PLC0415

    made = adhoc(call.cwd, objective)
    ended = app.start(made.home, app.Options(once=True))
    from harness.ops.adhoc import result_of  # noqa: PLC0415

    found = result_of(made.home, made.repository, made.item, call.launched_as or "./loop")
    if call.as_json:
        sys.stdout.write(json.dumps({"schema": "loop.adhoc/1", **asdict(found)}) + "\n")
    else:
        sys.stdout.write("\n".join(found.lines()) + "\n")
    return ended.status


def _demo_lines(answer: Document, screen: Screen) -> Iterable[str]:
    demo = answer.facts
    yield ""
    for row in demo.rows:
        word = screen.style(f"{row.outcome:<9}", "green" if row.outcome == "verified" else "red", "bold")
        proof = f"by {', '.join(row.gates)}" if row.gates else row.why
        commit = f"  commit {row.commit}" if row.commit else ""
        yield f"{word} {row.item:<17} {proof:<28} {row.seconds:>5.1f} s  ${row.cost_usd}{commit}"
    good = sum(row.outcome == "verified" for row in demo.rows)
    yield f"{good} of {len(demo.rows)} verified in {demo.seconds:.1f} s (DEMO: the model is scripted, all else is real)"
    yield ""
    yield f"look:  ./loop -C {demo.home} session list    git -C {demo.sample} log --oneline"


@command(examples=["./loop demo", "./loop demo --scenario examples/liar.yaml"], text=_demo_lines)
@click.option(
    "--scenario", type=click.Path(path_type=Path), help="What the scripted model says, instead of the shipped."
)
def demo(call: Invocation, scenario: Path | None) -> Answer:
    """Watch four items being done with a scripted model; no key needed. Exit 0 only if all four are verified."""
    from harness.app import start as app  # noqa: PLC0415

    done = app.demo(call.home.root, call.cwd / scenario if scenario else None)
    return Document("loop.demo/1", done, 0 if done.verified else 1)


@command(
    examples=['./loop init --repo ~/src/app --test "pytest -q"', "./loop init home --repo ../app --branch develop"]
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--repo", required=True, metavar="PATH", help="The repository to work in.")
@click.option("--name", metavar="NAME", help="What items call it (default: the folder's name).")
@click.option("--branch", metavar="BRANCH", help="Where verified work goes (default: main, else what is checked out).")
@click.option("--test", metavar="CMD", help="A command that proves work; it becomes the gate `tests`.")
@click.option("--yes", is_flag=True, help="Also change a config.yaml that names repositories already.")
def init(
    call: Invocation, folder: Path | None, repo: str, name: str | None, branch: str | None, test: str | None, yes: bool
) -> Answer:
    """Make a home in DIR (the current folder), or add a repository to it. Commits nothing."""
    from harness.ops.initialise import initialise  # noqa: PLC0415

    given = call.folder or folder
    home = (call.cwd / given).resolve() if given else call.cwd.resolve()
    return initialise(home, call.cwd, repo, name=name, branch=branch, test=test, yes=yes)
