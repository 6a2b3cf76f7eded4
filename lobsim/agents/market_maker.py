"""Market makers: ladders around reservation prices on many pairs from one account, with rules for walking away.

One maker quotes one pair or dozens. Each pair has its own phase, pace and picture of the market (`Pair`); inventory is
counted per underlying (`Underlying`) and hedged on perpetuals (`Hedge`); there is one account and one decision to leave
all pairs (`WithdrawalRule`). Quotes are those of `lobsim.agents.quoting`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from lobsim.agents.base import Agent, Context
from lobsim.agents.hedging import Hedge
from lobsim.agents.maker_pair import Leg, Pair, Underlying
from lobsim.agents.maker_params import MarketMakerParams, PairKeys
from lobsim.agents.withdrawal import Situation, WithdrawalRule, calm_enough, withdrawal_rules
from lobsim.errors import InputError
from lobsim.events import CancelAll, Event, EventKind, Purpose, Reason, Side
from lobsim.sim.clock import Alarm, EventClass
from lobsim.sim.gateway import Gateway

__all__ = ["MarketMaker", "MarketMakerParams"]


class MarketMaker(Agent):
    """Knows its fills, its account states and public data, each as late as its gateways deliver them.

    Bias: quotes the same shape in every state of the market and sees no order flow, only prices.
    """

    kind = "market-maker"
    Params = MarketMakerParams
    params: MarketMakerParams

    def __init__(self, params: MarketMakerParams, context: Context) -> None:
        super().__init__(params, context)
        rules = params.withdrawal_rules
        own = 1 + rules.volatility_spread * (2 * self.stream.uniform() - 1)
        self.ratio_limit = inf if rules.volatility_ratio is None else rules.volatility_ratio * own
        self.size = 1.0
        self.away_since: int | None = None
        self.legs: dict[int, Leg] = {}
        self.hedges: list[Hedge] = []
        self.pairs: list[Pair] = []
        self._underlyings: dict[str, Underlying] = {}
        self._grace_until = -1
        self._barred_until = -1
        self._build(params.pair_keys())
        self.situation = Situation(len(self.pairs))
        every = withdrawal_rules(rules, len(self.pairs))
        self._rules: tuple[WithdrawalRule, ...] = every if params.withdrawal else ()
        self._lasting = tuple(rule for rule in every if rule.lasting)
        gateways = {leg.gateway.account_id: leg.gateway for leg in self.legs.values()}
        self._gateways = tuple(gateways.values())
        self._minds_account = params.margin and (params.withdrawal or bool(self.hedges))
        self._accounts: list[Any] = [None] * len(gateways)  # newest account state of each
        self._deleveraged = [0] * len(gateways)
        self._feed_ns = dict.fromkeys(gateways, 0)  # newest market data of each venue
        self._feed_age_ns = dict.fromkeys(gateways, 0)  # its age at the last look at a pair there
        for gateway in self._gateways:
            gateway.listen(partial(self._on_events, gateway.account_id))

    def _build(self, quoted: tuple[PairKeys, ...]) -> None:
        for keys in quoted:
            self.pairs.append(Pair(keys, self._leg(keys.instrument, keys.reference)))
        hedge = self.params.hedge
        hedged: set[str] = set()
        for pair in self.pairs:
            name = pair.keys.perp
            if name is None or hedge is None or not hedge.enabled or pair.reference in hedged:
                continue
            if self.context.specs[name].kind != "perpetual":
                raise InputError(f"perp: {name} is no perpetual: nothing can be hedged on it")
            hedged.add(pair.reference)
            self.hedges.append(Hedge(hedge, self._leg(name, pair.reference), pair))

    def _leg(self, instrument: str, reference: str) -> Leg:
        """The leg of an instrument, new when it is not known yet."""
        spec = self.context.specs[instrument]
        leg = self.legs.get(spec.instrument_id)
        if leg is None:
            underlying = self._underlyings.setdefault(reference, Underlying())
            start = round(self.params.contracts.get(instrument, 0.0) / spec.lot)
            leg = self.legs[spec.instrument_id] = Leg(spec, self.context.gateway_of(instrument), underlying, start)
        return leg

    def start(self) -> None:
        """Requote each pair at its steady pace from a random phase."""
        for pair in self.pairs:
            self._ring_every(pair.requote, f"quote/{pair.keys.instrument}", partial(self._look, pair))
        hedge = self.params.hedge
        if self.hedges and hedge is not None:
            self._ring_every(hedge.interval, "hedge", self._hedge)

    def _ring_every(self, interval_ns: int, name: str, act: Callable[[], None]) -> None:
        clock = self.clock

        def ring() -> None:
            alarm.arm(clock.now + interval_ns)
            act()

        alarm = Alarm(clock, EventClass.WAKE, f"{self.context.name}/{name}", ring)
        alarm.arm(clock.now + 1 + int(self.stream.uniform() * interval_ns))

    # --- what it knows ----------------------------------------------------------------------------------------------

    def _look(self, pair: Pair) -> None:
        """Watch one pair, ask the rules, quote."""
        gateway = pair.gateway
        view = gateway.view(pair.instrument_id)
        outside = gateway.reference(pair.reference)
        if view is None or outside is None:
            return
        now = self.clock.now
        last = view.last_price
        mid = pair.mid(view.best_bid, view.best_ask, last, outside)
        learns = self.away_since is None and now > self._grace_until
        pair.watch(now, mid, outside, last, learns)
        weight = pair.keys.reference_weight
        fair = pair.underlying.fair = weight * outside + (1 - weight) * mid
        self._assess(pair, view.time_ns, now)
        if self.away_since is not None:
            if self._may_return(pair, now):
                self._return(now)
        else:
            for rule in self._rules:
                if (rule.lasting or not self.situation.forgiven) and rule.fires(self.situation):
                    self._withdraw(rule, now)
                    break
        self._quote(pair, fair, now)

    def _assess(self, pair: Pair, feed_ns: int, now: int) -> None:
        """Bring the situation up to date with what this look has shown."""
        situation = self.situation
        venue = pair.gateway.account_id
        newest = self._feed_ns[venue]
        if feed_ns > newest:
            newest = self._feed_ns[venue] = feed_ns
        ages = self._feed_age_ns
        ages[venue] = now - newest
        situation.feed_age_ns = now - newest if len(ages) == 1 else max(ages.values())
        situation.forgiven = now <= self._grace_until
        is_alarmed = self.away_since is None and not situation.forgiven and pair.volatility_above(self.ratio_limit)
        if is_alarmed != pair.is_alarmed:
            pair.is_alarmed = is_alarmed
            situation.alarmed_pairs += 1 if is_alarmed else -1
        situation.inventory = abs(pair.inventory_share)
        if self._minds_account:
            for number, gateway in enumerate(self._gateways):
                account = gateway.account()
                if account is not self._accounts[number]:
                    self._accounts[number] = account
                    self._hear_account(number, gateway)

    def _hear_account(self, number: int, gateway: Gateway) -> None:
        """A new account state: margin level, and whether the exchange has taken contracts away."""
        situation = self.situation
        known = [account for account in self._accounts if account is not None]
        levels = [account.margin_level_ppm for account in known if account.margin_level_ppm is not None]
        situation.level_ppm = min(levels, default=None)
        situation.in_liquidation = any(account.in_liquidation for account in known)
        account = self._accounts[number]
        if account.adl > self._deleveraged[number]:
            self._deleveraged[number] = account.adl
            situation.deleveraged = True
            for leg in self.legs.values():
                if leg.is_contract and leg.gateway is gateway:
                    leg.lots = account.contracts.get(leg.spec.instrument_id, 0) - leg.start_lots
                    leg.synced_ns = account.time_ns
                    leg.underlying.recount()

    def _on_events(self, own: int, instrument_id: int, events: list[Event]) -> None:
        """Count fills, follow hedges, and hold back where the venue refuses."""
        leg = self.legs.get(instrument_id)
        if leg is None:  # the exchange sells collateral in a book that it does not quote
            return
        traded = False
        for event in events:
            kind = event[0]
            if kind == EventKind.TRADE:
                as_maker = event[3] == own
                if not as_maker and event[7] == Purpose.ACCOUNT_LIQUIDATION and not leg.is_contract:
                    continue  # the exchange sold collateral: that was never inventory
                if event[1] > leg.synced_ns:
                    sold = event[4] == Side.SELL if not as_maker else event[4] == Side.BUY
                    leg.lots += -event[6] if sold else event[6]
                    traded = True
            elif kind == EventKind.REJECTED:
                self._hold_back(instrument_id, event[7])
            for hedge in self.hedges:
                if hedge.underlying is leg.underlying and hedge.hear(event):
                    self.situation.failed_hedges = max(hedge.failed for hedge in self.hedges)
        if traded:
            leg.underlying.recount()

    def _hold_back(self, instrument_id: int, reason: int) -> None:
        """An order was refused: quote anew, after a pause where the account is barred or the market halted.

        Outside a price band nothing is tried again before the next regular requote: it would be refused again.
        """
        until = self.clock.now + self.params.retry
        if reason == Reason.MARGIN_TOO_LOW:
            if self._barred_until != until:  # one message makes dozens of refusals
                self._barred_until = until
                for pair in self.pairs:
                    pair.is_due = True
        elif reason != Reason.PRICE_BAND:
            for pair in self.pairs:
                if pair.instrument_id == instrument_id:
                    pair.is_due = True
                    if reason == Reason.HALTED:
                        pair.halted_until = until

    # --- what it does -----------------------------------------------------------------------------------------------

    def _withdraw(self, rule: WithdrawalRule, now: int) -> None:
        """Cancel on all pairs at once."""
        self.away_since = now
        self.context.note("maker_withdrew")
        self.context.note(f"maker_rule_{rule.name}", *rule.seen(self.situation))
        side = Side.BUY if self.params.withdraw == "bids" else None
        for pair in self.pairs:
            pair.gateway.send(pair.instrument_id, [CancelAll(pair.gateway.account_id, side)])
            pair.is_due = True

    def _may_return(self, pair: Pair, now: int) -> bool:
        rules = self.params.withdrawal_rules
        situation = self.situation
        if situation.in_liquidation or any(rule.fires(situation) for rule in self._lasting):
            return False
        if self.away_since is None or now - self.away_since < rules.return_after:
            return False
        fall = rules.calm_fall
        if not pair.without_fall(fall):
            return False
        return calm_enough(sum(each.without_fall(fall) for each in self.pairs), len(self.pairs), rules.calm_pairs)

    def _return(self, now: int) -> None:
        """Quote again, with a smaller size; what drove it away is forgiven for a while."""
        rules = self.params.withdrawal_rules
        situation = self.situation
        self.size = rules.return_size
        self.away_since = None
        self._grace_until = now + rules.grace
        situation.forgiven = True
        situation.deleveraged = False
        situation.failed_hedges = 0
        for hedge in self.hedges:
            hedge.failed = 0
        for pair in self.pairs:
            pair.is_due = True
        self.context.note("maker_returned")

    def _quote(self, pair: Pair, fair: float, now: int) -> None:
        """Replace the ladder unless it is still good enough, or would be refused."""
        params = self.params
        if now < self._barred_until or now < pair.halted_until:
            return
        if (
            not pair.is_due
            and now - pair.quoted_ns < params.refresh
            and abs(fair - pair.quoted_fair) < params.requote_threshold * pair.quoted_fair
        ):
            return
        bids = asks = self.size
        bid_gap = ask_gap = 0.0
        if self.away_since is not None:
            bids, bid_gap = params.obligation, params.obligation_distance
            if params.withdraw == "both":
                asks, ask_gap = bids, bid_gap
            if not bids and not asks:
                return
        pair.is_due = False
        pair.quoted_ns = now
        pair.quoted_fair = fair
        pair.gateway.send(pair.instrument_id, pair.orders(fair, bids, asks, bid_gap, ask_gap))

    def _hedge(self) -> None:
        """Look at every underlying's inventory; nothing is sent while the account is barred or taken over."""
        if self.clock.now < self._barred_until or self.situation.in_liquidation:
            return
        for hedge in self.hedges:
            hedge.act()
