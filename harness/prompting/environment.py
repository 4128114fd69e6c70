"""The sandboxed template language, and its errors in our words."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.model.errors import TemplateError

MOST_SOURCE_BYTES = 256 * 1024
SUFFIXES = (".md.j2", ".md")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_UNDEFINED = re.compile(r"'([^']+)' is undefined|has no attribute '([^']+)'|has no element '?([^']+)'?")
_HINT = "./loop prompt list, ./loop prompt render ITEM; docs/reference/prompts.md names the variables"


class PromptLoader(jinja2.BaseLoader):
    """`NAME.md.j2` or `NAME.md` from the first folder that has one; includes may write the whole file name."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def find(self, name: str) -> Path:
        """Raises TemplateError naming the folders that were searched."""
        path = self._look(name)
        if path is not None:
            return path
        searched = ", ".join(str(folder) for folder in self._folders)
        raise TemplateError(f"no prompt template {name!r} ({name}.md.j2 or {name}.md) in {searched}", hint=_HINT)

    def _look(self, name: str) -> Path | None:
        suffixes = ("",) if name.endswith(SUFFIXES) else SUFFIXES
        if not _NAME.fullmatch(name):
            return None
        candidates = (folder / f"{name}{suffix}" for folder in self._folders for suffix in suffixes)
        return next((path for path in candidates if path.is_file()), None)

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Any]:  # noqa: ARG002
        path = self._look(template)
        if path is None:
            raise jinja2.TemplateNotFound(template, f"no prompt template {template!r}")
        try:
            raw = path.read_bytes()
            if len(raw) > MOST_SOURCE_BYTES:
                raise TemplateError(f"{path}: {len(raw)} bytes; a template has {MOST_SOURCE_BYTES} at most")
            return raw.decode(), str(path), lambda: False
        except OSError as exc:
            raise TemplateError(f"cannot read {path}: {exc.strerror}", hint=f"check owner and mode of {path}") from exc
        except UnicodeDecodeError as exc:
            line = raw[: exc.start].count(b"\n") + 1
            raise TemplateError(f"{path}:{line}: not UTF-8", hint=f"save {path} as UTF-8") from exc


def environment(loader: PromptLoader) -> jinja2.Environment:
    """Immutable sandbox, undefined names are errors, text is not escaped; `{% … %}` lines leave no empty line."""
    return ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
    )


def fail(exc: Exception, path: Path, known: Mapping[str, Any]) -> NoReturn:
    """Raise the TemplateError for what rendering or compiling `path` raised, with file and line (H5)."""
    if isinstance(exc, TemplateError):
        raise exc
    where = str(path)
    if isinstance(exc, jinja2.TemplateSyntaxError):
        where = f"{exc.filename or path}:{exc.lineno}"
    else:
        frames = [f for f in traceback.extract_tb(exc.__traceback__) if f.filename.endswith(SUFFIXES)]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else where
    what = str(exc) if isinstance(exc, jinja2.TemplateError) else f"{type(exc).__name__}: {exc}"
    if isinstance(exc, RecursionError):
        what = "nested or recursive too deeply"
    raise TemplateError(f"{where}: {what[:500]}{_known(exc, known)}", hint=_HINT) from exc


def _known(exc: Exception, known: Mapping[str, Any]) -> str:
    """The names that would have been there, on the level on which the undefined one was looked for."""
    if not isinstance(exc, jinja2.UndefinedError):
        return ""
    found = _UNDEFINED.search(str(exc))
    if found is None or found[1]:
        return f"; known names: {', '.join(sorted(known))}" if known else ""
    paths = (f"{name}.{key}" for name, inner in sorted(known.items()) if isinstance(inner, Mapping) for key in inner)
    return f"; known names: {', '.join(paths)}"
