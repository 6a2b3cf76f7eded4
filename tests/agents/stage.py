"""One agent on a small exchange: what it is told is set by hand, what it does stands in the log."""

from lobsim.agents import Context, agent_kinds
from lobsim.sim.streams import Streams
from lobsim.units import NS_PER_S
from tests.sim.scene import Scene

MAKER = {
    "reference": "ALT",
    "holdings": [1.0],
    "leverage": [1.0],
    "quote_notional": 1_000.0,
    "ladder_distance": 0.04,
    "levels": 2,
    "requote": "1s",
    "reference_weight": 1.0,
    "gamma": 0.1,
    "k": 10.0,
    "horizon": "100s",
    "inventory_unit": 100.0,
    "max_inventory": 1_000.0,
}


class Stage(Scene):
    """A scene with agents; prices around 100 ticks of 0.01, lots of 1."""

    def __init__(self, seed=1, **settings):
        super().__init__(seed=seed, **settings)
        self.streams = Streams(seed)
        self.notes = []

    def params(self, kind, **values):
        return agent_kinds()[kind].Params.model_validate({"kind": kind, "instrument": "ALT-USDT", **values})

    def agent(self, kind, name="agent", *, gateway=None, lenders=(), **values):
        """An agent of that kind, started."""
        agent_class = agent_kinds()[kind]
        params = self.params(kind, **values)
        crowd = None
        if agent_class.is_crowd:
            crowd = self.crowd_gateway(name, params.order_latency, params.feed_latency)
        elif gateway is None:
            gateway = self.gateway(name, params.order_latency, params.feed_latency)
        stream = self.streams.stream(f"agents/{name}")
        context = Context(self.clock, name, 0, self.spec, stream, gateway, crowd, tuple(lenders))
        context.note = lambda *note: self.notes.append((self.clock.now, *note))
        agent = agent_class(params, context)
        agent.start()
        return agent

    def maker(self, *, gateway=None, withdrawal=True, rules=None, **values):
        """A maker without latency unless asked; every rule off unless asked."""
        off = {"volatility_ratio": None, "margin_level": None, "stale_feed": None}
        return self.agent(
            "market-maker",
            "maker",
            gateway=gateway,
            withdrawal=withdrawal,
            withdrawal_rules={**off, **(rules or {})},
            **{"order_latency": "0s", "feed_latency": "0s", **MAKER, **values},
        )

    def seconds(self, seconds):
        return self.at(round(seconds * NS_PER_S))

    def quotes_of(self, agent):
        """(bids, asks) of the agent's resting orders as (price, lots), best first."""
        account = agent.context.gateway.account_id
        views = [self.book.order(order_id) for order_id in self.book._owned.get(account, {})]
        bids = sorted(((v.price, v.qty) for v in views if v.side == 0), reverse=True)
        return bids, sorted((v.price, v.qty) for v in views if v.side == 1)
