"""What the sections say of their keys: the docstring below each of them, read from the source where somebody asks.

Pydantic would read them while it makes the classes; that is a fifth of what a loop needs to load its configuration.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from harness.config.fields import Section


def described(schema: dict[str, Any], top: type[Section]) -> dict[str, Any]:
    """The JSON Schema of `top`, with a `description` at each property that has a docstring."""
    sections = {section.__name__: section for section in _below(Section)}
    for name, node in {top.__name__: schema, **schema["$defs"]}.items():
        said = _docstrings(sections[name]) if name in sections else {}
        for key, field in node.get("properties", {}).items():
            if key in said:
                field["description"] = said[key]
    return schema


def _below(section: type[Section]) -> Iterator[type[Section]]:
    for inner in section.__subclasses__():
        yield inner
        yield from _below(inner)


def _docstrings(section: type[Section]) -> dict[str, str]:
    """Of each attribute, its own or an inherited one."""
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if issubclass(base, Section):
            found.update(_of_class(base))
    return found


def _of_class(section: type[Section]) -> Iterator[tuple[str, str]]:
    [node] = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(node, ast.ClassDef)
    for line, after in zip(node.body, node.body[1:], strict=False):
        match line, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
