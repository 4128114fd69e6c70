"""What sections of config.yaml are made of: kinds of values, and the two bases of a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Key = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

T = TypeVar("T")
Many = Annotated[tuple[T, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]
_YEARS, _HOURS, _MONEY = 315_360_000, 100_000, 1_000_000
Seconds = Annotated[int, Field(gt=0, le=_YEARS)] | Annotated[float, Field(gt=0, le=_YEARS, allow_inf_nan=False)]
Wait = Annotated[int, Field(ge=0, le=_YEARS)] | Annotated[float, Field(ge=0, le=_YEARS, allow_inf_nan=False)]
Hours = Annotated[int, Field(ge=0, le=_HOURS)] | Annotated[float, Field(ge=0, le=_HOURS, allow_inf_nan=False)]
Dollars = Annotated[int, Field(gt=0, le=_MONEY)] | Annotated[float, Field(gt=0, le=_MONEY, allow_inf_nan=False)]
Percent = Annotated[int, Field(ge=1, le=100)] | Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1)]
Switch = bool | Literal["item"]
PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions", "dontAsk", "auto"]


class Section(BaseModel):
    """A mapping of config.yaml: unknown keys and values of another type are errors."""

    # A validator is built for the whole file only: one for each section besides was 0.1 s of every start.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class OpenSection(Section):
    """A mapping of one `type`; its other keys belong to that type and are checked by its adapter."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True)

    type: Text
    """Built-in name, entry point, or `module:Class`."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The keys that belong to the type."""
        return dict(self.model_extra or {})
