"""One total order of events: (time, class, tie key, sequence)."""

from itertools import pairwise

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from lobsim.sim.clock import Alarm, Clock, EventClass, every, session_key, tie_key
from lobsim.units import NS_PER_S

NAMES = ["alpha", "beta", "zulu", "maker-1", "maker-2"]


def arrivals(times, names, seed=1):
    """Who comes at each time, when all of `names` send one message for each of `times`."""
    clock = Clock(seed)
    seen = {}
    for name in names:
        key = session_key(seed, name)
        for time_ns in times:
            clock.call_at(
                time_ns, EventClass.MESSAGE, key, lambda who: seen.setdefault(clock.now, []).append(who), name
            )
    clock.run_until(max(times))
    return seen


def test_events_run_by_time_then_class():
    clock = Clock()
    seen = []
    for event_class in reversed(EventClass):
        for time_ns in (20, 10):
            clock.call_at(time_ns, event_class, 5, lambda what: seen.append((clock.now, what)), event_class)
    clock.run_until(20)
    assert seen == [(time_ns, event_class) for time_ns in (10, 20) for event_class in EventClass]


def test_messages_of_one_session_keep_their_order():
    clock = Clock()
    seen = []
    for number in range(100):
        clock.call_at(7, EventClass.MESSAGE, session_key(0, "one"), seen.append, number)
    clock.run_until(7)
    assert seen == list(range(100))


@pytest.mark.parametrize("step", [1, 1_000, NS_PER_S])
def test_exact_ties_are_won_about_equally_by_name_order_and_creation(step):
    times = range(step, 2_001 * step, step)
    seen = arrivals(times, NAMES)
    for one in NAMES:
        for other in NAMES:
            if one < other:
                first = sum(order.index(one) < order.index(other) for order in seen.values())
                assert 880 < first < 1_120, (one, other, first)  # 5 standard deviations of a fair coin
    firsts = [sum(order[0] == name for order in seen.values()) for name in NAMES]
    assert all(310 < count < 490 for count in firsts), firsts


def test_the_winner_does_not_depend_on_who_was_created_first_or_who_else_is_there():
    times = range(100, 400)
    forward, backward = arrivals(times, NAMES), arrivals(times, NAMES[::-1])
    assert forward == backward
    fewer = arrivals(times, NAMES[:2])
    assert fewer == {now: [name for name in order if name in NAMES[:2]] for now, order in forward.items()}


def test_another_seed_tosses_other_coins():
    times = range(100, 400)
    assert arrivals(times, NAMES, 1) != arrivals(times, NAMES, 2)


def test_last_times_winner_says_nothing_about_this_times():
    """Neighbouring moments are independent: of four pairs of outcomes each comes about as often."""
    one, two = session_key(3, "one"), session_key(3, "two")
    wins = [tie_key(one, now) < tie_key(two, now) for now in range(4_001)]
    pairs = [
        sum(pair == expected for pair in pairwise(wins))
        for expected in [(False, False), (False, True), (True, False), (True, True)]
    ]
    assert all(850 < count < 1_150 for count in pairs), pairs


@given(st.integers(0, 2**63), st.text(min_size=1, max_size=20), st.integers(0, 2**62))
def test_keys_are_64_bits_and_repeat(seed, name, now):
    key = session_key(seed, name)
    assert 0 <= key < 2**64
    assert 0 <= tie_key(key, now) < 2**64
    assert session_key(seed, name) == key


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(EventClass), st.integers(0, 3)), min_size=1, max_size=40))
def test_any_schedule_runs_in_the_documented_order(calls):
    clock = Clock(9)
    keys = [session_key(9, f"session-{number}") for number in range(4)]
    seen = []
    for sequence, (time_ns, event_class, session) in enumerate(calls):
        clock.call_at(time_ns, event_class, keys[session], seen.append, sequence)
    clock.run_until(5)
    expected = sorted(
        range(len(calls)),
        key=lambda n: (calls[n][0], calls[n][1], tie_key(keys[calls[n][2]], calls[n][0]), n),
    )
    assert seen == expected
    assert clock.events_run == len(calls)


def test_simpy_processes_wake_after_deliveries_and_before_records():
    clock = Clock()
    seen = []

    def agent():
        while True:
            yield clock.timeout(10)
            seen.append("agent")

    clock.process(agent())
    for event_class in (EventClass.RECORD, EventClass.DELIVERY):
        clock.call_at(10, event_class, 1, seen.append, event_class.name)
    clock.run_until(10)
    assert seen == ["DELIVERY", "agent", "RECORD"]


def test_time_is_an_integer_of_nanoseconds():
    clock = Clock()
    clock.call_at(2**60 + 1, EventClass.MARK, 1, lambda _: None)
    clock.run_until(2**60 + 1)
    assert clock.now == 2**60 + 1
    assert type(clock.now) is int


def test_an_alarm_rings_once_each_time_it_is_armed():
    clock = Clock()
    rung = []

    def ring():
        rung.append(clock.now)
        if clock.now < 30:
            alarm.arm(clock.now + 10)

    alarm = Alarm(clock, EventClass.WAKE, "alarm", ring)
    alarm.arm(10)
    clock.run_until(100)
    assert rung == [10, 20, 30]
    alarm.arm(200)
    clock.run_until(300)
    assert rung == [10, 20, 30, 200]


def test_an_alarm_may_ring_again_in_the_same_nanosecond():
    clock = Clock()
    rung = []

    def ring():
        rung.append(clock.now)
        if len(rung) < 3:
            alarm.arm(clock.now)

    alarm = Alarm(clock, EventClass.MESSAGE, "alarm", ring)
    alarm.arm(5)
    clock.run_until(5)
    assert rung == [5, 5, 5]


def test_an_alarm_has_one_moment_at_a_time():
    clock = Clock()
    alarm = Alarm(clock, EventClass.WAKE, "alarm", lambda: None)
    alarm.arm(10)
    with pytest.raises(ValueError, match="armed"):
        alarm.arm(20)


def test_nothing_is_scheduled_in_the_past():
    clock = Clock()
    clock.run_until(50)
    with pytest.raises(ValueError, match="it is 50 ns already"):
        clock.call_at(49, EventClass.MARK, 1, lambda _: None)
    with pytest.raises(ValueError, match="past"):
        Alarm(clock, EventClass.WAKE, "alarm", lambda: None).arm(49)
    with pytest.raises(ValueError, match="it is 50 ns already"):
        clock.run_until(49)
    assert clock.now == 50


def test_an_alarm_ties_like_a_session_of_its_name():
    times = range(10, 400)
    clock = Clock(1)
    seen = {}

    def ring():
        seen.setdefault(clock.now, []).append("alpha")
        alarm.arm(clock.now + 1)

    alarm = Alarm(clock, EventClass.MESSAGE, "alpha", ring)
    alarm.arm(10)
    for now in times:
        clock.call_at(
            now,
            EventClass.MESSAGE,
            session_key(1, "beta"),
            lambda who: seen[clock.now].append(who) if clock.now in seen else seen.setdefault(clock.now, [who]),
            "beta",
        )
    clock.run_until(399)
    assert seen == arrivals(times, ["alpha", "beta"])


def test_every_calls_at_each_multiple():
    clock = Clock()
    rung = []
    every(clock, EventClass.MARK, "mark", 7, lambda: rung.append(clock.now))
    clock.run_until(28)
    assert rung == [7, 14, 21, 28]


def test_progress_is_reported_about_as_often_as_asked():
    clock = Clock()
    every(clock, EventClass.MARK, "mark", 1, lambda: None)
    reports = []
    clock.run_until(100, 25, reports.append)
    assert reports == [25, 50, 75, 100]
    assert clock.events_run == 100


def test_a_failing_agent_stops_the_run():
    clock = Clock()

    def agent():
        yield clock.timeout(5)
        raise RuntimeError("a bug of mine")

    clock.process(agent())
    with pytest.raises(RuntimeError, match="a bug of mine"):
        clock.run_until(10)


def test_interrupts_come_before_everything_of_their_moment():
    clock = Clock()
    seen = []

    def agent():
        try:
            yield clock.timeout(100)
        except simpy.Interrupt:
            seen.append("interrupted")

    process = clock.process(agent())
    clock.call_at(5, EventClass.EXOGENOUS, 1, lambda _: process.interrupt())
    clock.call_at(5, EventClass.MESSAGE, 1, seen.append, "message")
    clock.run_until(5)
    assert seen == ["interrupted", "message"]


def test_simpy_s_own_loop_runs_the_same_events_in_the_same_order():
    def log_of(drive):
        clock = Clock(7)
        log = []
        alarm = Alarm(clock, EventClass.WAKE, "alarm", lambda: log.append((clock.now, "alarm")))
        alarm.arm(30)
        every(clock, EventClass.MARK, "marks", 20, lambda: log.append((clock.now, "mark")))
        for name in ("a", "b", "c"):
            clock.call_at(20, EventClass.MESSAGE, clock.key(name), lambda value: log.append((clock.now, value)), name)

        def sleeper():
            yield clock.timeout(20)
            log.append((clock.now, "process"))

        clock.process(sleeper())
        drive(clock)
        return log

    own = log_of(lambda clock: clock.run_until(65))
    assert len(own) == 8
    assert log_of(lambda clock: clock.run(until=66)) == own
