"""Windows over prices against plain lists, and delays of members."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.agents.members import PastPrice, RecentHigh, WatchingCrowd, shares, spread
from lobsim.sim.streams import Stream
from tests.agents.stage import Stage

LOOKS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 30)), min_size=1, max_size=60)


@given(looks=LOOKS, window=st.integers(1, 50))
def test_windows_agree_with_plain_lists(looks, window):
    past, high = PastPrice(window), RecentHigh(window)
    seen, now = [], 0
    for wait, price in looks:
        now += wait
        seen.append((now, price))
        old = [value for time, value in seen if time <= now - window]
        assert past.change(now, price) == price / (old[-1] if old else seen[0][1]) - 1
        assert high.fall(now, price) == 1 - price / max(value for time, value in seen if time >= now - window)


def test_draws():
    stream = Stream(1, "draws")
    weights = shares(stream, 500, 1.5)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) > 0
    assert shares(stream, 4, 0.0) == [0.25] * 4
    draws = sorted(spread(stream, 4_001, 0.03, 0.5))
    assert draws[2_000] == pytest.approx(0.03, rel=0.05)
    assert draws[3_366] / draws[2_000] == pytest.approx(1.6487, rel=0.08)  # one standard deviation up


class Crowd(WatchingCrowd):
    """Calls three members at its first look and notes when it was woken for what."""

    def __init__(self, params, context):
        super().__init__(params, context, 100)
        self.log = []

    def on_look(self):
        self.log.append((self.clock.now, "look"))
        if len(self.log) == 1:
            for member, delay in ((0, 250), (1, 0), (2, 30)):
                self.call(member, delay)

    def on_call(self, member):
        self.log.append((self.clock.now, member))
        if member == 2:
            self.call(3, 5)


def test_members_act_when_their_delay_is_over_and_looks_keep_their_pace():
    stage = Stage()
    panic = stage.agent("stray-bids", reference="ALT", notional=1.0)
    crowd = Crowd(panic.params, panic.context)
    crowd.start()
    stage.at(450)
    first = crowd.log[0][0]
    assert 0 <= first < 100
    assert [(time - first, what) for time, what in crowd.log][:8] == [
        (0, "look"),
        (0, 1),
        (30, 2),
        (35, 3),
        (100, "look"),
        (200, "look"),
        (250, 0),
        (300, "look"),
    ]
