"""What an agent must not do, whatever a prompt says (R7). Pure matching; the adapter asks before every tool call.

This is the second line. The first is the isolation: text matching can be fooled, a kernel cannot (architecture 7.7).
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from harness.model.shell import Simple, Unsplittable, Word, simple_commands
from harness.model.territory import FILE_TOOLS, SEARCHING_TOOLS, Territory

WRITING_TOOLS = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
_WRAPPERS = frozenset(
    {
        "sudo",
        "env",
        "nice",
        "nohup",
        "command",
        "exec",
        "builtin",
        "setsid",
        "stdbuf",
        "ionice",
        "xargs",
        "timeout",
        "doas",
        "busybox",
        "toybox",
    }
)
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash"})
_GIT_OPTIONS_WITH_VALUE = frozenset(
    {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"}
)


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """`action` deny or ask; `tool` bash, write or a tool's name; `argv` a prefix, or `paths` globs of the workspace."""

    action: str
    tool: str
    argv: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a call is refused. `ask` = a person may allow `what`: the item waits with that question."""

    reason: str
    ask: bool = False
    what: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one session. `writable` are the folders it may write: workspace first, then TMPDIR and HOME.

    `territory` is there where no kernel holds the CLI's own file tools; `permitted` are calls that a person has
    permitted (model/permission.py).
    """

    rules: tuple[PolicyRule, ...]
    writable: tuple[str, ...]
    territory: Territory | None = None
    permitted: frozenset[str] = frozenset()

    def judge(self, tool: str, arguments: Mapping[str, Any]) -> Denial | None:
        """None if the call may go on. Paths in `arguments` are absolute and resolved by the caller."""
        named = self._named(tool)
        if named is not None:
            return named
        if self.territory is not None and tool in FILE_TOOLS:
            trespass = _trespass(self.territory, tool, arguments)
            if trespass is not None:
                return trespass
        if tool == "Bash":
            return self._bash(str(arguments.get("command", "")))
        if tool in WRITING_TOOLS:
            return self._write(str(arguments.get("file_path") or arguments.get("notebook_path") or ""))
        return None

    def _named(self, tool: str) -> Denial | None:
        rules = (r for r in self.rules if r.tool == tool and not r.argv and not r.paths)
        return self._ruled(f"use the tool {tool}", rules, f"the tool {tool}")

    def _ruled(self, what: str, rules: Iterable[PolicyRule], named: str = "") -> Denial | None:
        """What the first of the rules says without a permission from it; `named` is what it is about, for a
        command the words of the rule.
        """
        rule = next((rule for rule in rules if rule.action != "ask" or what not in self.permitted), None)
        return None if rule is None else _denial(rule, what, named or " ".join(rule.argv))

    def _bash(self, script: str) -> Denial | None:
        try:
            commands = _unwrapped(simple_commands(script))
        except Unsplittable as exc:
            return Denial(f"the command cannot be judged ({exc}); split it into simpler commands")
        for argv in commands:
            denial = self._command(argv)
            if denial is not None:
                return denial
        return None

    def _command(self, argv: Sequence[Word]) -> Denial | None:
        if _matches(("git", "push"), argv):
            return Denial("agents never push: the loop integrates and pushes what is proved")
        rules = (r for r in self.rules if r.tool == "bash" and r.argv and _matches(r.argv, argv))
        return self._ruled(shlex.join(map(str, argv)), rules)

    def _write(self, path: str) -> Denial | None:
        clean = posixpath.normpath(path)
        root = next((w for w in self.writable if clean == w or clean.startswith(w.rstrip("/") + "/")), None)
        if root is None:
            return Denial(f"{clean} is outside the workspace {self.writable[0]}")
        inside = PurePosixPath(clean).relative_to(root)
        if root == self.writable[0] and inside.parts and inside.parts[0] in (".git", ".claude"):
            return Denial(f"{inside.parts[0]} of the workspace is not the agent's to write")
        rules = (r for r in self.rules if r.tool == "write" and any(_glob(inside, pattern) for pattern in r.paths))
        return self._ruled(f"write {inside}", rules, str(inside))


def _trespass(territory: Territory, tool: str, arguments: Mapping[str, Any]) -> Denial | None:
    paths = [str(arguments[key]) for key in ("file_path", "notebook_path", "path") if arguments.get(key)]
    for path in paths:
        if territory.hides(path):
            return Denial(f"{path} is hidden from agents")
        if tool in SEARCHING_TOOLS and territory.hides_below(path):
            return Denial(f"below {path} lies what is hidden from agents; search in a folder of the workspace")
        if tool in WRITING_TOOLS and not territory.may_write(path):
            return Denial(f"{path} is not the agent's to write")
    return None


def _denial(rule: PolicyRule, what: str, named: str) -> Denial:
    reason = rule.reason or f"{named} is not allowed here"
    return Denial(reason, ask=True, what=what) if rule.action == "ask" else Denial(reason)


def _glob(path: PurePosixPath, pattern: str) -> bool:
    """`**` also stands for nothing, so `.github/**` covers the folder itself."""
    text = str(path)
    return fnmatchcase(text, pattern) or (pattern.endswith("/**") and fnmatchcase(text, pattern[:-3]))


def _matches(prefix: Sequence[str], argv: Sequence[Word]) -> bool:
    """Prefix match; a word whose value only the shell knows may be anything."""
    words = _without_git_options(argv)
    return len(words) >= len(prefix) and all(
        word.dynamic or _name(word, first=index == 0) == wanted
        for index, (wanted, word) in enumerate(zip(prefix, words, strict=False))
    )


def _name(word: Word, *, first: bool) -> str:
    return posixpath.basename(word) if first else str(word)


def _without_git_options(argv: Sequence[Word]) -> list[Word]:
    if not argv or posixpath.basename(argv[0]) != "git":
        return list(argv)
    words = list(argv[1:])
    while words and words[0].startswith("-"):
        del words[: 2 if words[0] in _GIT_OPTIONS_WITH_VALUE else 1]
    return [argv[0], *words]


def _unwrapped(commands: Sequence[Simple], depth: int = 0) -> list[list[Word]]:
    """The argv lists that really run: wrappers removed, scripts given to shells and eval split in turn."""
    if depth > 6:
        raise Unsplittable("shells inside shells, too deeply")
    found: list[list[Word]] = []
    for command in commands:
        argv = _strip(command.words)
        if argv:
            found.append(argv)
            for script in _scripts(argv, command):
                found.extend(_unwrapped(simple_commands(script), depth + 1))
    return found


def _strip(words: Sequence[Word]) -> list[Word]:
    rest = list(words)
    while rest and (_assignment(rest[0]) or _name(rest[0], first=True) in _WRAPPERS):
        wrapper = not _assignment(rest[0])
        del rest[0]
        while wrapper and rest and (rest[0].startswith("-") or rest[0].replace(".", "").rstrip("smhd").isdigit()):
            del rest[0]
    return rest


def _assignment(word: Word) -> bool:
    name, equals, _value = word.partition("=")
    return bool(equals) and name.isidentifier()


def _scripts(argv: Sequence[Word], command: Simple) -> list[str]:
    name = _name(argv[0], first=True)
    if name == "eval":
        return [_known(Word(" ".join(argv[1:]), dynamic=any(w.dynamic for w in argv[1:])))]
    if name not in _SHELLS:
        return []
    options = [w for w in argv[1:] if w.startswith("-")]
    plain = [w for w in argv[1:] if not w.startswith("-")]
    if any("c" in w.lstrip("-") for w in options if not w.startswith("--")) and plain:
        return [_known(plain[0])]
    if not plain and command.documents:
        return list(command.documents)
    if not plain and command.piped:
        raise Unsplittable("a shell reads its script from a pipe")
    return []


def _known(script: Word) -> str:
    if script.dynamic:
        raise Unsplittable("a shell is given a script that is made up at run time")
    return script
