"""Prompts: templates made into text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Prompt:
    text: str
    template: str
    sha256: str


class Prompts(Protocol):
    def render(self, template: str, variables: Mapping[str, Any]) -> Prompt:
        """Raises TemplateError with file and line; never returns a prompt with something missing (H5)."""
        ...

    def check(self, templates: Sequence[str]) -> None:
        """Raises TemplateError for the first template that is missing or does not compile."""
        ...
