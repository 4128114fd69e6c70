"""config.yaml, the environment and the flags become one checked configuration (contract 5 and 8, H3, H4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from harness.config import problems
from harness.config.layers import Layers, merge, switch
from harness.config.problems import Problem, dotted
from harness.config.schema import Config, RepositorySection, contradictions
from harness.config.secret import Secret
from harness.config.text import MAX_BYTES, leaves, parse
from harness.model.errors import ConfigError

FILE = "config.yaml"
ACTOR = "loop"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that is in force, and where each of its values came from.

    `actor` is recorded on items and commits, `default_repository` is the one of items that name none, `root` the base
    of relative repository paths (H42). `origins`: dotted key -> `default`, `config.yaml:LINE`, `env NAME`, `flag --x`.
    """

    config: Config
    home: Path
    root: Path
    actor: str
    default_repository: str | None
    debug: bool = False
    verbose: bool = False
    claude_debug: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def path(self, repository: RepositorySection) -> Path:
        """Where a repository is, absolute."""
        return self.folder(repository.path)

    def folder(self, path: str) -> Path:
        """A path as repositories have it: `~/` is the caller's home, a relative one begins at `root`."""
        return self.root / expanded(path, self.environ)

    def environment(self) -> dict[str, str]:
        """`environment:` with its references resolved now. Raises ConfigError for one that is missing or unsafe."""
        return {name: self._resolved(name, value) for name, value in self.config.environment.items()}

    def _resolved(self, name: str, value: Secret | str) -> str:
        if isinstance(value, str):
            return value
        try:
            return value.resolve(self.environ, self.home)
        except ConfigError as exc:
            raise ConfigError(f"environment.{name}: {exc.message}", hint=exc.hint) from exc


def load(home: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Loaded:
    """The configuration of `home`. `flags`: dotted key -> value, None = not given.

    A configuration without repositories loads. Raises ConfigError naming every problem at once.
    """
    text = parse(read(home / FILE))
    layers = merge(FILE, text, environ, flags or {})
    config, wrong = _validated(layers)
    if config is None or wrong:
        raise problems.failure(FILE, wrong)
    return _loaded(config, layers, home.absolute(), environ)


def examine(home: Path, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> tuple[Problem, ...]:
    """Every problem of the configuration, for `config check`. Raises ConfigError if there is no file to read."""
    layers = merge(FILE, parse(read(home / FILE)), environ, flags or {})
    config, wrong = _validated(layers)
    return tuple(wrong) or tuple(_of_surroundings(config, environ) if config else ())


def read(path: Path) -> bytes:
    """The text of config.yaml. Raises ConfigError if there is none, or it cannot be read."""
    try:
        if not path.is_file():
            raise ConfigError(f"there is no {path}", hint="./loop init --repo PATH --test COMMAND")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}", hint=f"check owner and mode of {path}") from exc


def expanded(path: str, environ: Mapping[str, str]) -> str:
    """The path with a leading `~/` replaced by the caller's home."""
    return str(Path(environ.get("HOME", "/")) / path[2:]) if path.startswith("~/") else path


def _validated(layers: Layers) -> tuple[Config | None, list[Problem]]:
    wrong = [*problems.of_text(layers), *problems.of_secrets(layers)]
    try:
        config = Config.model_validate(layers.tree)
    except ValidationError as exc:
        return None, wrong + [problem for problem in problems.of_schema(layers, exc) if problem.key not in _keys(wrong)]
    return config, [*wrong, *problems.of_contradictions(layers, contradictions(config))]


def _keys(found: list[Problem]) -> set[str]:
    return {problem.key for problem in found if problem.key}


def _loaded(config: Config, layers: Layers, home: Path, environ: Mapping[str, str]) -> Loaded:
    if wrong := _of_surroundings(config, environ):
        raise problems.failure(FILE, wrong)
    names = [repository.name for repository in config.repositories]
    return Loaded(
        config=config,
        home=home,
        root=home / expanded(environ.get("GT_ROOT", ""), environ),
        actor=environ.get("BD_ACTOR") or ACTOR,
        default_repository=(environ.get("BD_RIG") or names[0]) if names else None,
        debug=_on(environ, "DEBUG"),
        verbose=_on(environ, "VERBOSE"),
        claude_debug=_on(environ, "CLAUDE_DEBUG"),
        origins=_origins(config, layers),
        warnings=tuple(_warnings(environ)),
        environ=dict(environ),
    )


def _of_surroundings(config: Config, environ: Mapping[str, str]) -> list[Problem]:
    rig, known = environ.get("BD_RIG"), [repository.name for repository in config.repositories]
    if rig and known and rig not in known:
        return [Problem("env BD_RIG", "", f"{rig!r} is no repository; allowed: {', '.join(known)}")]
    return []


def _on(environ: Mapping[str, str], name: str) -> bool:
    """Debug switches are shared with other programs: whatever is not off is on."""
    return bool(environ.get(name, "").strip()) and switch(environ, name, []) is not False


def _warnings(environ: Mapping[str, str]) -> list[str]:
    if environ.get("PIPELINE_AUTO_RECOVER"):
        return ["PIPELINE_AUTO_RECOVER is set; this version has nothing that it switches"]
    return []


def _origins(config: Config, layers: Layers) -> dict[str, str]:
    dumped = config.model_dump()
    return {dotted(key, dumped): layers.origin(key) for key, _value in leaves(dumped)}
