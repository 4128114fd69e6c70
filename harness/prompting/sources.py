"""Templates as they are now: each file is read, parsed and compiled once, for one check or one rendering."""

from __future__ import annotations

from jinja2 import TemplateNotFound, nodes

from harness.prompting.environment import PromptLoader, environment, fail
from harness.prompting.tame import includes, is_tame


class Sources:
    """The parsed templates of a loader. An object of the moment: it does not see later changes of the files."""

    def __init__(self, loader: PromptLoader) -> None:
        self._loader = loader
        self._language = environment(loader)
        self._trees: dict[str, tuple[nodes.Template, str]] = {}
        self._compiled: set[str] = set()

    def tame(self, template: str) -> bool:
        """Whether this template and everything it includes, each once, is tame. Raises TemplateError."""
        todo, seen = [template], set[str]()
        path = self._loader.find(template)
        while todo:
            name = todo.pop()
            try:
                tree, _ = self._parsed(name)
            except TemplateNotFound:
                return False  # rendering will say in which line it is included
            except Exception as exc:
                fail(exc, path, {})
            if name in seen or not is_tame(tree):
                return False
            seen.add(name)
            todo += includes(tree)
        return True

    def compile(self, template: str) -> None:
        """Compile a template and all it includes by name. Raises TemplateError."""
        todo = [template]
        try:
            while todo:
                name = todo.pop()
                if name not in self._compiled:
                    self._compiled.add(name)
                    tree, file = self._parsed(name)
                    self._language.compile(tree, name, file)
                    todo += includes(tree)
        except Exception as exc:
            fail(exc, self._loader.find(template), {})

    def _parsed(self, name: str) -> tuple[nodes.Template, str]:
        if name not in self._trees:
            source, file, _ = self._loader.get_source(self._language, name)
            self._trees[name] = self._language.parse(source, name, file), file
        return self._trees[name]
