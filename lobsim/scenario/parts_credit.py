"""Build who owes: lenders and their loans, populations of margin accounts and of isolated perpetual positions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, exp
from typing import TYPE_CHECKING

from lobsim.agents.retail import draw_population
from lobsim.agents.whales import draw_accounts
from lobsim.credit import Flow, LoanBook, LoanTerms, MarginStatus
from lobsim.errors import ScenarioError
from lobsim.scenario.parts_markets import build_mark
from lobsim.scenario.schema import Lender as LenderTable
from lobsim.scenario.schema import Positions, Whales
from lobsim.scenario.wiring import PPM, ppm
from lobsim.sim.feed import Feed
from lobsim.venue.lender import Lender

if TYPE_CHECKING:
    from lobsim.scenario.build import Simulation
    from lobsim.venue.exchange import Exchange


def build_lender(sim: Simulation, name: str, table: LenderTable) -> Lender:
    """A lender with its population of loans."""
    ledger = sim.ledger
    _, market = sim.market(table.instrument)
    cash = sim.account(f"{name}.cash", "system", overdraft=True)
    insurance = sim.account(f"{name}.insurance", "system")
    quote = ledger.asset_name(market.quote)
    if table.insurance:
        sim.issue(insurance, quote, table.insurance)
    terms = LoanTerms(
        ppm(table.max_ltv),
        ppm(table.margin_call_ltv),
        ppm(table.liquidation_ltv),
        close_factor_ppm=ppm(table.close_factor),
        liquidation_bonus_ppm=ppm(table.bonus),
        interest_ppm=ppm(table.interest_rate),
    )
    loans = LoanBook(name, ledger, market.base, market.quote, terms, cash, insurance)
    sim.kinds[loans.custody] = "system"
    breached: Feed[tuple[int, ...]] = Feed()
    called: Feed[tuple[int, ...]] = Feed()
    sim.feeds.breached[name] = breached
    sim.feeds.called[name] = called
    lender = Lender(name, sim.clock, sim.proxy, ledger, loans, market, build_mark(sim, table.oracle, market.tick))
    lender.publish = lambda loan_ids: breached.publish(sim.clock.now, loan_ids)
    if sim.borrower(name) is not None:
        lender.publish_called = lambda loan_ids: called.publish(sim.clock.now, loan_ids)
    _open_loans(sim, name, table, lender)
    return lender


def _open_loans(sim: Simulation, name: str, table: LenderTable, lender: Lender) -> None:
    """Loans of one holder each, or all of the agent that manages them."""
    population = table.loans
    stream = sim.streams.stream(f"loans/{name}")
    sizes = [exp(population.size_sigma * stream.normal()) for _ in range(population.count)]
    scale = population.collateral / sum(sizes)
    shares = stream.generator("ltv").beta(*population.ltv_shape, size=population.count).tolist()
    market = lender.market
    assert market is not None
    ticks = market.book.tick_grid.floor(sim.start_price(table.instrument))
    mark = (ticks * market.quote_per_tick_lot, market.base_per_lot)
    base, quote = sim.ledger.asset_name(market.base), market.quote
    holder = sim.borrower(name)
    for number in range(population.count):
        account = holder or sim.account(f"{name}-{number + 1}", "borrower")
        ltv = population.ltv_low + (population.ltv_high - population.ltv_low) * shares[number]
        collateral = sim.issue(account, base, sizes[number] * scale)
        principal = collateral * mark[0] // mark[1] * ppm(ltv) // PPM
        if principal:
            lender.loans.open(account, collateral, principal, mark)
            sim.ledger.burn(account, quote, principal, Flow.WITHDRAW)  # spent elsewhere


def open_positions(sim: Simulation, name: str, table: Positions) -> None:
    """A population's isolated positions, all on one account: its own, or that of the agent which manages them.

    The world outside takes what does not net out.
    """
    exchange, market = sim.market(table.instrument)
    contract = market.contract
    assert contract is not None, "refused by the checks of the file"
    price = sim.start_price(table.instrument)
    account = sim.position_holder(name) or sim.account(name, "perpetual positions")
    outside = sim.ledger.account(f"{exchange.name}.outside")
    stream = sim.streams.stream(f"positions/{name}")
    lot, quote = float(market.lot), market.quote
    maintenance = contract.terms.tiers[0].maintenance_ppm / PPM
    for position in draw_population(table, price, stream, maintenance):
        lots = round(abs(position.qty) / lot)
        ticks = max(1, round(price * (1 + position.entry_offset) / float(market.tick)))
        margin = ceil(lots * ticks * contract.unit / Fraction(position.leverage))
        if lots:
            sim.ledger.issue(account, quote, margin, Flow.DEPOSIT)
            contract.open_isolated(account, lots if position.qty > 0 else -lots, ticks, margin, outside)


def open_whales(sim: Simulation, name: str, table: Whales) -> None:
    """A population of margin accounts that nobody manages."""
    exchange = sim.exchanges[table.venue] if table.venue else next(iter(sim.exchanges.values()))
    if not table.value:
        return
    named = dict.fromkeys((*table.mix, *table.borrowed_into, *table.debts))
    prices = {asset: sim.asset_value(asset) for asset in named}
    marks = sim.start_marks(exchange)
    for number, whale in enumerate(draw_accounts(table, prices, sim.streams.stream(f"whales/{name}")), start=1):
        account = sim.account(f"{name}-{number}", "whale")
        exchange.margin.enroll(account)
        for asset, amount in whale.holdings.items():
            sim.issue(account, asset, amount)
        for asset, amount in whale.debts.items():
            owe(sim, exchange, account, asset, amount)
        if exchange.margin.status(account, marks) == MarginStatus.LIQUIDATION:
            refuse_doomed(sim, exchange, account, f"leverage_high: {table.leverage_high} can put")


def owe(sim: Simulation, exchange: Exchange, account: int, asset: str, amount: float) -> None:
    """Let a margin account have borrowed `amount` before the run, and spent it on what it holds."""
    number = sim.ledger.asset(asset)
    quanta = int(amount / float(sim.ledger.quantum(number)))
    if quanta:
        exchange.margin.borrow(account, number, quanta)
        sim.ledger.burn(account, number, quanta, Flow.WITHDRAW)


def refuse_doomed(sim: Simulation, exchange: Exchange, account: int, what: str) -> None:
    """A margin account that the exchange would liquidate before anything has happened is no starting point."""
    view = exchange.margin.view(account, sim.start_marks(exchange))
    if view.status == MarginStatus.LIQUIDATION:
        level = "below 0" if view.margin_level_ppm is None else f"{view.margin_level_ppm / PPM:.3f}"
        raise ScenarioError(
            f"{what} the account at a margin level of {level} when the run begins, "
            "where the exchange would liquidate it at once"
        )
