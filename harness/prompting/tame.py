"""Which templates cannot be bombs. Those are rendered where we are; all others in a process with limits.

Tame = text, names, attributes, comparisons, conditions, includes, loops over our own short lists (at most two deep),
with filters whose result is no longer than their input. No call, no arithmetic, no joining of strings: nothing can grow
or run for ever.
"""

from __future__ import annotations

from jinja2 import nodes

MOST_LOOPS = 2
_LISTS = frozenset({"history", "gates", "commits", "last_texts", "scope", "labels"})
_FILTERS = frozenset(
    {"capitalize", "count", "d", "default", "first", "last", "length", "lower", "string", "title", "trim", "upper"}
)
_TAME = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.If,
    nodes.For, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Test, nodes.Filter, nodes.Include,
    nodes.CondExpr,
)  # fmt: skip


def includes(tree: nodes.Template) -> list[str]:
    """Names of the templates it includes; an include whose name is computed makes a template wild."""
    return [
        name.template.value
        for name in tree.find_all(nodes.Include)
        if isinstance(name.template, nodes.Const) and isinstance(name.template.value, str)
    ]


def is_tame(tree: nodes.Template) -> bool:
    """Whether the template (without what it includes) is bounded by the size of its data."""
    return _tame(tree, 0)


def _tame(node: nodes.Node, loops: int) -> bool:
    if not isinstance(node, _TAME):
        return False
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        return False
    if isinstance(node, nodes.Include) and (loops or not isinstance(node.template, nodes.Const)):
        return False
    if isinstance(node, nodes.For):
        loops += 1
        if loops > MOST_LOOPS or node.recursive or not _short(node.iter):
            return False
    return all(_tame(child, loops) for child in node.iter_child_nodes())


def _short(source: nodes.Node) -> bool:
    """Whether a loop runs over one of our lists: never over the characters of a text that others wrote."""
    name = source.attr if isinstance(source, nodes.Getattr) else getattr(source, "name", "")
    return isinstance(source, nodes.Getattr | nodes.Name) and name in _LISTS
