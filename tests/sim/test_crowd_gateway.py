"""What a crowd is told about orders that take, and how it leaves stops behind."""

from lobsim.events import EventKind, Purpose, Side, TimeInForce
from tests.sim.scene import Scene

BUY, SELL = Side.BUY, Side.SELL


def test_a_taker_is_told_what_it_got_and_nothing_else():
    scene = Scene()
    crowd = scene.crowd_gateway("takers")
    crowd.submit(0, SELL, 5, 102, Purpose.NOISE)  # its own: members trade with each other
    scene.order(scene.pool, SELL, 3, 100)
    scene.order(scene.pool, SELL, 4, 101)
    assert crowd.take(0, BUY, 10, 102, Purpose.VALUE) == (10, 3 * 100 + 4 * 101 + 3 * 102)
    scene.order(scene.pool, BUY, 2, 102)  # fills the rest of the resting order, of which `take` knows nothing
    assert crowd.take(0, SELL, 1, None, Purpose.VALUE) == (0, 0)
    assert crowd.take(0, BUY, 1, 101, Purpose.VALUE) == (0, 0)
    assert len(scene.book) == 0
    scene.check()


def test_all_or_nothing():
    scene = Scene()
    crowd = scene.crowd_gateway("takers")
    scene.order(scene.pool, BUY, 3, 100)
    assert crowd.take(0, SELL, 4, 90, Purpose.VALUE, TimeInForce.FOK) == (0, 0)
    assert crowd.take(0, SELL, 3, 90, Purpose.VALUE, TimeInForce.FOK) == (3, 300)


def test_a_fill_counts_the_order_itself_and_not_the_stops_it_wakes():
    scene = Scene()
    crowd = scene.crowd_gateway("takers")
    scene.trade(110)
    crowd.stop(0, SELL, 7, 100, Purpose.STOP_OUT)
    scene.order(scene.pool, BUY, 2, 100)
    scene.order(scene.pool, BUY, 9, 90)
    assert crowd.take(0, SELL, 2, None, Purpose.VALUE) == (2, 200)
    trades = [(event[5], event[6], event[7]) for event in scene.log.of(EventKind.TRADE)[1:]]
    assert trades == [(100, 2, Purpose.VALUE), (90, 7, Purpose.STOP_OUT)]


def test_stops_sleep_until_their_price():
    scene = Scene()
    crowd = scene.crowd_gateway()
    scene.trade(110)
    first = crowd.stop(0, SELL, 7, 100, Purpose.STOP_OUT)
    second = crowd.stop(0, BUY, 1, 120, Purpose.STOP_OUT)
    assert first != second
    scene.trade(101)
    assert scene.log.of(EventKind.TRIGGERED) == []
    scene.trade(100)
    assert [event[2] for event in scene.log.of(EventKind.TRIGGERED)] == [first]
    scene.check()
