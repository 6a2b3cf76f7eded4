"""A random stream belongs to a name: the same name, the same numbers, whoever else draws."""

import math
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from lobsim.sim.streams import Streams

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)


def numbers(stream, count=50):
    return [draw() for _ in range(count) for draw in (stream.uniform, stream.exponential, stream.normal)]


@given(st.integers(0, 2**63 - 1), NAMES, st.randoms(use_true_random=False))
def test_neither_order_nor_company_changes_a_streams_numbers(seed, names, random):
    alone = {name: numbers(Streams(seed).stream(name), 5) for name in names}
    shuffled = list(names)
    random.shuffle(shuffled)
    together = Streams(seed)
    streams = {name: together.stream(name) for name in shuffled}
    seen = {name: [] for name in names}
    for _ in range(5):  # interleaved
        for name in shuffled:
            seen[name] += numbers(streams[name], 1)
    assert seen == alone


def test_names_and_seeds_differ():
    streams = [Streams(seed).stream(name) for seed in (1, 2) for name in ("maker-1", "maker-2", "maker-11")]
    firsts = {stream.uniform() for stream in streams}
    assert len(firsts) == 6


def test_kinds_of_draws_do_not_disturb_each_other():
    one, two = Streams(4).stream("agent"), Streams(4).stream("agent")
    for _ in range(5_000):
        one.exponential()
    assert [one.uniform() for _ in range(10)] == [two.uniform() for _ in range(10)]
    assert one.generator("beta").random() == two.generator("beta").random()


def test_blocks_run_on_without_a_seam():
    stream = Streams(7).stream("agent")
    expected = Streams(7).stream("agent").generator("uniform").random(5_000).tolist()
    assert [stream.uniform() for _ in range(5_000)] == expected


def test_distributions_have_the_moments_they_say():
    stream = Streams(3).stream("moments")
    count = 20_000
    for draw, mean, variance in ((stream.uniform, 0.5, 1 / 12), (stream.exponential, 1, 1), (stream.normal, 0, 1)):
        drawn = [draw() for _ in range(count)]
        average = sum(drawn) / count
        assert abs(average - mean) < 5 * math.sqrt(variance / count)
        assert abs(sum((value - average) ** 2 for value in drawn) / count / variance - 1) < 0.1


def test_below_is_uniform_over_the_integers_below():
    stream = Streams(3).stream("below")
    drawn = [stream.below(3) for _ in range(3_000)]
    assert set(drawn) == {0, 1, 2}
    assert all(850 < drawn.count(value) < 1_150 for value in range(3))


def test_the_numbers_are_the_same_in_every_process():
    code = "from lobsim.sim.streams import Streams; s = Streams(5).stream('a'); print(s.uniform(), s.normal())"
    stream = Streams(5).stream("a")
    expected = f"{stream.uniform()} {stream.normal()}"
    command = [sys.executable, "-c", code]
    for hash_seed in ("0", "77"):
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": hash_seed})
        assert printed.stdout.strip() == expected
