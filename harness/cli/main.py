"""From an argument vector to an exit code: nothing escapes, whatever happens (contract 3 and 4)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from harness.cli import errors
from harness.cli.frame import LazyGroup
from harness.cli.invocation import Invocation
from harness.cli.words import with_command
from harness.model.errors import HarnessError

INTERRUPTED = 130
_HELP = """An unattended loop for Claude agents. Without a command: `run`."""


def main(argv: Sequence[str] | None = None, call: Invocation | None = None) -> int:
    """Run one command line; its exit code. `call` is for callers that are not the shell (tests, other faces)."""
    words = with_command(list(sys.argv[1:] if argv is None else argv))
    call = call or Invocation()
    call.json = call.json or "--json" in words
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        return _run(words, call)
    except HarnessError as exc:
        return errors.say(call, exc)
    except BrokenPipeError:
        # Whoever read us has seen enough; Python must not try to flush the rest at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:
        return errors.say(call, errors.unexpected(call, exc, words))


def _run(words: list[str], call: Invocation) -> int:
    root = LazyGroup(help=_HELP, context_settings={"obj": call})
    try:
        status = root.main(words, prog_name="./loop", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as exc:
        sys.stderr.write(exc.format_message() + "\n")
        return exc.exit_code
    except click.ClickException as exc:
        raise errors.of_click(exc) from exc
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.exceptions.Exit as exc:
        return exc.exit_code
    return status if isinstance(status, int) else 0
