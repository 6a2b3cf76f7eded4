"""Build venues, their books and how these are marked, and everything that assets can leave a venue by."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from lobsim.credit import AssetTerms, Auction, ContractBook, ContractTerms, CrossMargin, Flow, Ledger, SalePolicy, Tier
from lobsim.scenario.markets import Contract, Instrument, Mark, Venue
from lobsim.scenario.windows import ConverterWindow, IssuerWindow, MintBurnWindow
from lobsim.scenario.wiring import RATE_UNITS, ppm
from lobsim.sim.tapes import FIRST_FOREIGN_ID
from lobsim.sim.window import Figure, Request
from lobsim.venue.contract_liquidator import AT_MARKET, FUND_LIMIT, NEVER
from lobsim.venue.exchange import Exchange, FeeModel
from lobsim.venue.funding import FundingTerms
from lobsim.venue.guards import CircuitBreaker, MarketGuard
from lobsim.venue.issuer import Converter, Issuer, WindowTerms
from lobsim.venue.market import Market
from lobsim.venue.marks import (
    AverageLastMark,
    ConstantMark,
    ConversionMark,
    IndexMark,
    LastPriceMark,
    MarkPriceModel,
    MidPriceMark,
    PerpetualMark,
    Rate,
    RedemptionFloorMark,
    ReferenceMark,
)
from lobsim.venue.mint_burn import MintBurn
from lobsim.venue.transfers import TransferDesk

if TYPE_CHECKING:
    from lobsim.scenario.build import Simulation


def build_exchange(sim: Simulation, name: str, venue: Venue) -> Exchange:
    """A venue with its pool of lendable assets, fee account, insurance fund and liquidation policies."""
    ledger = sim.ledger
    pool = sim.account(f"{name}.pool", "system", overdraft=True)
    fees = sim.account(f"{name}.fees", "system")
    insurance = sim.account(f"{name}.insurance", "system")
    for asset, amount in venue.insurance.items():
        sim.issue(insurance, asset, amount)
    terms = {
        ledger.asset(asset): AssetTerms(
            ppm(table.collateral_ratio), ppm(table.maintenance_rate), ppm(table.interest_rate)
        )
        for asset, table in sim.file.assets.items()
    }
    margin = CrossMargin(ledger, pool, ledger.asset(sim.file.scenario.numeraire), terms)
    sale = venue.account_liquidation
    auction = None if sale.auction is None else Auction(ppm(sale.auction.floor), sale.auction.duration)
    policy = SalePolicy(
        "slices", ppm(sale.fraction), sale.pause, ppm(sale.target_level), parallel=sale.parallel, auction=auction
    )
    contracts = venue.contract_liquidation
    order = None if venue.liquidation_order is None else [ledger.asset(asset) for asset in venue.liquidation_order]
    return Exchange(
        name,
        sim.clock,
        ledger,
        margin,
        sim.proxy,
        fee_account=fees,
        insurance_account=insurance,
        outside_account=sim.account(f"{name}.outside", "system", overdraft=True),
        fees=FeeModel(ppm(venue.maker_fee_bps / 10_000), ppm(venue.taker_fee_bps / 10_000)),
        sale_policy=policy if sale.enabled else None,
        first_order_id=FIRST_FOREIGN_ID if sim.file.tapes else 1,  # a tape's orders keep their recorded ids
        contract_policy=_CONTRACT_POLICIES[contracts.limit] if contracts.enabled else NEVER,
        liquidation_order=order,
    )


_CONTRACT_POLICIES = {"fund": FUND_LIMIT, "none": AT_MARKET}


def build_market(sim: Simulation, number: int, name: str, table: Instrument, exchange: Exchange) -> Market:
    """An instrument on its venue; marked by its last trade until `build_marks` knows all books."""
    venue = sim.file.venues[exchange.name]
    guard = None
    if venue.price_band is not None or venue.halt is not None:
        breaker = None
        if venue.halt is not None:
            breaker = CircuitBreaker(ppm(venue.halt.fall), venue.halt.window, venue.halt.pause)
        guard = MarketGuard(None if venue.price_band is None else ppm(venue.price_band), breaker)
    contract = _contract(sim, name, table) if table.kind == "perpetual" else None
    tick, lot = Decimal(table.tick), Decimal(table.lot)
    return Market(
        number, name, table.base, table.quote, tick, lot, sim.ledger, LastPriceMark(), contract=contract, guard=guard
    )


def _contract(sim: Simulation, name: str, table: Instrument) -> ContractBook:
    ledger = sim.ledger
    terms = table.contract or Contract()
    quote = ledger.asset(table.quote)
    quantum = float(ledger.quantum(quote))
    insurance = sim.account(f"{name}.insurance", "system")
    if terms.insurance:
        sim.issue(insurance, table.quote, terms.insurance)
    tiers = tuple(Tier(int(tier.above / quantum), ppm(tier.rate)) for tier in terms.tiers)
    over, under = (Decimal(table.tick) * Decimal(table.lot) / ledger.quantum(quote)).as_integer_ratio()
    assert under == 1, "refused by the checks of the file"
    credit_terms = ContractTerms(tiers, liquidation_fee_ppm=ppm(terms.liquidation_fee))
    return ContractBook(name, ledger, quote, credit_terms, over, insurance)


def funding_terms(sim: Simulation, table: Instrument) -> FundingTerms | None:
    """When and how the holders of a perpetual pay each other: at multiples of the interval, by the clock of the day."""
    if table.kind != "perpetual":
        return None
    terms = table.contract or Contract()
    interval = terms.funding_interval
    quantum = float(sim.ledger.quantum(sim.ledger.asset(table.quote)))
    return FundingTerms(
        interval_ns=interval,
        first_ns=interval - sim.start_ns_of_day % interval,
        impact_value=int(terms.impact_notional / quantum),
        interest_ppb=round(terms.interest * 10**9),
    )


def build_mark(sim: Simulation, mark: Mark, tick: Decimal) -> MarkPriceModel:
    """The mark model that a table describes, for a market (or a lender's oracle) that counts in `tick`."""
    if mark.model == "last":
        return LastPriceMark()
    if mark.model == "mid":
        return MidPriceMark()
    if mark.model == "last-average":
        return AverageLastMark(mark.window)
    if mark.model == "constant":
        assert mark.price is not None
        return ConstantMark(max(1, round(mark.price / tick)))
    if mark.model == "reference":
        assert mark.reference is not None
        return ReferenceMark(sim.references[mark.reference].in_ticks(float(tick)))
    if mark.model in ("index", "perpetual"):
        index = IndexMark(tick, outlier_ppm=ppm(mark.outlier), stale_ns=mark.stale)
        for source in mark.sources or ():
            index.add_source(sim.market(source)[1])
        if mark.reference is not None:
            index.add_outside(sim.references[mark.reference].in_ticks(float(tick)))
        return PerpetualMark(index, mark.window) if mark.model == "perpetual" else index
    assert mark.reference is not None
    underlying = None if mark.underlying is None else sim.market(mark.underlying)[1]
    conversion = ConversionMark(tick, reference_rate(sim, mark.reference), underlying)
    if mark.model == "conversion":
        return conversion
    return RedemptionFloorMark(AverageLastMark(mark.window), conversion)


def reference_rate(sim: Simulation, name: str) -> Rate:
    """A reference as an exchange rate of two integers, to a billionth."""
    reference = sim.references[name]
    return lambda: (max(1, round(reference.price * RATE_UNITS)), RATE_UNITS)


def build_desk(sim: Simulation) -> TransferDesk | None:
    """Who carries assets between venues; None where there is nowhere to go."""
    file = sim.file
    if len(file.venues) == 1 and not file.windows:
        return None
    feed = sim.withdrawals
    desk = TransferDesk(sim.clock, sim.ledger, sim.proxy, delay_ns=file.transfers.delay)
    desk.publish = lambda state: feed.publish(sim.clock.now, dict(state))
    for name, exchange in sim.exchanges.items():
        desk.add_venue(name, exchange)
    sim.kinds[desk.account] = "system"
    return desk


class BuiltWindow:
    """A window with the actions agents may ask it for, the figures it tells everyone, and what is outstanding of it.

    supplies: by asset that it issues, quanta in existence at the moment.
    """

    def __init__(
        self,
        window: Issuer | Converter | MintBurn,
        actions: dict[str, Request],
        figures: dict[str, Figure],
        supplies: dict[str, Callable[[], int]],
    ) -> None:
        self.window = window
        self.actions = actions
        self.figures = figures
        self.supplies = supplies

    def is_open(self) -> bool:
        """Whether it answers at all."""
        return self.window.open


def _reserve(sim: Simulation, name: str, asset: str, amount: float) -> int:
    """The account that a window pays out of."""
    account = sim.account(f"{name}.reserve", "system")
    if amount:
        sim.issue(account, asset, amount)
    return account


def _window_terms(sim: Simulation, table: IssuerWindow | ConverterWindow, asset: str, fee_ppm: int) -> WindowTerms:
    """The same cap and delay both ways; the cap counts the issued asset."""
    cap = int(table.cap / float(sim.ledger.quantum(sim.ledger.asset(asset))))
    return WindowTerms(fee_ppm, cap, cap, table.interval, table.delay, table.delay)


def build_window(sim: Simulation, name: str, table: IssuerWindow | ConverterWindow | MintBurnWindow) -> BuiltWindow:
    """An issuer, converter or mint-and-burn market; a disabled one is closed."""
    ledger = sim.ledger
    window: Issuer | Converter | MintBurn
    supplies: dict[str, Callable[[], int]] = {}
    if isinstance(table, MintBurnWindow):
        market = sim.market(table.instrument)[1]
        oracle = build_mark(sim, table.oracle, market.tick)
        tick = Decimal(market.tick)

        def price() -> tuple[int, int]:
            ticks = oracle.update(market.book, sim.clock.now) or 1
            return (Decimal(ticks) * tick).as_integer_ratio()

        stable = ledger.asset(table.stable)
        window = mint_burn = MintBurn(
            name,
            sim.clock,
            ledger,
            sim.proxy,
            stable=stable,
            volatile=ledger.asset(table.coin),
            price=price,
            capacity=int(table.pool / float(ledger.quantum(stable))),
            spread_floor_ppm=ppm(table.spread),
            recovery_ns=table.recovery,
            delay_ns=table.delay,
        )
        figures: dict[str, Figure] = {"quote_ppm": mint_burn.quote_ppm}
        actions: dict[str, Request] = {"burn": mint_burn.burn_stable, "swap_back": mint_burn.burn_volatile}
        supplies[table.stable] = _supply(ledger, stable, table.stable_supply)
        supplies[table.coin] = _supply(ledger, ledger.asset(table.coin), table.coin_supply)
    elif isinstance(table, IssuerWindow):
        asset = ledger.asset(table.asset)
        window = issuer = Issuer(
            name,
            sim.clock,
            ledger,
            sim.proxy,
            asset=asset,
            reserve_asset=ledger.asset(table.reserve_asset),
            reserve=_reserve(sim, name, table.reserve_asset, table.reserve),
            terms=_window_terms(sim, table, table.asset, ppm(table.fee)),
        )
        actions = {"mint": issuer.mint, "redeem": issuer.redeem}
        supply = supplies[table.asset] = _supply(ledger, asset, table.supply)
        figures = {"fee_ppm": lambda _: issuer.terms.fee_ppm, "supply": lambda _: supply()}
    else:
        wrapped = ledger.asset(table.wrapped)
        window = converter = Converter(
            name,
            sim.clock,
            ledger,
            sim.proxy,
            wrapped=wrapped,
            underlying=ledger.asset(table.underlying),
            reserve=_reserve(sim, name, table.underlying, table.reserve),
            rate=reference_rate(sim, table.rate),
            terms=_window_terms(sim, table, table.wrapped, 0),
        )
        actions = {"wrap": converter.wrap, "unwrap": converter.unwrap}
        figures = {"fee_ppm": lambda _: converter.terms.fee_ppm}
    if not table.enabled:
        window.halt()
    return BuiltWindow(window, actions, figures, supplies)


def _supply(ledger: Ledger, asset: int, given: float | None) -> Callable[[], int]:
    """Quanta outstanding: those before the run, `given` or in it, more what was minted and less what was redeemed."""
    if given is None:
        return lambda: ledger.issued(asset) - ledger.burned(asset)
    before = int(given / float(ledger.quantum(asset)))
    return lambda: before + ledger.issued(asset, Flow.MINT) - ledger.burned(asset, Flow.REDEEM)
