"""Prompts from templates: strict, sandboxed, and bounded in time and size (H5).

    template ── tame? ── yes ─→ rendered here, in about a millisecond
                  └───── no ──→ rendered in a process of its own, with a limit on time, CPU and memory

`'a' * 10**9` and loops that never end cannot be stopped inside a Python process; the operating system can do it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.model.errors import TemplateError
from harness.ports import Prompt
from harness.prompting.environment import PromptLoader, environment, fail
from harness.prompting.fence import fence_id
from harness.prompting.sources import Sources

RENDER_SECONDS = 5.0
MOST_CHARACTERS = 1_000_000
"""What a template may make of its data; title and description of the item come on top, they are always whole."""

_HARNESS = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from harness.prompting.render import work; work()"


class TemplatePrompts:
    """`harness.ports.Prompts` over folders: the home's own templates first, then the shipped ones."""

    def __init__(self, folders: Sequence[Path], *, seconds: float = RENDER_SECONDS) -> None:
        self._folders = tuple(folder.absolute() for folder in folders)
        self._seconds = seconds
        self._loader = PromptLoader(self._folders)

    def render(self, template: str, variables: Mapping[str, Any]) -> Prompt:
        """Raises TemplateError with file and line, also for one that takes too long or grows too large."""
        path = self._loader.find(template)
        most = MOST_CHARACTERS + sum(len(block) for block in _item_blocks(variables))
        if Sources(self._loader).tame(template):
            text = produce(self._loader, template, variables, most)
        else:
            text = self._apart(path, template, variables, most)
        if not text.strip():
            raise TemplateError(f"{path}: renders to nothing", hint=f"write the agent's instructions into {path}")
        text = _with_item(text, variables)
        return Prompt(text, template, hashlib.sha256(text.encode()).hexdigest())

    def check(self, templates: Sequence[str]) -> None:
        """Raises TemplateError for the first that is missing or does not compile, with all that it includes."""
        sources = Sources(self._loader)
        for template in templates:
            path = self._loader.find(template)
            if sources.tame(template):
                sources.compile(template)
            else:
                self._apart(path, template, None, MOST_CHARACTERS)

    def _apart(self, path: Path, template: str, variables: Mapping[str, Any] | None, most: int) -> str:
        """Render (or with `variables` None only compile) in a process with limits."""
        order = {
            "folders": [str(folder) for folder in self._folders],
            "template": template,
            "variables": variables,
            "most": most,
            "seconds": self._seconds,
        }
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-X", "utf8", "-c", _BOOT, str(_HARNESS)],
                input=json.dumps(order, default=str),
                capture_output=True,
                encoding="utf-8",
                timeout=self._seconds,
                env={},
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise TemplateError(f"{path}: not rendered within {self._seconds:g} s", hint=f"simplify {path}") from exc
        if done.returncode != 0:
            cause = done.stderr.strip()[-300:]
            raise TemplateError(
                f"{path}: needs more time or memory than a template gets", hint=f"simplify {path}", cause=cause
            )
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise TemplateError(answer["error"], hint=answer["hint"])
        return str(answer["text"])


def produce(loader: PromptLoader, template: str, variables: Mapping[str, Any], most: int) -> str:
    """The rendered text, at most `most` characters. Raises TemplateError."""
    path = loader.find(template)
    try:
        parts = environment(loader).get_template(template).generate(dict(variables))
        return "".join(_capped(parts, most, path))
    except Exception as exc:
        fail(exc, path, variables)


def _capped(parts: Iterable[str], most: int, path: Path) -> Iterator[str]:
    for part in parts:
        most -= len(part)
        if most < 0:
            raise TemplateError(f"{path}: renders to more than {MOST_CHARACTERS} characters", hint=f"simplify {path}")
        yield part


def work() -> None:
    """The process that renders: an order on stdin, `{text}` or `{error, hint}` on stdout. Ends by its limits."""
    import resource  # noqa: PLC0415  # not on every platform; needed in this process only

    order = json.load(sys.stdin)
    seconds = max(1, int(order["seconds"]) + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (512 * 1024 * 1024, 512 * 1024 * 1024))
    loader = PromptLoader([Path(folder) for folder in order["folders"]])
    try:
        if order["variables"] is None:
            Sources(loader).compile(order["template"])
            answer = {"text": ""}
        else:
            answer = {"text": produce(loader, order["template"], order["variables"], order["most"])}
    except TemplateError as exc:
        answer = {"error": exc.message, "hint": exc.hint}
    json.dump(answer, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def _item_blocks(variables: Mapping[str, Any]) -> tuple[str, str]:
    item = variables.get("item")
    if not isinstance(item, Mapping):
        return "", ""
    return str(item.get("title") or ""), str(item.get("description") or "")


def _with_item(text: str, variables: Mapping[str, Any]) -> str:
    """The text, with title and description after it unless the template rendered the description (contract 9)."""
    title, description = _item_blocks(variables)
    if not description or (fence_id(description) or description) in text:
        return text
    missing = [block for block in (title, description) if block and (fence_id(block) or block) not in text]
    return f"{text.rstrip()}\n\n## Your work item\n\n" + "\n\n".join(missing) + "\n"
