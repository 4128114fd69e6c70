"""config.yaml as an operator meets it: what loads, where values come from, what a mistake says (H3, H4, H31, H42)."""

from pathlib import Path

import pytest

from harness.config import gates as gates_of
from harness.config.load import examine, load
from harness.config.show import show
from harness.model.errors import ConfigError

GUIDE = """\
harness:
  # Loop control
  max_iterations: 0                    # 0 = infinite (production)
  iteration_delay: 5                   # seconds between iterations
  interrupt_check_interval: 30         # seconds between checks

  # Agent spawning
  agent_type: claude-sonnet            # Model to use
  session_timeout: 3600                # 1 hour max per session

  # Monitoring
  stall_threshold: 300                 # 5 minutes no progress = stalled
  max_consecutive_failures: 5          # Failures before interrupt

  # Interrupts
  interrupts:
    quality_gate_failure: true         # Interrupt on test failures
    blocked_work: true                 # Interrupt when blocked
    approval_required: true            # Interrupt needing approval
    session_timeout: true              # Interrupt on timeout
"""

TWO_REPOSITORIES = """\
repositories:
  - {name: app, path: app, push: true}
  - {name: lib, path: /abs/lib, integrate: claimed}
"""


@pytest.fixture
def home(tmp_path):
    return tmp_path


def write(home: Path, text: str) -> Path:
    (home / "config.yaml").write_text(text, encoding="utf-8")
    return home


def said(home: Path, text: str, environ=None, flags=None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(home, text), environ or {}, flags)
    assert caught.value.status == 78
    head, *lines = caught.value.message.splitlines()
    return [line.strip() for line in lines] or [head]


def test_the_guides_block_loads_as_it_stands(home):
    loaded = load(write(home, GUIDE), {})
    assert loaded.config.harness.stall_threshold == 300
    assert loaded.config.harness.interrupts.quality_gate_failure is True
    assert loaded.config.harness.workers == 1
    assert loaded.origins["harness.stall_threshold"] == "config.yaml:12"
    assert loaded.origins["harness.workers"] == "default"


@pytest.mark.parametrize("text", ["", "# nothing\n", "harness:\nrepositories:\nkinds:\n", "{}"])
def test_a_file_that_says_nothing_has_every_default(home, text):
    loaded = load(write(home, text), {})
    assert set(loaded.config.kinds) == {"default", "bug-fix", "review", "report", "maintenance"}
    assert loaded.config.lanes["sweep"].running == 2
    assert loaded.config.agents["default"].type == "claude"
    assert loaded.config.repositories == ()
    assert loaded.default_repository is None


def test_no_file_names_the_command_that_makes_one(home):
    with pytest.raises(ConfigError) as caught:
        load(home, {})
    assert caught.value.hint.startswith("./loop init")


def test_a_folder_in_place_of_the_file_is_an_error_for_the_operator(home):
    (home / "config.yaml").mkdir()
    with pytest.raises(ConfigError):
        load(home, {})


def test_written_kinds_and_lanes_change_the_shipped_ones_key_by_key(home):
    config = load(
        write(home, "kinds: {review: {lane: review}, docs: {expects: none}}\nlanes: {sweep: {running: 4}}"), {}
    ).config
    assert (config.kinds["review"].expects, config.kinds["review"].lane) == ("document", "review")
    assert config.kinds["docs"].template == "bootstrap"
    assert (config.lanes["sweep"].handicap_hours, config.lanes["sweep"].running) == (720, 4)
    assert config.kind("never-heard-of") is config.kinds["default"]


def test_an_agent_of_another_type_inherits_nothing_from_the_shipped_one(home):
    agent = load(write(home, "agents: {default: {type: scripted, script: play.yaml}}"), {}).config.agents["default"]
    assert (agent.type, agent.max_turns, agent.options) == ("scripted", None, {"script": "play.yaml"})


def test_gates_of_another_type_keep_their_options(home):
    gates = "[{name: t, run: make test}, {name: s, type: mine:Gate, paths: [src]}]"
    repo = load(write(home, f"repositories: [{{name: a, path: a, gates: {gates}}}]"), {}).config.repositories[0]
    assert repo.gates[0].timeout_seconds == 1800
    assert repo.gates[1].options == {"paths": ["src"]}


@pytest.mark.parametrize(
    ("gates", "guards", "kind", "scoped", "judging"),
    [
        ([], None, "default", True, ()),
        (["{name: t, run: x}"], None, "default", False, ("t", "tamper")),
        (["{name: t, run: x}"], None, "default", True, ("t", "scope", "tamper")),
        (["{name: t, run: x}"], "[]", "default", True, ("t",)),
        (["{name: t, run: x}"], None, "review", True, ()),
        (["{name: t, run: x, kinds: [review]}"], None, "review", True, ("t",)),
        (["{name: t, run: x}", "{name: mine, type: tamper}"], None, "default", False, ("t", "mine")),
        (["{name: scope, run: x}"], None, "default", True, ("scope", "tamper")),
        (["{name: t, run: x, kinds: [other]}"], None, "default", True, ()),
        (["{name: t, run: x}", "{name: r, type: regression, run: x}"], None, "bug-fix", False, ("t", "r", "tamper")),
        (["{name: t, run: x}", "{name: r, type: regression, run: x}"], None, "default", False, ("t", "tamper")),
    ],
)
def test_which_gates_judge_a_kind(home, gates, guards, kind, scoped, judging):
    more = f", guards: {guards}" if guards else ""
    text = f"repositories: [{{name: a, path: a, gates: [{', '.join(gates)}]{more}}}]"
    config = load(write(home, text), {}).config
    repo = config.repositories[0]
    found = gates_of.judging(repo.gates, repo.guards, kind, config.kind(kind).expects, scoped=scoped)
    assert tuple(found) == judging
    assert set(found) <= {gate.name for gate in repo.every_gate}


def test_a_gate_that_compares_files_cannot_judge_documents(home):
    text = "repositories: [{name: a, path: a, gates: [{name: s, type: scope, kinds: [review]}]}]"
    with pytest.raises(ConfigError, match="'review' expects no commit"):
        load(write(home, text), {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("harness:\n  sesion_timeout: 5", "config.yaml:2: harness.sesion_timeout: unknown key; did you mean session_timeout?"),
        ("harness: {session_timeout: 1:30}", "session_timeout: 1:30 is not allowed; allowed: a number above 0"),
        ("harness: {workers: 012}", "harness.workers: 012 is not allowed; allowed: a whole number at least 1, at most 256"),
        ("harness: {max_iterations: '5'}", "harness.max_iterations: 5 is not allowed; allowed: a whole number at least 0"),
        ("harness: {max_iterations: 2.5}", "harness.max_iterations: 2.5 is not allowed"),
        ("harness: {max_iterations: true}", "harness.max_iterations: true is not allowed"),
        ("harness: {session_timeout: .inf}", "harness.session_timeout: .inf is not allowed"),
        ("harness: {session_timeout: 1e999}", "'1e999' is no value"),
        ("harness: {interrupts: {blocked_work: on}}", "blocked_work: on is not allowed; allowed: true or false or item"),
        ("repositories: [{name: a, path: x, push: yes}]", "repositories.a.push: yes is not allowed; allowed: true or false"),
        ("repositories: [{name: a, path: 1.10}]", "repositories.a.path: 1.10 is not allowed; allowed: text (in quotes)"),
        ("repositories: [{name: a}]", "repositories.a.path: is missing"),
        ("repositories:\n- {name: a, path: x}\n- {name: a, path: y}", "config.yaml:3: repositories.a.name: 'a' is used twice"),
        ("repositories: [{name: ../a, path: x}]", "../a is not allowed; allowed: a name"),
        ("repositories: [{name: a, path: x, agent: codex}]", "'codex' is no agent; allowed: default"),
        ("kinds: {x: {lane: y}}", "kinds.x.lane: 'y' is no lane; allowed: default, maintenance"),
        ("kinds: {x: {review: {agent: codex}}}", "kinds.x.review.agent: 'codex' is no agent; allowed: default"),
        ("kinds: {x: {review: {}, expects: none}}", "kinds.x.review: 'x' expects no commit; a review reads commits"),
        ("kinds: {x: {review: {rounds: -1}}}", "kinds.x.review.rounds: -1 is not allowed"),
        ("repositories: [{name: a, path: x, gates: [{name: review, run: x}]}]", "'review' is what verdicts of reviews"),
        ("kinds: {'a b': {}}", "'a b' is not allowed; allowed: a name"),
        ("agents: {default: {cli: bundled, max_turn: 3}}", "agents.default.max_turn: unknown key; did you mean max_turns?"),
        ("agents: {x: {}, default: 3}", "agents.default: 3 is not allowed; allowed: keys and values"),
        ("policy: [{deny: bash}]", "policy.0: a rule for bash needs argv"),
        ("policy: [{deny: bash, ask: bash, argv: [a]}]", "policy.0: a rule has either deny or ask"),
        ("store: postgres", "store: postgres is not allowed; allowed: sqlite"),
        ("store: sqlite\nstore: sqlite", "config.yaml:2: store: written twice, first in line 1"),
        ("- a", "must hold keys and values"),
        ("harness: [\n", "config.yaml:2: not readable as YAML"),
        ("a: 1\n---\nb: 2", "not readable as YAML"),
        ("harness: {<<: {workers: 2}}", "merge keys"),
        ("store: !!python/object:os.system x", "tag"),
        ('store: "\\ud800"', "half a surrogate pair"),
        ("? [a]\n: b", "a key must be plain text"),
    ],
)  # fmt: skip
def test_a_mistake_names_place_key_value_and_what_is_allowed(home, text, expected):
    lines = said(home, text)
    assert len(lines) == 1
    assert expected in lines[0]
    assert lines[0].startswith("config.yaml:")


def test_all_mistakes_are_named_at_once(home):
    lines = said(
        home, "harness: {a: 1, workers: 0}\nstore: x\nlanes: {default: {running: 0}}", {"SESSION_TIMEOUT": "soon"}
    )
    assert [line.rsplit(": ", 2)[0].split(";")[0] for line in lines]
    assert {line.split(": ")[1] for line in lines} == {
        "harness.a",
        "harness.workers",
        "store",
        "lanes.default.running",
        "harness.session_timeout",
    }


def test_examine_returns_the_same_problems_for_programs(home):
    found = examine(write(home, "harness:\n  workers: 0\n"), {"BD_RIG": "x"})
    assert [(problem.place, problem.key) for problem in found] == [("config.yaml:2", "harness.workers")]
    assert examine(write(home, TWO_REPOSITORIES), {}) == ()
    assert examine(home, {"BD_RIG": "x"})[0].place == "env BD_RIG"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("MAX_ITERATIONS", "max_iterations"),
        ("SESSION_TIMEOUT", "session_timeout"),
        ("STALL_THRESHOLD", "stall_threshold"),
        ("MAX_CONSECUTIVE_FAILURES", "max_consecutive_failures"),
        ("INTERRUPT_CHECK_INTERVAL", "interrupt_check_interval"),
    ],
)
def test_a_variable_stands_over_the_file_and_a_flag_over_both(home, name, key):
    write(home, f"harness: {{{key}: 11}}")
    by_variable = load(home, {name: "12"})
    assert getattr(by_variable.config.harness, key) == 12
    assert by_variable.origins[f"harness.{key}"] == f"env {name}"
    by_flag = load(home, {name: "12"}, {f"harness.{key}": 13, "harness.workers": None})
    assert getattr(by_flag.config.harness, key) == 13
    assert by_flag.origins[f"harness.{key}"] == f"flag --{key.replace('_', '-')}"
    assert getattr(load(home, {name: ""}).config.harness, key) == 11


def test_an_unreadable_variable_is_named_instead_of_a_line(home):
    assert said(home, "", {"MAX_ITERATIONS": "many"})[0].startswith(
        'env MAX_ITERATIONS: harness.max_iterations: "many" is'
    )
    assert said(home, "", {"PIPELINE_AUTO_PUSH": "maybe"})[0].startswith(
        "env PIPELINE_AUTO_PUSH: 'maybe' is not allowed"
    )


def test_an_unknown_flag_is_named(home):
    assert said(home, "", {}, {"harness.worker": 2})[0].startswith(
        "flag --worker: harness.worker: unknown key; did you mean"
    )


def test_switching_commit_and_push_off_reaches_every_repository(home):
    """C25."""
    loaded = load(write(home, TWO_REPOSITORIES), {"PIPELINE_AUTO_COMMIT": "0", "PIPELINE_AUTO_PUSH": "false"})
    assert {repo.integrate for repo in loaded.config.repositories} == {"never"}
    assert not any(repo.push for repo in loaded.config.repositories)
    assert loaded.origins["repositories.app.push"] == "env PIPELINE_AUTO_PUSH"


def test_switching_commit_and_push_on_leaves_each_repositorys_own_setting(home):
    """C25."""
    loaded = load(write(home, TWO_REPOSITORIES), {"PIPELINE_AUTO_COMMIT": "1", "PIPELINE_AUTO_PUSH": "1"})
    assert [(repo.integrate, repo.push) for repo in loaded.config.repositories] == [
        ("verified", True),
        ("claimed", False),
    ]
    assert loaded.origins["repositories.app.push"] == "config.yaml:2"


def test_actor_rig_and_root_come_from_the_environment(home):
    """H42."""
    loaded = load(
        write(home, TWO_REPOSITORIES), {"BD_ACTOR": "mayor", "BD_RIG": "lib", "GT_ROOT": "~/gt", "HOME": "/home/op"}
    )
    assert (loaded.actor, loaded.default_repository, loaded.root) == ("mayor", "lib", Path("/home/op/gt"))
    assert [loaded.path(repo) for repo in loaded.config.repositories] == [Path("/home/op/gt/app"), Path("/abs/lib")]


def test_without_them_items_go_to_the_first_repository_below_the_home(home):
    loaded = load(write(home, TWO_REPOSITORIES), {})
    assert (loaded.actor, loaded.default_repository) == ("loop", "app")
    assert loaded.path(loaded.config.repositories[0]) == home / "app"


def test_a_rig_that_is_no_repository_is_refused_naming_the_known_ones(home):
    assert said(home, TWO_REPOSITORIES, {"BD_RIG": "web"}) == ["env BD_RIG: 'web' is no repository; allowed: app, lib"]


@pytest.mark.parametrize(("value", "on"), [("1", True), ("*", True), ("0", False), ("no", False), ("", False)])
def test_debug_switches_are_on_unless_they_say_off(home, value, on):
    loaded = load(write(home, ""), {"DEBUG": value, "VERBOSE": value, "CLAUDE_DEBUG": value})
    assert (loaded.debug, loaded.verbose, loaded.claude_debug) == (on, on, on)


def test_a_switch_without_effect_is_said_not_swallowed(home):
    assert "PIPELINE_AUTO_RECOVER" in load(write(home, ""), {"PIPELINE_AUTO_RECOVER": "0"}).warnings[0]


def test_show_has_every_value_with_its_origin(home):
    rows = {
        row.key: (row.value, row.origin) for row in show(load(write(home, TWO_REPOSITORIES), {"MAX_ITERATIONS": "3"}))
    }
    assert rows["harness.max_iterations"] == (3, "env MAX_ITERATIONS")
    assert rows["repositories.lib.integrate"] == ("claimed", "config.yaml:3")
    assert rows["isolation.level"] == ("outer", "default")
    assert rows["notifiers"] == ([], "default")
    assert rows["actor"] == ("loop", "default")
