"""Tasks in markdown: nothing typed is lost, and a task says what its fields say."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from harness.model.itemform import Form, parse_item
from harness.model.taskmd import Block, blocks, derived_id, document_of, parse, render, with_fields, with_id

PAGE = """# Backlog

How a task looks:

```markdown
### [task-NNN] Short title
- **repo**: repository-name
```

### [task-017] Mend the parser
- **repo**: app
- **type**: bug-fix
- **priority**: High
- **assigned**: unassigned
- **description**: It fails on tabs.
  And on form feeds.
- **branch**: mend-parser
- **depends on**: task-001, task-002

Seen twice last week.

---

### Notes for the reader
Nothing to do here.

## Small things
- [ ] Write the page
  with an example
- [x] Buy a domain
* [ ] [task-030] Rename the flag
"""

LINES = st.sampled_from(
    [
        *(
            "# Page\n",
            "## Part\n",
            "### Notes\n",
            "### [task-1] One\n",
            "### [] Two\n",
            "#### Deep\n",
            "```\n",
            "~~~~\n",
        ),
        *(
            "- **repo**: app\n",
            "- **description**: a\n",
            "  goes on\n",
            "\n",
            "---\n",
            "text\n",
            "- [ ] do\n",
            "- [x] did\n",
        ),
        *("  - [ ] below\n", "- **repo**: other\r\n", "### [task-9] \x0c odd\n", "- **a b**:\n", "- [ ]\n"),
    ]
)


def test_a_page_in_the_documented_shape() -> None:
    found = blocks(PAGE)

    assert [(each.id, each.title, each.done, each.check, each.line) for each in found] == [
        ("task-017", "Mend the parser", False, False, 10),
        (None, "Write the page", False, True, 28),
        (None, "Buy a domain", True, True, 30),
        ("task-030", "Rename the flag", False, True, 31),
    ]
    assert document_of(found[0]) == {
        "id": "task-017",
        "title": "Mend the parser",
        "repo": "app",
        "type": "bug-fix",
        "priority": "high",
        "task_branch": "mend-parser",
        "depends_on": ["task-001", "task-002"],
        "description": "It fails on tabs.\nAnd on form feeds.\n\nSeen twice last week.",
    }
    assert document_of(found[1]) == {
        "id": derived_id("write  the PAGE"),
        "title": "Write the page",
        "description": "with an example",
    }


def test_a_block_becomes_an_item() -> None:
    item = parse_item(document_of(blocks(PAGE)[0]), Form(), datetime(2026, 1, 1, tzinfo=UTC))

    assert (item.id, item.kind, item.priority, item.repo) == ("task-017", "bug-fix", 20, "app")
    assert item.branch is None
    assert item.extra == {"task_branch": "mend-parser"}


def test_a_placeholder_is_no_id_and_a_completed_task_is_done() -> None:
    page = "### [task-NNN] One\n### [new] Two\n### [] Three\n### [t-4] Four\n- **completed**: 2026-01-02\n"

    assert [(each.id, each.title, each.done) for each in blocks(page)] == [
        (None, "One", False),
        (None, "Two", False),
        (None, "Three", False),
        ("t-4", "Four", True),
    ]


def test_numbers_are_numbers_and_what_is_none_stays_as_typed() -> None:
    page = "### [a] A\n- **max_attempts**: 2\n- **timeout_seconds**: 1.5\n- **max_cost_usd**: cheap\n"

    document = document_of(blocks(page)[0])

    assert (document["max_attempts"], document["timeout_seconds"], document["max_cost_usd"]) == (2, 1.5, "cheap")


@given(st.lists(LINES, max_size=25), st.sampled_from(["", "no end of line"]))
def test_the_pieces_joined_are_the_page(lines: list[str], tail: str) -> None:
    page = "".join(lines) + tail

    assert "".join(piece.text for piece in parse(page)) == page


@given(st.text(max_size=60))
def test_any_text_at_all_is_kept(page: str) -> None:
    assert "".join(piece.text for piece in parse(page)) == page


@given(st.lists(LINES, max_size=12))
def test_changed_fields_are_read_back_and_other_lines_stay(lines: list[str]) -> None:
    for block in blocks("### [task-1] One\n" + "".join(lines)):
        if block.check:
            continue
        changed = with_fields(block, {"repo": "new", "completed": "2026-01-02"})

        assert (changed.fields["repo"], changed.fields["completed"], changed.done) == ("new", "2026-01-02", True)
        others = {name: value for name, value in block.fields.items() if name not in {"repo", "completed"}}
        assert {name: changed.fields[name] for name in others} == others
        assert changed.notes == block.notes
        assert (changed.id, changed.title) == (block.id, block.title)


@given(
    st.sampled_from(
        ["### [] A title\nx\n", "### A title\n- **repo**: a\n", "- [ ] A title\n  x\n", "- [x] [b] A title"]
    )
)
def test_an_id_is_written_where_it_belongs(page: str) -> None:
    (block,) = blocks(page)

    numbered = with_id(block, "task-007")

    assert (numbered.id, numbered.title, numbered.done) == ("task-007", "A title", block.done)
    assert blocks(numbered.text)[0] == numbered


def test_what_is_rendered_is_read_back() -> None:
    text = render("task-001", "Do\nit", {"repo": "app", "description": "one\ntwo"}, "a note")

    assert parse(text) == [Block(1, text, "task-001", "Do it", {"repo": "app", "description": "one\ntwo"}, "a note")]
