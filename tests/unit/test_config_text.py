"""Hostile and odd text: it loads or is refused with ConfigError, quickly (research/reliability-security 6)."""

import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config.load import load
from harness.config.text import MAX_ALIASES, MAX_BYTES, leaves, parse, scalar
from harness.model.errors import ConfigError

WORDS = ["harness", "kinds", "repositories", "agents", "environment", "policy", "name", "path", "type", "gates", "run"]
PIECES = [*WORDS, ": ", "- ", "{", "}", "[", "]", ",", "\n", "\n  ", "&a ", "*a", "!!int ", '"', "'", "|", ">", "<<: ", "? ", "#",
          "null", "true", "no", "012", "1:30", "1e999", "\\U99999999", "\\ud800", "\t", "%YAML 1.1", "---", "...", "env:X"]  # fmt: skip
YAMLISH = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def loads_or_is_refused(home, raw: bytes) -> None:
    (home / "config.yaml").write_bytes(raw)
    try:
        load(home, {})
    except ConfigError as refused:
        str(refused).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_load_or_are_refused(tmp_path, raw):
    loads_or_is_refused(tmp_path, raw)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=YAMLISH)
def test_any_yamlish_text_loads_or_is_refused(tmp_path, text):
    loads_or_is_refused(tmp_path, text.encode())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4))
def test_any_values_under_known_keys_load_or_are_refused(tmp_path, tree):
    loads_or_is_refused(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


def laughs(levels: int, width: int) -> str:
    lines = ["x0: &x0 [a]"] + [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (laughs(10, 10), "values"),
        (laughs(3, MAX_ALIASES), "aliases"),
        ("[" * 100_000, "nested deeper"),
        ("{a: " * 100_000, "nested deeper"),
        ("- " * 100_000, "nested deeper"),
        ("a: &a [*a]", "inside its own anchor"),
        ("a: " + "x" * MAX_BYTES, "larger than"),
        ("\n".join(f"k{n}: 1" for n in range(60_000)), "values"),
        ('a: "\\U99999999"', "not readable"),
    ],
    ids=["laughs", "aliases", "brackets", "braces", "dashes", "cycle", "size", "values", "escape"],
)
def test_bombs_end_early_and_say_why(text, reason):
    start = time.process_time()
    assert reason in parse(text.encode()).flaws[0].message
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("1:30", "1:30"), ("012", "012"), ("0x1F", "0x1F"), ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"), (".nan", ".nan"), ("true", True), ("False", False), ("-7", -7), ("1.5", 1.5), ("1e3", 1000.0),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_look_like(text, value):
    assert parse(f"key: {text}".encode()).tree == {"key": value}
    assert scalar(text) == value


def test_every_value_knows_its_line():
    text = parse(b"a:\n  b: 1\n  c:\n    - x\n    - {d: y}\n")
    assert {key: text.lines[key] for key, _value in leaves(text.tree)} == {
        ("a", "b"): 2,
        ("a", "c", 0): 4,
        ("a", "c", 1, "d"): 5,
    }


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    assert parse("\ufeffstore: sqlite".encode()).tree == {"store": "sqlite"}
