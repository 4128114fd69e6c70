"""What a session uses, judged over time: said once when a mean reaches its bound, and once when it is over (O8)."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.vitals import MEGABYTE, Bound, Level, Look, Rule, Rules, Sign, Trace, Vitals

RULES: Rules = {
    "cpu": Rule(Bound(80, 300), Bound(95, 600)),
    "memory": Rule(Bound(70, 60), Bound(90, 10)),
    "disk": Rule(Bound(100, 60), None),
    "files": Rule(Bound(2, 300), Bound(0, 600)),
}
STEP = 5.0


class Play:
    """A session in virtual time, looked at every five seconds; what was said, with the second it was said at."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.vitals = Vitals()
        self.at = self.cpu = self.disk = 0.0
        self.files = 0
        self.said: list[tuple[float, Sign]] = []
        self._look(0.0, resting=True)

    def go(
        self,
        seconds: float,
        *,
        cpu: float = 0.0,
        memory: float = 10.0,
        megabytes: float = 0.0,
        files: float = 60.0,
        resting: bool = False,
    ) -> Play:
        """`cpu` share of the machine, `megabytes` a second, `files` a minute."""
        end, begun, before = self.at + seconds, self.at, self.files
        while self.at < end:
            self.at += STEP
            self.cpu += cpu * STEP
            self.disk += megabytes * MEGABYTE * STEP
            self.files = before + int(files * (self.at - begun) / 60)
            self._look(memory, resting=resting)
        return self

    def _look(self, memory: float, *, resting: bool) -> None:
        found = Look(self.cpu, memory, self.disk, self.files)
        self.said += [(self.at, sign) for sign in self.vitals.look(self.at, found, self.rules, resting=resting)]

    @property
    def words(self) -> list[tuple[float, str, str]]:
        return [(at, sign.vital, sign.level.name.lower()) for at, sign in self.said]


def test_a_busy_processor_warns_after_five_minutes_alerts_after_ten_and_is_over_once() -> None:
    play = Play().go(1200, cpu=1.0)
    assert play.words == [(300, "cpu", "warning"), (600, "cpu", "critical")]
    assert play.said[0][1].reason == "its processes use 100 % of the machine's processors, over 5 min (limit 80)"
    play.go(1200, cpu=0.1)
    assert [(vital, level) for _, vital, level in play.words[2:]] == [("cpu", "calm")]
    play.go(300, cpu=1.0)
    assert play.words[3][1:] == ("cpu", "warning")


def test_below_its_bound_nothing_is_said() -> None:
    assert Play().go(3600, cpu=0.79, memory=69, megabytes=99, files=3).words == []


def test_a_short_gap_does_not_hide_a_busy_processor_and_a_short_peak_is_none() -> None:
    gaps = Play()
    for _ in range(20):
        gaps.go(25, cpu=1.0).go(5)
    assert gaps.words[0][1:] == ("cpu", "warning")
    assert Play().go(200, cpu=1.0).go(1000).words == []


@pytest.mark.parametrize(
    ("percent", "words"),
    [(69, []), (75, [(60, "memory", "warning")]), (95, [(10, "memory", "critical")])],
)
def test_memory_is_said_within_its_window(percent: float, words: list[tuple[float, str, str]]) -> None:
    assert Play().go(120, memory=percent).words == words


def test_the_disk_warns_and_has_no_alert_of_its_own() -> None:
    play = Play().go(900, megabytes=150)
    assert play.words == [(60, "disk", "warning")]
    assert play.said[0][1].reason == "its processes move 150 MB/s to and from disks, over 60 s (limit 100)"


def test_few_changes_warn_and_none_in_ten_minutes_alerts() -> None:
    assert Play().go(1200, files=1).words == [(300, "files", "warning")]
    assert Play().go(900, files=0).words == [(300, "files", "warning"), (600, "files", "critical")]
    assert [w[1:] for w in Play().go(400, files=0).go(400, files=60).words] == [
        ("files", "warning"),
        ("files", "calm"),
    ]


def test_time_in_which_a_tool_runs_is_not_held_against_an_agent_but_its_changes_count() -> None:
    assert Play().go(7200, files=0, resting=True).words == []
    busy = Play()
    for _ in range(20):
        busy.go(60, files=0).go(300, files=10, resting=True)
    assert busy.words == []


def test_what_the_system_does_not_tell_is_not_judged() -> None:
    vitals = Vitals()
    assert [vitals.look(n * STEP, Look(), RULES) for n in range(500)] == [[]] * 500


def test_only_a_critical_bound_acts_and_only_where_it_is_wished() -> None:
    acting = {"cpu": Rule(Bound(80, 300), Bound(95, 600), acts=True)}
    assert [sign.acts for _, sign in Play(acting).go(700, cpu=1.0).said] == [False, True]
    assert [sign.acts for _, sign in Play().go(700, cpu=1.0).said] == [False, False]


def test_a_bound_that_is_taken_away_ends_its_episode() -> None:
    play = Play().go(400, cpu=1.0)
    play.rules = {}
    play.go(10, cpu=1.0)
    assert [word[1:] for word in play.words] == [("cpu", "warning"), ("cpu", "calm")]


shares = st.lists(st.floats(0, 1), min_size=1, max_size=400)


@given(shares, st.sampled_from([0.2, 0.5, 0.8, 1.0]), st.sampled_from([5.0, 30.0, 300.0]))
def test_levels_only_rise_within_an_episode_and_every_episode_has_one_end(
    drawn: list[float], value: float, seconds: float
) -> None:
    trace, rule = Trace("cpu"), Rule(Bound(value, seconds), Bound(min(1.0, value * 1.5), seconds * 2))
    levels = [Level.CALM]
    points = list(accumulate(drawn, lambda total, share: total + share * STEP, initial=0.0))
    for n, total in enumerate(points):
        sign = trace.add(n * STEP, total, rule)
        if sign is not None:
            assert sign.level > levels[-1] or (sign.level is Level.CALM and levels[-1] is not Level.CALM)
            levels.append(sign.level)
        window = [share for k, share in enumerate(drawn) if n * STEP - seconds <= k * STEP < n * STEP]
        if n * STEP >= seconds and sum(window) * STEP / seconds >= value + 1e-9:
            assert trace.told >= Level.WARNING, "a mean beyond its bound is never calm"


@given(shares)
def test_points_do_not_pile_up(drawn: list[float]) -> None:
    trace, rule = Trace("cpu"), Rule(Bound(0.5, 50.0))
    for n, total in enumerate(accumulate(drawn)):
        trace.add(n * STEP, total, rule)
        assert len(trace._points) <= 50 / STEP + 2
