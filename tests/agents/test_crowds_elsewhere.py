"""The crowds on instruments of other kinds: a perpetual, and a wrapped coin quoted in the coin it wraps."""

from decimal import Decimal

import pytest

from lobsim.credit.contract_terms import ContractTerms, Tier
from lobsim.credit.contracts import ContractBook
from lobsim.events import EventKind, Purpose, Side
from lobsim.sim.feed import Feed
from lobsim.sim.gateway import InstrumentSpec
from lobsim.venue.market import LastPriceMark, Market
from tests.agents.stage import Stage
from tests.venue.builders import BASE, TICK_LOT, USDT

BUY, SELL = Side.BUY, Side.SELL
NOW = {"order_latency": "0s", "feed_latency": "0s"}
CROWDS = {
    "panic-sellers": {"reference": "ALT", "qty": 400.0, "order_qty": 20.0, "decay": "10s"},
    "value-traders": {"reference": "ALT", "rate": 2.0, "notional": 20.0, "budget": 500.0},
    "patient-orders": {"reference": "ALT", "pool": 5_000.0, "orders": 50, "refill_per_minute": 0.5},
    "stray-bids": {"reference": "ALT", "notional": 500.0, "orders": 10},
    "background": {"limit_rate": 2.0, "limit_qty": 10.0, "lifetime": "60s", "market_rate": 1.0, "market_qty": 5.0},
    "momentum-sellers": {"capacity": 500.0, "orders": 10, "window": "30s", "delay": "0s"},
    "stop-losses": {"reference": "ALT", "notional": 500.0, "orders": 20},
    "dip-buyers": {"reference": "ALT", "purse": 1_000.0, "orders": 10, "delay": "1s"},
}


class Perpetuals(Stage):
    """A stage whose second market, number 1, is a perpetual on ALT."""

    def __init__(self, seed=1):
        super().__init__(seed=seed)
        terms = ContractTerms((Tier(0, 10_000),))
        self.contract = ContractBook("ALT-PERP", self.ledger, USDT, terms, TICK_LOT, self.fund)
        grid = ("ALT", "USDT", Decimal("0.01"), Decimal(1))
        self.market = Market(1, "ALT-PERP", *grid, self.ledger, LastPriceMark(), contract=self.contract)
        self.book = self.market.book
        self.feeds.markets[1] = Feed()
        self.exchange.add_market(self.market, self.feeds.markets[1].publish)
        quantum = self.ledger.quantum(USDT)
        self.spec = InstrumentSpec(1, "ALT-PERP", "ALT", "USDT", 0.01, 1.0, BASE, TICK_LOT, quantum, kind="perpetual")

    def order_here(self, side, qty, price):
        self.exchange.submit(self.market, self.outside if side else self.crowd, side, qty, price, Purpose.QUOTE)


@pytest.mark.parametrize("kind", CROWDS)
def test_they_act_on_a_perpetual_without_moving_a_coin(kind):
    stage = Perpetuals()
    stage.tell("ALT", 1.0)
    account = stage.agent(kind, kind, **NOW, **CROWDS[kind]).context.crowd.account_id
    for price in range(1, 100):
        stage.order_here(BUY, 200, 100 - price)
        stage.order_here(SELL, 200, 100 + price)
    stage.order_here(SELL, 1, 99)
    stage.publish()
    stage.seconds(5)
    stage.tell("ALT", 0.8)
    stage.order_here(SELL, 12_000, 30)
    stage.order_here(SELL, 500, 75)
    for second in range(6, 90, 2):
        stage.seconds(second)
        stage.publish()
    stage.order_here(SELL, 20_000, 1)  # through whatever bids rest by now
    own = [event for event in stage.log.of(EventKind.TRADE) if account in (event[3], event[9])]
    placed = [event for event in stage.log.of(EventKind.ACCEPTED) if event[3] == account]
    assert placed
    assert own
    lots = sum((1 if (event[9] == account) == (event[4] == BUY) else -1) * event[6] for event in own)
    crossed = any(event[3] == event[9] for event in own)
    if not crossed:
        assert stage.contract.position(account)[0] == lots
    assert stage.alt(account) == 0
    stage.contract.check()
    stage.check()


class Wrapped(Stage):
    """ALT quoted in ETH: ticks of 0.0001 and lots of 0.1, prices around 1.05."""

    def __init__(self):
        super().__init__()
        eth = self.ledger.add_asset("ETH", "0.000001")
        grid = ("ALT", "ETH", Decimal("0.0001"), Decimal("0.1"))
        self.market = Market(1, "ALT-ETH", *grid, self.ledger, LastPriceMark())
        self.book = self.market.book
        self.feeds.markets[1] = Feed()
        self.exchange.add_market(self.market, self.feeds.markets[1].publish)
        quantum = self.ledger.quantum(eth)
        self.spec = InstrumentSpec(1, "ALT-ETH", "ALT", "ETH", 0.0001, 0.1, 1, 10, quantum)


def test_they_place_their_orders_at_a_conversion_rate():
    stage = Wrapped()
    stage.feeds.references["RATE"] = Feed()
    stage.tell("RATE", 1.05)
    rate = {**NOW, "reference": "RATE"}
    stage.agent("patient-orders", "patient", **rate, pool=100.0, orders=40, max_distance=0.5)
    stage.agent("value-traders", "value", **rate, rate=1.0, notional=2.0, edge=0.01)
    stage.agent("stop-losses", "stops", **rate, notional=50.0, orders=20, nearest=0.1, furthest=0.2)
    stage.agent("dip-buyers", "dips", **rate, purse=30.0, orders=5, nearest=0.3, furthest=0.4, delay="0s")
    stage.seconds(30)
    stage.exchange.submit(stage.market, stage.crowd, SELL, 10**6, 5_000, Purpose.SHOCK)
    for second in range(31, 60):
        stage.seconds(second)
        stage.publish()
    found = {}
    for event in stage.log.of(EventKind.ACCEPTED):
        found.setdefault(event[7], []).append(event)
    spent = sum(event[5] * event[6] * 10 for event in found[Purpose.PATIENT]) / 1e6
    assert 97 < spent <= 100  # ETH
    assert all(5_250 <= event[5] <= 10_500 for event in found[Purpose.PATIENT])
    assert {event[5] for event in found[Purpose.VALUE] if event[5] > 8_000} == {10_395, 10_605}
    assert all(8_400 <= event[9] <= 9_450 for event in found[Purpose.STOP_OUT])
    dips = [event for event in found[Purpose.VALUE] if event[5] < 8_000]
    assert len(dips) == 5
    assert all(6_300 <= event[5] <= 7_350 for event in dips)
    assert set(stage.ledger.imbalance().values()) == {0}
