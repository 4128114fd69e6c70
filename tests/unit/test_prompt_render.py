"""H5, R9, architecture 7: templates are strict, sandboxed and bounded; what others wrote is shown, never obeyed."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.model.errors import TemplateError
from harness.model.journal import AttemptRow
from harness.model.work import WorkItem
from harness.prompting.render import MOST_CHARACTERS, TemplatePrompts
from harness.prompting.sources import Sources
from harness.prompting.variables import (
    BY_HAND,
    GateFacts,
    HandoverFacts,
    RepositoryFacts,
    SessionFacts,
    choose_template,
    variables,
)

SHIPPED = Path(__file__).parents[2] / "prompts"
TEMPLATES = ("bootstrap", "continue", "retry", "fix-bug", "review", "report", "maintenance", "conflict")
GUIDE = """# Claude Harness Agent Bootstrap

Session: {{SESSION_ID}}
Iteration: {{ITERATION}}
Work Item: {{WORK_ITEM}}
Rig: {{RIG}}

## Your Role

You are an autonomous agent in the Claude Automation Harness...

[Customize agent instructions here]
"""
NOW = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)


def facts(item: WorkItem | None = None, **more):
    return variables(
        item or WorkItem("test-001", "Mend the parser", description="It fails at 59613004."),
        SessionFacts("ses_0123456789ab", 7, NOW, budget_usd=5, max_turns=80),
        RepositoryFacts("app", "main", gates=(GateFacts("tests", "pytest -q"),), **more.pop("repo", {})),
        **more,
    )


@pytest.fixture
def write(tmp_path):
    def write(source: str, name: str = "bootstrap.md.j2", seconds: float = 30) -> TemplatePrompts:
        (tmp_path / name).write_text(source)
        return TemplatePrompts([tmp_path], seconds=seconds)

    return write


def test_the_guides_bootstrap_template_loads_byte_for_byte(write):
    text = write(GUIDE, "bootstrap.md").render("bootstrap", facts()).text
    expected = GUIDE
    for name, value in {
        "SESSION_ID": "ses_0123456789ab",
        "ITERATION": "7",
        "WORK_ITEM": "test-001",
        "RIG": "app",
    }.items():
        expected = expected.replace("{{" + name + "}}", value)
    assert text.startswith(expected)


def test_title_and_description_are_appended_to_a_template_that_does_not_render_them(write):
    text = write(GUIDE, "bootstrap.md").render("bootstrap", facts()).text
    assert text.count("It fails at 59613004.") == 1
    assert text.count("Mend the parser") == 1


@pytest.mark.parametrize(
    "source", ["{{ item.title }}\n{{ item.description }}", "{{ item.title }}: {{ item.description | trim }}"]
)
def test_nothing_is_appended_to_a_template_that_renders_the_description(write, source):
    assert write(source).render("bootstrap", facts()).text.count("It fails at 59613004.") == 1


def test_an_empty_description_still_gives_the_title(write):
    text = write("Do it.").render("bootstrap", facts(WorkItem("a", "Only a title"))).text
    assert "Only a title" in text


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_shipped_template_renders_whole_and_here(template):
    handover = HandoverFacts(
        "interrupted: pause", "half", ("I was about to",), "Bash: sleep", "1 file", "refs/x", "q?", "yes"
    )
    past = AttemptRow(1, "test-001", 1, "o", "settled", 1, NOW, ending="gate_failed", sentence="a gate is red",
                      verdicts=({"gate": "tests", "verdict": "failed", "tail": "E assert 1 == 2"},), commits=("abc",))  # fmt: skip
    prompts = TemplatePrompts([SHIPPED])
    item = WorkItem("test-001", "Mend it", "bug-fix", "It fails.", scope=("src/**",), extra={"due": "soon"}, attempts=1)
    with_all = prompts.render(template, facts(item, history=[past], handover=handover, repo={"guides": "Use tabs."}))
    without = prompts.render(template, facts())
    for needed in ("complete_work", "Mend it", "It fails.", "src/**", "`pytest -q`", "test-001"):
        assert needed in with_all.text
    assert "undefined" not in with_all.text + without.text
    assert with_all.sha256 == hashlib.sha256(with_all.text.encode()).hexdigest()
    assert Sources(prompts._loader).tame(template)


@pytest.mark.parametrize("expects", ["commit", "document", "none"])
def test_the_brief_of_a_person_renders_whole_and_here(expects):
    past = AttemptRow(1, "a", 1, "o", "settled", 1, NOW, ending="gate_failed", sentence="red", evidence="E assert 1")
    prompts = TemplatePrompts([SHIPPED])
    whole = facts(
        WorkItem("a", "Mend it", scope=("src/**",)), history=[past], expects=expects, repo={"instructions": "Use tabs."}
    )
    text = prompts.render(BY_HAND, whole).text
    for needed in ("Mend it", "src/**", "`pytest -q`", "E assert 1", "Use tabs."):
        assert needed in text
    assert "complete_work" not in text
    assert Sources(prompts._loader).tame(BY_HAND)


@pytest.mark.parametrize("template", ["continue", "retry", "conflict"])
def test_what_failed_before_reaches_the_next_prompt(template):
    past = AttemptRow(1, "a", 1, "o", "settled", 1, NOW, ending="gate_failed",
                      verdicts=({"gate": "lint", "verdict": "passed", "tail": "fine"},
                                {"gate": "tests", "verdict": "failed", "tail": "E assert 1 == 2"}))  # fmt: skip
    text = TemplatePrompts([SHIPPED]).render(template, facts(history=[past])).text
    assert "E assert 1 == 2" in text
    assert "gate `tests`" in text


@pytest.mark.parametrize(
    ("expects", "says"), [("commit", "git status"), ("document", "result.md"), ("none", "nothing is to be committed")]
)
def test_the_way_to_end_follows_what_the_kind_expects(expects, says):
    assert says in TemplatePrompts([SHIPPED]).render("retry", facts(expects=expects)).text


def test_the_same_prompt_rendered_twice_is_the_same_text():
    prompts = TemplatePrompts([SHIPPED])
    assert prompts.render("bootstrap", facts()) == prompts.render("bootstrap", facts())


def test_the_homes_own_template_replaces_the_shipped_one(tmp_path):
    (tmp_path / "bootstrap.md").write_text("mine {{ item.description }}")
    assert TemplatePrompts([tmp_path, SHIPPED]).render("bootstrap", facts()).text.startswith("mine")


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("one\n\nhello {{ nope }}", 3, "'nope' is undefined; known names: ITERATION, RIG, SESSION_ID"),
        ("{{ item.nope }}", 1, "item.title"),
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\n{% for %}{{", 2, ""),
        ("\n{{ 'a' | nofilter }}", 2, "nofilter"),
        ("a\nb\n{% include 'gone' %}", 3, "no prompt template 'gone'"),
        ("a\n{{ 1 // 0 }}", 2, "ZeroDivisionError"),
    ],
)
def test_a_template_error_names_file_and_line(write, tmp_path, source, line, says):
    with pytest.raises(TemplateError) as caught:
        write(source).render("bootstrap", facts())
    assert f"{tmp_path}/bootstrap.md.j2:{line}:" in caught.value.message
    assert says in caught.value.message


def test_an_error_in_an_included_part_names_the_part(write, tmp_path):
    (tmp_path / "_part.md.j2").write_text("\n{{ nope }}")
    with pytest.raises(TemplateError, match=r"_part\.md\.j2:2"):
        write("{% include '_part' %}").render("bootstrap", facts())


def test_a_missing_template_names_the_folders(tmp_path):
    with pytest.raises(TemplateError, match=str(tmp_path)):
        TemplatePrompts([tmp_path]).check(["bootstrap"])


@pytest.mark.parametrize("name", ["../secret", "a/b", "", ".hidden", "/etc/passwd", "x" * 200])
def test_a_template_name_cannot_leave_the_folder(tmp_path, name):
    (tmp_path.parent / "secret.md").write_text("secret")
    with pytest.raises(TemplateError):
        TemplatePrompts([tmp_path]).render(name, {})


@pytest.mark.parametrize("source", ["{% if %}", "{{ 'a' | nofilter }}", "{% include 'gone' %}", "{{ f( }}"])
def test_check_finds_what_does_not_compile(write, source):
    with pytest.raises(TemplateError):
        write(source).check(["bootstrap"])


def test_check_accepts_the_shipped_templates():
    TemplatePrompts([SHIPPED]).check(TEMPLATES)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ SESSION_ID.__init__.__globals__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''['__class__'] }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ ('{0.__cl' ~ 'ass__}')|format_map({}) }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ history.append(1) }}",
        "{{ item.update({'title': 'x'}) }}",
        "{% import 'os' as os %}{{ os }}",
    ],
)
def test_the_sandbox_refuses_what_leads_out_of_it(write, source):
    with pytest.raises(TemplateError):
        write(source + "{{ item.description }}").render("bootstrap", facts())


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a' | center(10**9) }}",
        "{{ '%01000000000d' | format(1) }}",
        "{{ [0] * 10**9 }}",
        "{{ 7 ** (9 ** 9) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(99999) %}{{ item.description }}{{ SESSION_ID }}{% endfor %}",
        "{% include 'bootstrap' %}",
        "{{ '" + "a" * 300_000 + "' }}",
    ],
)
def test_a_bomb_ends_as_a_template_error(write, source):
    with pytest.raises(TemplateError):
        write(source, seconds=1).render("bootstrap", facts())


def test_a_template_that_computes_is_rendered_all_the_same(write):
    assert (
        write("{{ 6 * 7 }} {{ RIG ~ '!' }} {{ item.description }}")
        .render("bootstrap", facts())
        .text.startswith("42 app!")
    )


def test_a_huge_description_is_carried_whole(write):
    huge = "x" * (MOST_CHARACTERS + 5)
    assert huge in write("{{ item.description }}").render("bootstrap", facts(WorkItem("a", "t", description=huge))).text


def test_a_template_that_says_nothing_is_an_error(write):
    with pytest.raises(TemplateError, match="nothing"):
        write("{% if item.scope %}x{% endif %}\n").render("bootstrap", facts())


@pytest.mark.parametrize(
    "attack", ["{{ 7*7 }}", "{% for a in b %}", "{# no #}", "{{ ''.__class__ }}", "{{SESSION_ID}}"]
)
def test_template_syntax_in_data_stays_text(write, attack):
    text = (
        write("{{ item.title }} {{ item.description }}")
        .render("bootstrap", facts(WorkItem("a", attack, description=attack)))
        .text
    )
    assert text.count(attack) == 2


@pytest.mark.parametrize(
    ("attempts", "conflict", "resume", "chosen"),
    [
        (0, False, False, "fix-bug"),
        (1, False, False, "retry"),
        (1, False, True, "continue"),
        (0, False, True, "continue"),
        (2, True, True, "conflict"),
    ],
)
def test_the_first_template_that_holds_is_chosen(attempts, conflict, resume, chosen):
    item = WorkItem("a", "t", attempts=attempts)
    assert choose_template(item, "fix-bug", conflict=conflict, resume=resume) == chosen


def test_the_reference_page_names_every_variable():
    page = (SHIPPED.parent / "docs/reference/prompts.md").read_text()
    made = facts(handover=HandoverFacts(), history=[AttemptRow(1, "a", 1, "o", "settled", 1, NOW)])
    for name, value in made.items():
        assert f"`{name}" in page
        for key in value if isinstance(value, dict) else value[0] if isinstance(value, list) else ():
            assert key in page, f"{name}.{key}"
