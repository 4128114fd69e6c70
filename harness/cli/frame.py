"""The frame around every command: global options, one decorator, groups that load a command when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import click

from harness.cli import output, table
from harness.cli.deadline import deadline
from harness.cli.invocation import Invocation
from harness.cli.rows import Entry
from harness.model.errors import Unbuilt, Usage
from harness.ops.answers import Answer

Text = Callable[[Any, output.Screen], Iterable[str]]
"""Makes the lines a person reads of an answer."""


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def remember(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value not in (None, False):
            setattr(context.find_object(Invocation), name, value)
        return value

    return remember


def _global(*words: str, sets: str, help: str, **more: Any) -> click.Option:  # noqa: A002 - click's own word
    return click.Option([*words], callback=_set(sets), expose_value=False, help=help, **more)


def global_options() -> list[click.Parameter]:
    """Allowed before and after the command; the innermost one wins."""
    return [
        _global("-C", "--directory", sets="folder", metavar="DIR", help="Work in this home."),
        _global("--json", sets="json", is_flag=True, help="Answer as JSON."),
        _global("--jq", sets="jq", metavar="EXPR", help="Filter the JSON answer."),
        _global("--no-color", sets="plain", is_flag=True, help="No colours (also: NO_COLOR)."),
        _global(
            "--timeout",
            sets="timeout_seconds",
            metavar="SECONDS",
            type=click.FloatRange(min=0, min_open=True),
            help="Give up after this time (exit 124).",
        ),
        _global("--launched-as", sets="launched_as", hidden=True, help="What the caller typed."),
    ]


HELP: Mapping[str, Any] = {"help_option_names": ["-h", "--help"]}
_GLOBAL_NAMES = frozenset(option.name for option in global_options())


class _Sectioned(click.Command):
    """Help with the global options in a section of their own, and examples."""

    examples: Sequence[str] = ()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        everywhere: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                (everywhere if parameter.name in _GLOBAL_NAMES else own).append(record)
        for title, records in (("Options", own), ("Everywhere", everywhere)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(example)


def command(
    *,
    examples: Sequence[str],
    text: Text | None = None,
) -> Callable[[Callable[..., Answer | int]], click.Command]:
    """Make a command of a function `(Invocation, **parameters)` that asks one ops function and returns its answer.

    A function that does not only answer (`run`) returns its exit code instead.
    `text` makes the lines for people (default: by the kind of answer).
    """

    def make(function: Callable[..., Answer | int]) -> click.Command:
        @wraps(function)
        def callback(**values: Any) -> int:
            call = click.get_current_context().find_object(Invocation)
            assert call is not None
            with deadline(call.timeout_seconds):
                answer = function(call, **values)
                return answer if isinstance(answer, int) else output.show(call, answer, text)

        return _made(callback, examples)

    return make


def _made(callback: Callable[..., int], examples: Sequence[str]) -> click.Command:
    made = click.command(cls=_Sectioned, context_settings=dict(HELP))(callback)
    made.params += global_options()
    made.examples = tuple(examples)
    return made


class LazyGroup(_Sectioned, click.Group):
    """A level of the table. A command's module is imported when that command is called, never for a list of names."""

    def __init__(self, path: str = "", **attributes: Any) -> None:
        attributes["context_settings"] = {**HELP, **attributes.get("context_settings", {})}
        super().__init__(path.rpartition(" ")[2] or "./loop", params=global_options(), **attributes)
        self.path = path

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for name, _entry in table.below(self.path)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        level = dict(table.below(self.path))
        if cmd_name not in level:
            return None
        entry = level[cmd_name]
        path = f"{self.path} {cmd_name}".strip()
        if entry is None:
            return LazyGroup(path, help=table.GROUPS[path], no_args_is_help=True)
        return _load(entry) if entry.built else _unbuilt(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            raise Usage(f"there is no command {self._named(args[0])!r}", hint=self._near(args[0]))
        return super().resolve_command(ctx, args)

    def _named(self, name: str) -> str:
        return f"{self.path} {name}".strip()

    def _near(self, name: str) -> str:
        """The nearest commands: names of this level, else whole paths anywhere that hold or resemble the word."""
        from difflib import get_close_matches  # noqa: PLC0415 - for mistyped commands only

        level = [self._named(each) for each, entry in table.below(self.path) if entry is None or entry.built]
        everywhere = [entry.path for entry in table.COMMANDS if entry.built]
        near = get_close_matches(self._named(name), [*level, *everywhere], n=3)
        near = near or [path for path in everywhere if name in path.split()][:3]
        names = [f"./loop {each}" for each in dict.fromkeys(near)]
        return f"did you mean {' or '.join(names)}?" if names else f"./loop {self.path} --help".replace("  ", " ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        rows: list[tuple[str, str]] = []
        later: list[str] = []
        for name, entry in table.below(self.path):
            path = self._named(name)
            if any(each.built for each in table.COMMANDS if f"{each.path} ".startswith(f"{path} ")):
                rows.append((name, entry.help if entry else table.GROUPS[path]))
            else:
                later.append(name)
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        if later:
            with formatter.section("Not built in this version"):
                formatter.write_text(" ".join(later))


def _load(entry: Entry) -> click.Command:
    module, _, attribute = entry.target.partition(":")
    made = getattr(importlib.import_module(module), attribute)
    assert isinstance(made, click.Command), entry.target
    made.name = entry.path.rpartition(" ")[2]
    made.help = made.help or entry.help
    return made


def _unbuilt(entry: Entry) -> click.Command:
    """Exit 2 whatever its arguments are; its help says the same (contract 3, A12)."""

    def refuse(**_words: Any) -> int:
        raise Unbuilt(
            f"`{entry.path}` is not built in this version", hint="./loop --help lists what is; see also the changelog"
        )

    return _Sectioned(
        entry.path.rpartition(" ")[2],
        callback=refuse,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED), *global_options()],
        help=f"{entry.help} Not built in this version.",
        context_settings={**HELP, "ignore_unknown_options": True},
    )
