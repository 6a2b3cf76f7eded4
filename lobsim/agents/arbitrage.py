"""Arbitrageurs tie books together: the same asset on two venues, and spot to its perpetual on one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import Context, Positive, PositiveDuration
from lobsim.agents.pairs import Leg, PairsParams, PairState, PairTrader
from lobsim.errors import InputError
from lobsim.sim.gateway import Gateway, InstrumentSpec
from lobsim.units import NS_PER_MINUTE


class CrossVenueParams(PairsParams):
    """Keys of an agent of kind "cross-venue-arbitrageur".

    `balances` are those on the venue of `instrument`, `elsewhere` those on the others: what it can sell and pay there.
    """

    kind: Literal["cross-venue-arbitrageur"]
    rebalance: PositiveDuration | None = Field(
        5 * NS_PER_MINUTE,
        description="how often it evens out its holdings by transfers, longer than these take; or never",
    )
    low: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="a venue that holds less than this share of an even spread gets some from the fullest one"
    )


class CrossVenueArbitrageur(PairTrader):
    """Buys where an asset is cheap and sells where it is dear, for what the gap leaves after taker fees.

    It sells only what it holds there and pays only with what it has there. Transfers even out its holdings while
    withdrawals are open; once they are halted it runs out of cash on the cheap venue and of coins on the dear one, and
    the gap stays. Leaves a note `arbitrage_ran_out` (gap in ppm) the first time that happens to a pair.

    Bias: sees best prices only, so it takes a guess at what lies behind them (`reach`); does not foresee that a gap may
    widen; keeps its coins whatever they are worth.
    """

    kind = "cross-venue-arbitrageur"
    Params = CrossVenueParams
    params: CrossVenueParams

    def __init__(self, params: CrossVenueParams, context: Context) -> None:
        super().__init__(params, context)
        self._next_transfers = 0 if params.rebalance is None else params.rebalance
        self._places: dict[str, list[Gateway]] = {}
        for pair in self._pairs:
            for leg in pair.legs:
                for asset in (leg.spec.base, leg.spec.quote):
                    places = self._places.setdefault(asset, [])
                    if leg.gateway not in places:
                        places.append(leg.gateway)

    def _check_pair(self, first: InstrumentSpec, second: InstrumentSpec) -> None:
        if first.venue == second.venue:
            raise InputError(
                f"pairs: '{first.name}' and '{second.name}' are both on {first.venue}; two venues are wanted"
            )
        for spec in (first, second):
            if spec.kind != "spot":
                raise InputError(f"pairs: '{spec.name}' is a {spec.kind}, which cannot be sent to another venue")

    def _look(self) -> None:
        now = self.clock.now
        least = 1 + self.params.threshold
        for pair in self._pairs:
            first, second = pair.first, pair.second
            here, there = first.view(first.instrument_id), second.view(second.instrument_id)
            if here is None or there is None or pair.waiting or now < pair.not_before:
                continue
            if first.net + second.net and pair.imbalance():
                self._even_out(pair, pair.legs, limited=True)
            elif (
                here.best_ask is not None
                and there.best_bid is not None
                and there.best_bid * pair.there >= here.best_ask * least
            ):
                self._take(pair, first, second, there.best_bid * pair.there / here.best_ask)
            elif (
                there.best_ask is not None
                and here.best_bid is not None
                and here.best_bid * pair.back >= there.best_ask * least
            ):
                self._take(pair, second, first, here.best_bid * pair.back / there.best_ask)
        if self.params.rebalance is not None and now >= self._next_transfers:
            self._next_transfers = now + self.params.rebalance
            self._spread_out()

    def _take(self, pair: PairState, buy: Leg, sell: Leg, ratio: float) -> None:
        traded = self._trade(pair, buy, sell, _NO_LIMIT, pair.legs)
        if not traded and not pair.out_of_stock:
            pair.out_of_stock = True
            self.context.note("arbitrage_ran_out", round((ratio - 1) * 1e6), "ppm")

    def _spread_out(self) -> None:
        """For each asset, fill the emptiest venue up to the mean, as far as the fullest is above it."""
        for asset, places in self._places.items():
            held = [place.balance(asset) - self._kept.get((place.venue, asset), 0) for place in places]
            mean = sum(held) // len(held)
            poorest = min(range(len(held)), key=held.__getitem__)
            richest = max(range(len(held)), key=held.__getitem__)
            amount = min(mean - held[poorest], held[richest] - mean)
            if amount > 0 and held[poorest] < self.params.low * mean:
                source = places[richest]
                if source.withdrawals_open(asset):
                    source.transfer(places[poorest], asset, amount)


class BasisParams(PairsParams):
    """Keys of an agent of kind "basis-arbitrageur"; `instrument` is the spot market, `other` the perpetual."""

    kind: Literal["basis-arbitrageur"]
    margin: bool = Field(True, description="its account must be a unified margin account")
    max_position: Positive = Field(description="quote units of perpetual it holds at most of each pair")
    exit: Annotated[float, Field(gt=-1, lt=1)] = Field(
        0.0, description="least gain, after taker fees, at which it closes a position it has"
    )
    margin_level: Positive = Field(2.0, description="below this margin level (uniMMR) it only closes positions")

    @model_validator(mode="after")
    def _on_margin(self) -> Self:
        if not self.margin:
            raise ValueError("margin: false leaves nothing to hold a perpetual with; it must be true")
        if self.exit > self.threshold:
            raise ValueError(f"exit ({self.exit:g}) must not be above threshold ({self.threshold:g})")
        return self


class BasisArbitrageur(PairTrader):
    """Buys the perpetual and sells spot when the perpetual is cheap, and the other way round when it is dear.

    From one margin account, so spot it does not hold is borrowed. Positions that the exchange takes off it (ADL) show
    in its account state, and the spot leg left alone is evened out on the better of the two books.

    Bias: counts on no funding, to come or to pay; stops at one margin level for all pairs.
    """

    kind = "basis-arbitrageur"
    Params = BasisParams
    params: BasisParams

    def __init__(self, params: BasisParams, context: Context) -> None:
        super().__init__(params, context)
        self._account_ns = -1
        bases = [pair.first.spec.base for pair in self._pairs]
        self._shared = {base for base in bases if bases.count(base) > 1}
        for pair in self._pairs:
            spot, perp = pair.first.spec, pair.second.spec
            held = params.balances.get(spot.base, 0.0) - params.debts.get(spot.base, 0.0)
            pair.first.start = int(held / float(spot.base_quantum))
            pair.second.start = round(params.contracts.get(perp.name, 0.0) / perp.lot) * perp.base_per_lot

    def _check_pair(self, first: InstrumentSpec, second: InstrumentSpec) -> None:
        if (first.kind, second.kind) != ("spot", "perpetual"):
            raise InputError(
                f"pairs: '{first.name}' ({first.kind}) and '{second.name}' ({second.kind}); wanted are a spot market "
                "and its perpetual, in this order"
            )
        if first.venue != second.venue:
            raise InputError(
                f"pairs: '{first.name}' is on {first.venue} and '{second.name}' on {second.venue}; one account "
                "holds both"
            )

    def _look(self) -> None:
        now = self.clock.now
        account = self.context.gateway.account()
        growing = True
        if account is not None:
            if account.in_liquidation:
                return
            level = account.margin_level_ppm
            growing = level is None or level >= self.params.margin_level * 1e6
            if account.time_ns != self._account_ns:
                self._account_ns = account.time_ns
                self._reconcile(account.contracts, account.net)
        least = 1 + self.params.threshold
        close = 1 + self.params.exit
        for pair in self._pairs:
            spot, perp = pair.first, pair.second
            here, there = spot.view(spot.instrument_id), perp.view(perp.instrument_id)
            if here is None or there is None or pair.waiting or now < pair.not_before:
                continue
            if spot.net + perp.net and pair.imbalance():
                self._even_out(pair, pair.legs if growing else self._closing(pair), limited=False)
                continue
            held = perp.start + perp.net
            if here.best_bid is not None and there.best_ask is not None:
                gain = here.best_bid * pair.back  # sell spot, buy perpetual
                if gain >= there.best_ask * (close if held < 0 else least) and (growing or held < 0):
                    self._trade(pair, perp, spot, self._room(perp, held, there.best_ask), ())
                    continue
            if here.best_ask is not None and there.best_bid is not None:
                gain = there.best_bid * pair.there
                if gain >= here.best_ask * (close if held > 0 else least) and (growing or held > 0):
                    self._trade(pair, spot, perp, self._room(perp, -held, there.best_bid), ())

    def _room(self, perp: Leg, held: int, price_ticks: int) -> int:
        """Base quanta it may add to a position `held` in the direction of the trade; closing goes to flat at most."""
        if held < 0:
            return -held
        most = perp.spec.lots(self.params.max_position, price_ticks) * perp.spec.base_per_lot
        return max(0, most - held)

    def _closing(self, pair: PairState) -> tuple[Leg, ...]:
        """The legs on which evening out makes a position smaller."""
        excess = pair.imbalance()
        return tuple(leg for leg in pair.legs if (leg.start + leg.net) * excess > 0)

    def _reconcile(self, contracts: Mapping[int, int], net: Mapping[str, int]) -> None:
        """What the exchange says of the own positions counts: it may have closed (ADL) or sold some of them.

        Only when the state is newer than every own trade and nothing is under way. A base asset that several pairs
        share tells nothing of one of them.
        """
        if self._account_ns <= self._traded_ns:
            return
        for pair in self._pairs:
            if not pair.waiting:
                spot, perp = pair.legs
                lots = contracts.get(perp.instrument_id, 0)
                perp.net = lots * perp.spec.base_per_lot - perp.start
                if spot.spec.base not in self._shared:
                    spot.net = net.get(spot.spec.base, 0) - spot.start


_NO_LIMIT = 1 << 62
