"""Traders of a perpetual: profits taken, losses cut, trends followed, and what that does to the open interest."""

from decimal import Decimal
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lobsim.agents import Context, agent_kinds
from lobsim.agents.base import Connections
from lobsim.credit import ContractBook, ContractTerms, Flow, Tier
from lobsim.errors import InputError
from lobsim.events import EventKind, Purpose, Side
from lobsim.sim.contracts import ContractGateway
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import InstrumentSpec
from lobsim.venue.market import LastPriceMark, Market
from tests.agents.stage import Stage
from tests.venue.builders import BASE, TICK_LOT, USDT

BUY, SELL = Side.BUY, Side.SELL
PERP = 1
SURE = {
    "instrument": "ALT-PERP",
    "target": 0.1,
    "target_sigma": 0.0,
    "delay": "0s",
    "retry": "2s",
    "slippage": 0.05,
    "order_latency": "0s",
    "feed_latency": "0s",
}
FOLLOW = {
    "target": None,
    "capacity": 1_000.0,
    "orders": 10,
    "size_sigma": 0.0,
    "window": "60s",
    "threshold": 0.05,
    "threshold_sigma": 0.0,
    "leverage_low": 5.0,
    "leverage_high": 5.0,
}


class Pit(Stage):
    """A perpetual around 1,000 ticks of 0.01 USDT, its lots of 1 ALT, and one crowd behind one account."""

    def __init__(self, seed=1, maintenance_ppm=10_000, most=None, **settings):
        super().__init__(seed=seed, **settings)
        terms = ContractTerms((Tier(0, maintenance_ppm),), max_leverage=most)
        self.contract = ContractBook("ALT-PERP", self.ledger, USDT, terms, TICK_LOT, self.fund)
        grid = ("ALT", "USDT", Decimal("0.01"), Decimal(1))
        self.market = Market(PERP, "ALT-PERP", *grid, self.ledger, LastPriceMark(), contract=self.contract)
        self.book = self.market.book
        self.feeds.markets[PERP] = Feed()
        self.exchange.add_market(self.market, self.feeds.markets[PERP].publish)
        quantum = self.ledger.quantum(USDT)
        self.spec = InstrumentSpec(
            PERP, "ALT-PERP", "ALT", "USDT", 0.01, 1.0, BASE, TICK_LOT, quantum, kind="perpetual"
        )
        self.gate = self.crowd_gateway("traders")
        self.account = self.gate.account_id
        self.door = ContractGateway(self.gate, PERP, self.contract)
        self.other = self.ledger.open_account("others", overdraft=True)

    def hold(self, lots, price=1_000, leverage=10.0, account=None):
        """A position from before the run; the world outside takes the other side."""
        margin = ceil(abs(lots) * price * TICK_LOT / leverage)
        account = account or self.account
        self.ledger.issue(account, USDT, margin, Flow.DEPOSIT)
        return self.contract.open_isolated(account, lots, price, margin, self.outside)

    def traders(self, **values):
        params = self.params("perp-traders", **{**SURE, **values})
        stream = self.streams.stream("agents/traders")
        connections = Connections(contracts={"ALT-PERP": self.door})
        context = Context(self.clock, "traders", 0, self.spec, stream, None, self.gate, connections=connections)
        agent = agent_kinds()["perp-traders"](params, context)
        agent.start()
        return agent

    def rest(self, side, qty, price):
        """An order of others, a bid of the world outside or an ask of somebody else."""
        self.exchange.submit(self.market, self.other if side else self.outside, side, qty, price, Purpose.QUOTE)

    def price(self, second, ticks, depth=0):
        """A print of one lot at that moment, and bids and asks of `depth` lots a tick away; everybody is told."""
        self.seconds(second)
        for account in (self.outside, self.other):
            self.exchange.cancel_all(account)
        self.rest(BUY, 1, ticks)
        self.rest(SELL, 1, ticks)
        if depth:
            self.rest(BUY, depth, ticks - 1)
            self.rest(SELL, depth, ticks + 1)
        self.publish()

    def lots(self, *position_ids):
        views = [self.contract.isolated(position_id) for position_id in position_ids]
        return [0 if view is None else view.lots for view in views]

    def sent(self, purpose):
        """(second, lots) of own orders, sales below 0."""
        return [
            (event[1] / 10**9, -event[6] if event[4] else event[6])
            for event in self.log.of(EventKind.ACCEPTED)
            if event[7] == purpose and event[3] == self.account
        ]

    def worth(self):
        """The crowd's cash, with the margin of its positions and what they make at cost: quote quanta."""
        return self.usdt(self.account) + sum(view.margin - view.cost for view in self.door.positions())

    def prove(self):
        """All adds up, and nothing is left in the crowd's cross position."""
        self.contract.check()
        self.check()
        assert self.contract.position(self.account) == (0, 0)


# --- profits and losses -----------------------------------------------------------------------------------------------


def test_each_side_takes_its_profit_at_its_target_and_not_before():
    pit = Pit()
    long, short = pit.hold(7, leverage=4.0), pit.hold(-5, leverage=4.0)
    pit.price(0, 1_000)
    pit.traders()
    pit.price(10, 1_099, depth=100)
    pit.price(20, 901, depth=100)
    pit.seconds(30)
    assert pit.lots(long, short) == [7, -5]
    pit.price(40, 1_100, depth=100)
    pit.price(50, 900, depth=100)
    pit.seconds(60)
    assert pit.lots(long, short) == [0, 0]
    assert [lots for _, lots in pit.sent(Purpose.TAKE_PROFIT)] == [-7, 5]
    # 7 lots sold and 5 bought a tick away from where they looked, entered at 1,000; margins are back
    assert pit.usdt(pit.account) == (7 + 5) * 250 * TICK_LOT + (7 * 99 + 5 * 99) * TICK_LOT
    pit.prove()


@pytest.mark.parametrize("managed", [False, True])
def test_shorts_that_buy_back_what_liquidated_longs_had_take_open_interest_out(managed):
    pit = Pit(maintenance_ppm=20_000, insurance=10**9)
    shorts = [pit.hold(-100, leverage=3.0) for _ in range(5)]
    longs = [pit.hold(100, leverage=8.0, account=pit.other) for _ in range(5)]
    pit.price(0, 1_000)
    pit.traders(**({} if managed else {"target": None}))
    pit.seconds(2)
    pit.rest(BUY, 1, 880)
    pit.rest(BUY, 1_000, 878)
    pit.rest(SELL, 1, 880)
    pit.publish()  # the mark is 880 now: the longs are taken over and sold to the world outside
    assert pit.lots(*longs) == [0] * 5
    assert 500 <= pit.contract.open_interest() <= 502  # two prints by hand, and the shorts are still there
    for second in range(3, 30):
        pit.seconds(second)
        pit.exchange.submit(pit.market, pit.outside, SELL, 30, 885, Purpose.QUOTE)  # which would like to be rid of them
        pit.publish()
    assert pit.lots(*shorts) == ([0] * 5 if managed else [-100] * 5)
    assert pit.contract.open_interest() <= 2 if managed else pit.contract.open_interest() >= 500
    pit.prove()


@pytest.mark.parametrize("side", [1, -1])
def test_a_profit_that_is_gone_before_its_holder_acts_is_waited_for_again(side):
    pit = Pit()
    position = pit.hold(5 * side, leverage=4.0)
    pit.price(0, 1_000)
    pit.traders(delay="30s")
    pit.price(10, 1_000 + 110 * side, depth=100)
    pit.price(12, 1_000 + 50 * side, depth=100)
    pit.seconds(400)
    assert pit.lots(position) == [5 * side]
    assert pit.sent(Purpose.TAKE_PROFIT) == []
    pit.price(410, 1_000 + 110 * side, depth=100)
    pit.seconds(900)
    assert pit.lots(position) == [0]


def test_who_has_begun_to_close_goes_on_and_who_found_nobody_thinks_again():
    for offered in (0, 4):
        pit = Pit()
        short = pit.hold(-10)
        pit.price(0, 1_000)
        pit.traders()
        pit.price(10, 900)
        if offered:
            pit.rest(SELL, offered, 900)
        pit.seconds(13)
        pit.price(14, 950)
        pit.price(16, 950, depth=100)
        pit.seconds(60)
        assert pit.lots(short) == ([0] if offered else [-10])
        pit.price(70, 900, depth=100)
        pit.seconds(80)
        assert pit.lots(short) == [0]
        pit.prove()


def test_part_by_part_as_the_book_allows_and_no_worse_than_the_slippage():
    pit = Pit()
    short = pit.hold(-10)
    pit.price(0, 1_000)
    pit.traders()
    pit.price(10, 900)
    pit.rest(SELL, 3, 905)
    pit.rest(SELL, 2, 910)
    pit.rest(SELL, 9, 960)  # 5 % above 900 is 945
    pit.seconds(12)
    assert pit.lots(short) == [-5]
    pit.contract.check()
    pit.seconds(60)
    assert pit.lots(short) == [-5]
    pit.rest(SELL, 1, 940)
    pit.seconds(90)
    assert pit.lots(short) == [-4]
    pit.rest(SELL, 50, 930)
    pit.seconds(120)
    assert pit.lots(short) == [0]
    assert len(pit.sent(Purpose.TAKE_PROFIT)) > 3
    bought = 3 * 905 + 2 * 910 + 940 + 4 * 930
    assert pit.usdt(pit.account) == 1_000 * TICK_LOT + (10 * 1_000 - bought) * TICK_LOT
    pit.prove()


def test_an_empty_book_is_tried_again():
    pit = Pit()
    short = pit.hold(-10)
    pit.price(0, 1_000)
    pit.traders()
    pit.price(10, 900)
    pit.seconds(60)
    assert pit.lots(short) == [-10]
    assert len(pit.sent(Purpose.TAKE_PROFIT)) > 5
    pit.rest(SELL, 10, 900)
    pit.seconds(80)
    assert pit.lots(short) == [0]
    pit.prove()


def test_gone_is_gone():
    pit = Pit(insurance=10**9)
    liquidated, deleveraged = pit.hold(10, leverage=20.0), pit.hold(-10)
    pit.price(0, 1_000)
    pit.traders()
    pit.price(10, 940, depth=100)
    assert pit.lots(liquidated) == [0]
    pit.price(20, 900)  # the short's target, and nobody who would sell to it
    pit.seconds(40)
    tries = pit.sent(Purpose.TAKE_PROFIT)
    assert {lots for _, lots in tries} == {10}
    assert max(second for second, _ in tries) > 30
    pit.contract.close_isolated(deleveraged, 10, 900, pit.outside)
    pit.price(41, 900, depth=100)
    pit.price(50, 1_100, depth=100)
    pit.price(60, 900, depth=100)
    pit.seconds(100)
    assert pit.sent(Purpose.TAKE_PROFIT) == tries
    pit.prove()


def test_losses_are_cut_by_those_who_do_so_before_the_exchange_does_it():
    for share in (0.0, 1.0):
        pit = Pit(insurance=10**9)
        long, short = pit.hold(10, leverage=10.0), pit.hold(-10, leverage=10.0)
        pit.price(0, 1_000)
        pit.traders(target=None, stop_share=share, stop=0.5, stop_sigma=0.0)
        pit.price(10, 951, depth=100)
        pit.seconds(15)
        assert pit.lots(long, short) == [10, -10]
        pit.price(20, 949, depth=100)
        pit.seconds(25)
        assert pit.lots(long, short) == ([0, -10] if share else [10, -10])
        pit.price(30, 1_050, depth=100)
        pit.seconds(35)
        assert pit.lots(short) == ([0] if share else [-10])
        assert [lots for _, lots in pit.sent(Purpose.STOP_OUT)] == ([-10, 10] if share else [])
        pit.prove()


def test_an_order_is_never_worse_than_bankruptcy():
    pit = Pit()
    long, short = pit.hold(10, leverage=20.0), pit.hold(-10, leverage=20.0)
    pit.rest(BUY, 4, 950)
    pit.rest(BUY, 50, 949)
    pit.rest(SELL, 4, 1_050)
    pit.rest(SELL, 50, 1_051)
    assert pit.door.close(long, 10, None, Purpose.STOP_OUT) == (4, 4 * 950)
    assert pit.door.close(short, 10, 2_000, Purpose.STOP_OUT) == (4, 4 * 1_050)
    assert pit.usdt(pit.account) == 0  # the margin of the parts is lost, to the last quantum
    assert pit.lots(long, short) == [6, -6]
    pit.prove()


def test_a_bankruptcy_price_between_two_ticks_keeps_to_the_better_one():
    pit = Pit()
    long, short = pit.hold(10, leverage=7.0), pit.hold(-10, leverage=7.0)  # 857.14 and 1,142.86
    pit.rest(BUY, 1, 858)
    pit.rest(BUY, 9, 857)
    pit.rest(SELL, 1, 1_142)
    pit.rest(SELL, 9, 1_143)
    assert pit.door.close(long, 10, None, Purpose.STOP_OUT) == (1, 858)
    assert pit.door.close(short, 10, None, Purpose.STOP_OUT) == (1, 1_142)
    pit.prove()


def test_nothing_is_sent_where_there_is_nothing_to_do():
    pit = Pit()
    position = pit.hold(-10)
    seen = len(pit.log.seen)
    nothing = (0, 0)
    assert pit.door.close(position, 0, None, Purpose.STOP_OUT) == nothing
    assert pit.door.close(position, 10, 0, Purpose.STOP_OUT) == nothing
    assert pit.door.close(position + 1, 10, None, Purpose.STOP_OUT) == nothing
    assert pit.door.open(SELL, 0, None, 5.0, Purpose.MOMENTUM) == (None, nothing)
    assert len(pit.log.seen) == seen


def test_who_has_passed_the_target_when_the_run_begins_has_decided_to_stay():
    pit = Pit()
    long, short = pit.hold(10, price=850), pit.hold(-10, price=1_200)
    pit.price(0, 1_000, depth=100)
    pit.traders()
    pit.seconds(10)
    assert pit.lots(long, short) == [10, -10]
    pit.price(20, 1_084, depth=100)  # 10 % of 850 more than 1,000
    pit.seconds(29)
    assert pit.lots(long, short) == [10, -10]
    pit.price(30, 1_085, depth=100)
    pit.seconds(35)
    assert pit.lots(long, short) == [0, -10]
    pit.price(40, 881, depth=100)
    pit.seconds(45)
    assert pit.lots(short) == [-10]
    pit.price(50, 880, depth=100)
    pit.seconds(55)
    assert pit.lots(short) == [0]


def test_each_has_a_target_of_its_own():
    pit = Pit()
    shorts = [pit.hold(-1) for _ in range(400)]
    pit.price(0, 1_000)
    pit.traders(target_sigma=0.5)
    pit.price(10, 900, depth=1_000)
    pit.seconds(20)
    assert 150 < pit.lots(*shorts).count(0) < 250  # the median is 10 %
    pit.price(30, 600, depth=1_000)
    pit.seconds(40)
    assert pit.lots(*shorts).count(0) > 390
    pit.prove()


def test_the_mark_may_be_what_they_go_by():
    pit = Pit()
    short = pit.hold(-10)
    pit.price(0, 1_000)
    pit.traders(trigger="mark")
    pit.exchange.cancel_all(pit.outside)
    pit.market.mark_model = Fixed(1_000)
    pit.price(10, 850, depth=100)
    pit.seconds(20)
    assert pit.lots(short) == [-10]
    pit.market.mark_model = Fixed(900)
    pit.price(30, 890, depth=100)
    pit.price(31, 890, depth=100)
    pit.seconds(40)
    assert pit.lots(short) == [0]


class Fixed:
    """A mark model that knows one price."""

    def __init__(self, ticks):
        self.ticks = ticks

    def update(self, book, time_ns):
        return self.ticks


# --- new positions ----------------------------------------------------------------------------------------------------


def test_a_fall_is_sold_short_and_a_rise_bought_with_margin_and_within_the_capacity():
    for price, side in ((949, -1), (1_051, 1)):
        pit = Pit()
        pit.price(0, 1_000)
        pit.traders(**FOLLOW)
        pit.price(10, 960, depth=1_000)
        pit.seconds(15)
        assert pit.door.positions() == ()
        pit.price(20, price, depth=1_000)
        pit.seconds(25)
        views = pit.door.positions()
        assert [view.lots for view in views] == [side * int(100 / (price / 100))] * 10
        paid = price - 1 if side < 0 else price + 1
        assert {view.entry_value // view.lots for view in views} == {paid * TICK_LOT}
        assert all(view.margin == -(-abs(view.entry_value) // 5) for view in views)
        assert pit.contract.open_interest() >= sum(abs(view.lots) for view in views)
        assert pit.usdt(pit.account) == -sum(view.margin for view in views)
        pit.seconds(100)
        assert len(pit.door.positions()) == 10  # one each
        pit.prove()


@pytest.mark.parametrize(("sides", "taken"), [("short", -1), ("long", 1)])
def test_only_the_sides_they_are_told(sides, taken):
    pit = Pit()
    pit.price(0, 1_000)
    pit.traders(**FOLLOW, sides=sides)
    pit.price(10, 900, depth=1_000)
    pit.price(100, 900, depth=1_000)
    pit.price(110, 980, depth=1_000)
    pit.seconds(120)
    assert {view.lots > 0 for view in pit.door.positions()} == {taken > 0}
    assert {second < 100 for second, _ in pit.sent(Purpose.MOMENTUM)} == {taken < 0}


def test_a_thin_book_makes_a_small_position_and_an_empty_one_none_until_it_fills():
    pit = Pit()
    pit.price(0, 1_000)
    pit.traders(**{**FOLLOW, "orders": 1, "window": "1h"})
    pit.price(10, 900)
    pit.seconds(40)
    assert pit.door.positions() == ()
    assert len(pit.sent(Purpose.MOMENTUM)) > 3
    pit.rest(BUY, 5, 890)
    pit.rest(BUY, 8, 880)
    pit.rest(BUY, 500, 854)  # worse than 5 % below 900
    pit.seconds(60)
    (view,) = pit.door.positions()
    assert view.lots == -13
    value = 5 * 890 + 8 * 880
    assert abs(view.entry_value) == 13 * -(-value // 13) * TICK_LOT  # whole ticks, in the position's favour
    assert pit.usdt(pit.account) == -view.margin - (13 * -(-value // 13) - value) * TICK_LOT
    pit.prove()


def test_shorts_opened_on_the_way_down_are_squeezed_on_the_way_up():
    pit = Pit(insurance=10**9)
    pit.price(0, 1_000)
    pit.traders(**{**FOLLOW, "leverage_low": 20.0, "leverage_high": 20.0})
    pit.price(10, 900, depth=1_000)
    pit.seconds(12)
    assert len(pit.door.positions()) == 10
    pit.price(100, 900, depth=1_000)
    pit.price(110, 960, depth=1_000)
    assert pit.log.credit_kinds().count("contract_liquidation_short") == 10
    assert pit.door.positions() == ()
    pit.price(190, 960, depth=1_000)
    pit.price(200, 800, depth=1_000)
    pit.seconds(210)
    assert pit.door.positions() == ()  # who was liquidated does not come back
    pit.prove()


def test_who_took_a_profit_rests_and_may_come_back():
    pit = Pit()
    pit.price(0, 1_000)
    pit.traders(**{**FOLLOW, "orders": 1, "target": 0.1, "cooldown": "50s"})
    pit.price(10, 900, depth=1_000)
    pit.price(20, 800, depth=1_000)
    pit.price(25, 700, depth=1_000)
    pit.seconds(60)
    assert [second // 10 for second, _ in pit.sent(Purpose.MOMENTUM)] == [1]
    assert pit.door.positions() == ()
    pit.price(65, 700, depth=1_000)
    pit.price(75, 640, depth=1_000)
    pit.seconds(90)
    assert [second // 10 for second, _ in pit.sent(Purpose.MOMENTUM)] == [1, 7]
    pit.prove()


def test_a_second_position_has_nothing_to_do_with_the_first():
    pit = Pit()
    pit.price(0, 1_000)
    keys = {"orders": 1, "target": 0.1, "stop_share": 1.0, "stop": 0.5, "stop_sigma": 0.0, "cooldown": "70s"}
    pit.traders(**{**FOLLOW, **keys})
    pit.price(10, 900, depth=1_000)  # short from 899: stop at 989, target at 809
    pit.price(20, 805)
    pit.rest(SELL, 5, 806)
    pit.price(22, 805, depth=1_000)
    pit.price(100, 930, depth=1_000)  # long from 931: stop at 838, target at 1,024
    pit.seconds(110)
    (view,) = pit.door.positions()
    assert view.lots > 0
    pit.price(190, 995, depth=1_000)  # through the stop of the short
    pit.price(200, 1_030)
    pit.seconds(203)
    pit.price(204, 1_000)  # the profit is gone again
    pit.price(206, 1_000, depth=1_000)
    pit.seconds(240)
    assert pit.door.positions() == (view,)
    assert pit.sent(Purpose.STOP_OUT) == []
    pit.price(250, 830, depth=1_000)
    pit.seconds(252)
    assert [lots for _, lots in pit.sent(Purpose.STOP_OUT)] == [-view.lots]
    pit.prove()


def test_a_second_short_is_not_stopped_where_the_first_would_have_been():
    pit = Pit()
    pit.price(0, 1_000)
    keys = {"orders": 1, "target": 0.1, "stop_share": 1.0, "stop": 0.5, "stop_sigma": 0.0, "cooldown": "70s"}
    pit.traders(**{**FOLLOW, **keys}, sides="short")
    pit.price(10, 900, depth=1_000)  # short from 899: stop at 989, target at 809
    pit.price(20, 805, depth=1_000)
    pit.price(95, 985, depth=1_000)
    pit.price(165, 930, depth=1_000)  # short from 929: stop at 1,022
    pit.price(180, 1_000, depth=1_000)
    pit.seconds(190)
    assert len(pit.door.positions()) == 1
    pit.price(200, 1_023, depth=1_000)
    pit.seconds(210)
    assert len(pit.sent(Purpose.STOP_OUT)) == 1
    assert len(pit.sent(Purpose.TAKE_PROFIT)) == 1
    assert pit.door.positions() == ()
    pit.prove()


def test_a_stake_of_less_than_a_lot_waits_for_a_lower_price():
    pit = Pit()
    pit.price(0, 1_000)
    pit.traders(**{**FOLLOW, "orders": 1, "capacity": 8.5, "window": "1h"})
    pit.price(10, 900, depth=10)
    pit.seconds(60)
    assert pit.sent(Purpose.MOMENTUM) == []
    pit.price(70, 840, depth=10)
    pit.seconds(120)
    assert pit.sent(Purpose.MOMENTUM)[0][1] == -1


def test_a_return_that_came_back_meanwhile_is_not_followed():
    pit = Pit()
    pit.price(0, 1_000)
    pit.traders(**{**FOLLOW, "delay": "1000s", "window": "100h"})
    pit.price(10, 900, depth=1_000)
    pit.price(11, 990, depth=1_000)
    pit.seconds(9_000)
    assert pit.sent(Purpose.MOMENTUM) == []
    pit.price(9_001, 900, depth=1_000)
    pit.seconds(20_000)
    assert len(pit.sent(Purpose.MOMENTUM)) == 10


def test_a_position_is_backed_by_what_the_contract_asks_for_at_least():
    pit = Pit(most=3)
    pit.rest(BUY, 10, 999)
    opening = pit.door.open(SELL, 10, None, 5.0, Purpose.MOMENTUM)
    assert pit.contract.isolated(opening.position_id).margin == 999 * TICK_LOT * 10 // 3
    assert pit.door.open(SELL, 10, None, 5.0, Purpose.MOMENTUM) == (None, (0, 0))
    pit.prove()


def test_a_margin_is_rounded_up():
    pit = Pit()
    pit.rest(BUY, 10, 999)
    opening = pit.door.open(SELL, 10, None, 7.0, Purpose.MOMENTUM)
    assert opening.fill == (10, 9_990)
    assert pit.contract.isolated(opening.position_id).margin == -(-9_990 * TICK_LOT // 7)
    pit.prove()


# --- whatever happens -------------------------------------------------------------------------------------------------

_moves = st.lists(st.tuples(st.integers(700, 1_300), st.integers(0, 60)), min_size=3, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    moves=_moves,
    held=st.lists(st.tuples(st.integers(-40, 40).filter(bool), st.integers(2, 30)), max_size=8),
    taker_ppm=st.sampled_from([0, 400]),
    slippage=st.sampled_from([None, 0.01, 0.3]),
    seed=st.integers(1, 99),
)
def test_no_quantum_is_made_or_lost_and_the_book_of_positions_adds_up(moves, held, taker_ppm, slippage, seed):
    pit = Pit(seed=seed, insurance=10**6, taker_ppm=taker_ppm)
    for lots, leverage in held:
        pit.hold(lots, leverage=float(leverage))
    pit.price(0, 1_000)
    keys = {**FOLLOW, "target": 0.05, "target_sigma": 0.5, "size_sigma": 1.0, "threshold": 0.03, "stop_share": 0.5}
    pit.traders(**{**keys, "leverage_high": 25.0, "slippage": slippage, "cooldown": "3s", "delay": "1s"})
    for number, (price, depth) in enumerate(moves, start=1):
        pit.price(7 * number, price, depth)
        pit.prove()
    pit.seconds(7 * len(moves) + 30)
    pit.prove()


@settings(max_examples=60, deadline=None)
@given(
    lots=st.integers(-30, 30).filter(bool),
    leverage=st.integers(1, 60),
    book=st.lists(st.tuples(st.integers(1, 2_500), st.integers(1, 9)), min_size=1, max_size=8),
    parts=st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(1, 2_500)), min_size=1, max_size=4),
)
def test_what_the_account_has_after_a_close_is_what_its_orders_traded(lots, leverage, book, parts):
    """Cash, margin and cost together change by nothing but the value traded, whatever was rounded."""
    pit = Pit()
    position = pit.hold(lots, price=1_000, leverage=float(leverage))
    for price, qty in book:
        pit.rest(BUY if lots > 0 else SELL, qty, price)
    before, traded = pit.worth(), 0
    for qty, limit in parts:
        fill = pit.door.close(position, qty, limit, Purpose.TAKE_PROFIT)
        traded += fill.value * TICK_LOT * (1 if lots > 0 else -1)
        left = pit.contract.isolated(position)
        assert left is None or left.margin >= 0
    assert pit.worth() - before == traded
    pit.prove()


def run(seed):
    pit = Pit(seed=seed, insurance=10**9)
    for number in range(30):
        pit.hold(number - 15 or 1, leverage=8.0)
    pit.price(0, 1_000)
    pit.traders(
        **{**FOLLOW, "target": 0.04, "target_sigma": 0.5, "delay": "3s", "threshold_sigma": 0.4, "leverage_high": 20.0}
    )
    for number, price in enumerate((980, 930, 870, 840, 860, 930, 990, 1_050), start=1):
        pit.price(9 * number, price, depth=40)
    pit.seconds(120)
    pit.prove()
    return [tuple(event) for event in pit.log.seen]


def test_the_same_seed_makes_the_same_run_and_another_one_another():
    assert run(3) == run(3)
    assert run(3) != run(4)


# --- bad input and idle crowds ----------------------------------------------------------------------------------------


def test_nothing_without_a_price_positions_or_capacity():
    pit = Pit()
    pit.traders()
    assert pit.clock._queue == []
    pit.hold(5)
    pit.traders()
    pit.seconds(5)
    pit.publish()
    pit.seconds(100)
    assert pit.log.seen == []


def test_positions_of_somebody_else_are_not_touched():
    pit = Pit()
    own, foreign = pit.hold(5), pit.hold(5, account=pit.other)
    assert [view.position_id for view in pit.door.positions()] == [own]
    with pytest.raises(ValueError, match="position 2 in ALT-PERP is not one of traders's"):
        pit.door.close(foreign, 5, None, Purpose.TAKE_PROFIT)


@pytest.mark.parametrize(
    "bad",
    [
        {"target": 0.0},
        {"stop": 1.0},
        {"stop_share": 1.5},
        {"slippage": 0.0},
        {"retry": "0s"},
        {"capacity": -1.0},
        {"orders": 0},
        {"sides": "none"},
        {"threshold": 0.0},
        {"trigger": "mid"},
        {"leverage_low": 80.0},
        {"positions": ["longs", "longs"]},
    ],
)
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Pit().params("perp-traders", **bad)


def test_leverage_that_cannot_live_is_refused():
    with pytest.raises(InputError, match=r"leverage_high: 75 at a maintenance margin of 0.02"):
        Pit(maintenance_ppm=20_000).traders(capacity=1.0)
