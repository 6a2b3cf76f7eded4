"""What an agent has instead of a market: its messages arrive late and in order, and so does all it learns."""

from hypothesis import given
from hypothesis import strategies as st

from lobsim.events import CancelAll, CancelOrder, EventKind, Purpose, Reason, Side, SubmitOrder, TimeInForce
from lobsim.sim.latency import ConstantLatency, DegradedLatency, LognormalLatency
from lobsim.sim.streams import Streams
from tests.sim.scene import Scene

BUY, SELL = Side.BUY, Side.SELL


def order(gateway, side, qty, price=None, tif=TimeInForce.GTC):
    return gateway.order(side, qty, price, Purpose.UNSPECIFIED, tif)


def test_an_order_arrives_after_the_order_latency_and_its_report_after_the_feed_latency():
    scene = Scene()
    gateway = scene.gateway("maker", order=30, feed=7)
    heard = []
    gateway.listen(lambda instrument, events: heard.append((scene.clock.now, instrument, [e[0] for e in events])))
    scene.order(scene.crowd, BUY, 5, 90)
    scene.at(100)
    gateway.send(0, [order(gateway, SELL, 5, 90)])
    scene.at(129)
    assert len(scene.book) == 1
    scene.at(130)
    assert len(scene.book) == 0
    assert heard == []
    scene.at(200)
    assert heard == [(137, 0, [EventKind.TRADE])]


def test_nobody_hears_without_listening():
    scene = Scene()
    gateway = scene.gateway("maker")
    gateway.send(0, [order(gateway, SELL, 5, None)])
    scene.at(10)
    gateway.report(0, [])
    scene.at(20)
    assert gateway.on_events is None


@given(seed=st.integers(0, 2**32), sigma=st.floats(0.1, 3), gaps=st.lists(st.integers(0, 400), min_size=2, max_size=40))
def test_messages_of_one_session_never_overtake_each_other(seed, sigma, gaps):
    scene = Scene(seed=seed)
    latency = LognormalLatency(1_000, sigma, Streams(seed).stream("latency"))
    gateway = scene.gateway("maker", order=latency, feed=latency)
    delivered = []
    gateway.listen(lambda _instrument, events: delivered.extend(event[2] for event in events))
    sent, sent_at = [], {}
    for gap in gaps:
        scene.at(scene.clock.now + gap)
        command = order(gateway, SELL, 1, None)  # nobody bids: cancelled at once, and that is reported
        sent.append(command.order_id)
        sent_at[command.order_id] = scene.clock.now
        gateway.send(0, [command])
    scene.at(10**10)
    accepted = scene.log.of(EventKind.ACCEPTED)
    assert [event[2] for event in accepted] == sent
    assert all(event[1] >= sent_at[event[2]] for event in accepted)
    assert delivered == sent


def test_a_slow_window_holds_up_what_is_sent_after_it():
    scene = Scene()
    gateway = scene.gateway("maker", order=DegradedLatency(ConstantLatency(10), 100, 110, 50))
    for now in (99, 105, 111, 700):
        scene.at(now)
        gateway.send(0, [order(gateway, SELL, 1, 500)])
    scene.at(1_000)
    assert [event[1] for event in scene.log.of(EventKind.ACCEPTED)] == [109, 605, 605, 710]


def test_one_message_is_one_batch_in_its_order():
    scene = Scene()
    gateway = scene.gateway("maker", order=5)
    gateway.send(0, [order(gateway, SELL, 1, 500)])
    scene.at(10)
    gateway.send(0, [CancelAll(gateway.account_id), order(gateway, SELL, 2, 510), order(gateway, SELL, 3, 520)])
    scene.at(20)
    assert scene.book.asks() == [(510, 2), (520, 3)]


def test_two_sessions_that_tie_win_about_equally_often():
    """Both want the only offer in the very nanosecond in which it can be had."""
    scene = Scene()
    gateways = [scene.gateway(name, order=50) for name in ("aaa", "zzz")]
    for round_ in range(1, 401):
        now = round_ * 1_000
        scene.at(now)
        scene.order(scene.crowd, SELL, 1, 100)
        for gateway in gateways:
            gateway.send(0, [order(gateway, BUY, 1, 100, TimeInForce.IOC)])
    scene.at(10**6)
    winners = [event[9] for event in scene.log.of(EventKind.TRADE)]
    assert len(winners) == 400
    first = winners.count(gateways[0].account_id)
    assert 150 < first < 250  # 5 standard deviations
    scene.check()


def test_a_cancel_loses_the_race_against_a_market_order_that_is_nearer():
    scene = Scene()
    maker, taker = scene.gateway("maker", order=40, feed=10), scene.gateway("taker", order=20)
    reports = []
    maker.listen(lambda _instrument, events: reports.extend((scene.clock.now, e[0]) for e in events))
    quote = order(maker, BUY, 5, 100)
    maker.send(0, [quote])
    scene.at(1_000)
    maker.send(0, [CancelOrder(quote.order_id)])  # both react to the same news, the maker even first
    taker.send(0, [order(taker, SELL, 5)])
    scene.at(2_000)
    assert [event[5] for event in scene.log.of(EventKind.TRADE)] == [100]
    rejected = scene.log.of(EventKind.CANCEL_REJECTED)
    assert [(event[1], event[7]) for event in rejected] == [(1_040, Reason.UNKNOWN_ORDER)]
    assert reports == [(1_030, EventKind.TRADE)]
    scene.check()


def test_a_cancel_wins_where_its_way_is_shorter():
    scene = Scene()
    maker, taker = scene.gateway("maker", order=20), scene.gateway("taker", order=40)
    quote = order(maker, BUY, 5, 100)
    maker.send(0, [quote])
    scene.at(1_000)
    taker.send(0, [order(taker, SELL, 5)])
    maker.send(0, [CancelOrder(quote.order_id)])
    scene.at(2_000)
    assert scene.log.of(EventKind.TRADE) == []
    assert [event[7] for event in scene.log.of(EventKind.CANCELED)] == [Reason.REQUESTED, Reason.NO_LIQUIDITY]


def test_an_agent_sees_nothing_before_it_is_delivered():
    scene = Scene()
    near, far = scene.gateway("near", feed=5), scene.gateway("far", feed=500)
    scene.tell("ALT", 1.0)
    scene.order(scene.crowd, BUY, 5, 90)
    scene.trade(100)
    scene.publish()
    scene.at(4)
    for gateway in (near, far):
        assert (gateway.view(0), gateway.account(), gateway.reference("ALT")) == (None, None, None)
    scene.at(5)
    assert near.view(0).best_bid == 90
    assert near.account().net == {"USDT": 10**12, "ALT": 10**9}
    assert near.reference("ALT") == 1.0
    assert (far.view(0), far.account(), far.reference("ALT")) == (None, None, None)
    scene.at(100)
    scene.tell("ALT", 0.5)
    assert near.reference("ALT") == 1.0
    scene.at(499)
    assert far.view(0) is None
    scene.at(500)
    assert far.reference("ALT") == 1.0
    assert far.view(0).time_ns == 0


def test_a_view_is_what_was_published_and_not_the_book():
    scene = Scene()
    gateway = scene.gateway("maker")
    scene.order(scene.crowd, BUY, 5, 90)
    scene.publish()
    scene.order(scene.crowd, BUY, 5, 95)
    assert gateway.view(0).best_bid == 90


def test_reports_are_delivered_in_order_however_the_latency_falls():
    scene = Scene()
    latency = DegradedLatency(ConstantLatency(1), 10, 11, 100)
    gateway = scene.gateway("maker", feed=latency)
    heard = []
    gateway.listen(lambda _instrument, events: heard.append((scene.clock.now, events[0][2])))
    ids = []
    for now in (10, 20):
        scene.at(now)
        command = order(gateway, SELL, 1, None)
        ids.append(command.order_id)
        gateway.send(0, [command])
    scene.at(200)
    assert heard == [(110, ids[0]), (110, ids[1])]


def test_a_crowds_message_knows_what_its_sender_knew():
    """A message that arrives now was sent one order latency ago, by somebody who saw what had reached him then."""
    scene = Scene()
    crowd = scene.crowd_gateway(order=30, feed=12)
    scene.tell("ALT", 2.0)
    scene.publish()
    scene.at(41)
    assert (crowd.view(0), crowd.reference("ALT")) == (None, None)
    scene.at(42)
    assert crowd.view(0).time_ns == 0
    assert crowd.reference("ALT") == 2.0


def test_a_crowds_members_trade_with_each_other_and_cancel_too_late():
    scene = Scene()
    crowd = scene.crowd_gateway()
    first = crowd.submit(0, BUY, 5, 100, Purpose.NOISE)
    second = crowd.submit(0, SELL, 3, 100, Purpose.NOISE)
    assert second == first + 1
    assert [event[6] for event in scene.log.of(EventKind.TRADE)] == [3]
    crowd.cancel(0, first)
    crowd.cancel(0, first)
    assert [event[0] for event in scene.log.seen[-2:]] == [EventKind.CANCELED, EventKind.CANCEL_REJECTED]
    scene.check()


def test_ticks_and_lots_of_a_spec():
    spec = Scene().spec
    assert (spec.ticks(1.0), spec.ticks(0.004), spec.ticks(-3.0), spec.ticks(1.006)) == (100, 1, 1, 101)
    assert (spec.lots(10.0, 100), spec.lots(9.99, 100), spec.lots(0.5, 100)) == (10, 9, 0)


GOLDEN = """
   0 crowd ACCEPTED 1
  25 near  ACCEPTED 2
  40 far   ACCEPTED 3
  60 crowd ACCEPTED 6
  60 crowd TRADE 6>1
  60 crowd TRADE 6>2
 125 near  CANCEL_REJECTED 2
 140 far   CANCELED 3
 150 near  ACCEPTED 7
 150 crowd ACCEPTED 8
 150 crowd TRADE 8>7
 155 near  hears TRADE 7
"""


def test_quotes_of_a_ladder_are_orders_made_one_by_one():
    scene = Scene(seed=1)
    gateway = scene.gateway("maker", order=1, feed=1)
    ladder = [(3, 99), (5, 98), (7, 95)]
    quotes = gateway.quotes(BUY, ladder, post_only=True)
    singly = [gateway.order(BUY, qty, price, Purpose.QUOTE, post_only=True) for qty, price in ladder]
    assert [quote.order_id for quote in quotes] == [1, 2, 3]
    assert [type(quote) for quote in quotes] == [SubmitOrder] * 3
    assert [quote._replace(order_id=0) for quote in quotes] == [one._replace(order_id=0) for one in singly]
    assert [one.order_id for one in singly] == [4, 5, 6]
    assert gateway.quotes(BUY, [], post_only=False) == []


def test_golden_log_of_a_small_scene():
    scene = Scene(seed=4)
    near, far = scene.gateway("near", order=25, feed=5), scene.gateway("far", order=40, feed=50)
    crowd = scene.crowd_gateway()
    names = {scene.crowd: "crowd", near.account_id: "near", far.account_id: "far", 0: "near"}
    heard = []
    near.listen(lambda _instrument, events: heard.append((scene.clock.now, events[0])))
    crowd.submit(0, BUY, 2, 100, Purpose.NOISE)
    bids = [order(near, BUY, 2, 99), order(far, BUY, 2, 98)]
    near.send(0, [bids[0]])
    far.send(0, [bids[1]])
    for _ in range(2):
        scene.exchange.next_order_id()  # ids are drawn when orders are made, sent or not
    scene.at(60)
    crowd.submit(0, SELL, 4, 99, Purpose.NOISE)
    scene.at(100)
    near.send(0, [CancelOrder(bids[0].order_id)])
    far.send(0, [CancelAll(far.account_id)])
    scene.at(125)
    near.send(0, [order(near, SELL, 1, 120)])
    scene.at(150)
    crowd.submit(0, BUY, 1, 120, Purpose.NOISE)
    scene.at(300)
    lines = [
        f"{event[1]:4} {names[event[9] if event[0] == EventKind.TRADE else event[3]]:5} {event[0].name} "
        + (f"{event[8]}>{event[2]}" if event[0] == EventKind.TRADE else f"{event[2]}")
        for event in scene.log.seen
    ]
    lines += [f"{now:4} near  hears {event[0].name} {event[2]}" for now, event in heard if now > 100]
    assert lines == GOLDEN.strip("\n").split("\n")
    scene.check()
