"""An exchange by hand, with gateways of chosen latencies to it."""

from lobsim.sim.feed import Feed
from lobsim.sim.gateway import CrowdGateway, Feeds, Gateway, InstrumentSpec
from lobsim.sim.latency import ConstantLatency
from tests.venue.builders import ALT, BASE, TICK_LOT, USDT, Desk


class Scene(Desk):
    """A desk whose market is published, and to which gateways lead."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.feeds = Feeds()
        self.feeds.markets[0] = Feed()
        self.exchange._feeds[0] = self.feeds.markets[0].publish
        self.references = {}
        self.spec = InstrumentSpec(0, "ALT-USDT", "ALT", "USDT", 0.01, 1.0, BASE, TICK_LOT, self.ledger.quantum(USDT))
        assert self.ledger.asset_name(ALT) == "ALT"

    def gateway(self, name, order=0, feed=0, *, account=None):
        """A gateway; `order` and `feed` are nanoseconds or latency models."""
        if account is None:
            account = self.unified(name, usdt=10**12, alt=10**9)
        accounts = self.feeds.accounts[account] = Feed()
        if account in self.exchange.margin:
            self.exchange.watch_account(account, lambda view: accounts.publish(view.time_ns, view))
        return Gateway(self.clock, self.exchange, self.feeds, name, account, _latency(order), _latency(feed))

    def crowd_gateway(self, name="crowd", order=0, feed=0):
        account = self.crowd if name == "crowd" else self.ledger.open_account(name, overdraft=True)
        return CrowdGateway(self.clock, self.exchange, self.feeds, name, account, order, _latency(feed))

    def tell(self, reference, value):
        """Publish an outside value now."""
        self.feeds.references.setdefault(reference, Feed()).publish(self.clock.now, value)

    def publish(self):
        """Publish market and account states now."""
        self.exchange.publish_views()
        self.mark()


def _latency(value):
    return ConstantLatency(value) if isinstance(value, int) else value
