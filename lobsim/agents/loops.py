"""Holders of loops: collateral pledged for a loan that bought more of the same collateral, several times over.

What a loop is, how large it grows and what wipes it out: `lobsim.credit.loops`. Here is only when its holder unwinds
it, and how: round by round, since no more collateral can be taken out than the lender's maximum LTV lets go.
"""

from __future__ import annotations

from enum import IntEnum, unique
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from lobsim.agents.base import AgentParams, Context, Duration, Name, Positive, PositiveDuration
from lobsim.agents.members import RecentHigh, WatchingCrowd, spread
from lobsim.events import Purpose, Side, TimeInForce
from lobsim.sim.clock import EventClass, session_key
from lobsim.units import NS_PER_MINUTE, NS_PER_S

_PPM = 1_000_000
_SLACK = 1e-5  # share of the debt kept back from a withdrawal: interest goes on while the message travels

_Fall = Annotated[float, Field(gt=0, lt=1)]
_Sigma = Annotated[float, Field(ge=0, le=3)]


class LoopParams(AgentParams):
    """Keys of an agent of kind "loopers". Its loans are those that the lender has given to it before the run."""

    kind: Literal["loopers"]
    lender: Name = Field(description="whose loans they hold: collateral is the instrument's base, debt its quote asset")
    watches: tuple[Name, ...] = Field((), description="outside values whose fall frightens them")
    window: PositiveDuration = Field(15 * NS_PER_MINUTE, description="time over which such a fall is measured")
    tolerance: _Fall | None = Field(0.08, description="fall from the window's high that one bears (median); or none")
    tolerance_sigma: _Sigma = Field(0.3, description="log-standard-deviation of it between holders")
    discount: _Fall | None = Field(
        0.02, description="how far under par the last price of the collateral may be for one (median); or none"
    )
    discount_sigma: _Sigma = Field(0.3, description="log-standard-deviation of it between holders")
    par: Positive = Field(1.0, description="quote units that one unit of collateral should cost")
    share: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="share of the debt that the frightened repay")
    answer_calls: bool = Field(
        True, description="a margin call makes them repay with collateral, at once since nothing can be taken out first"
    )
    target_ltv: _Fall = Field(0.75, description="LTV, as the lender sees it, to which the called come down")
    delay: Duration = Field(NS_PER_MINUTE, description="mean time to react; each draws its own (exponential)")
    order_qty: Positive = Field(description="base units one sells in an order at most")
    pause: PositiveDuration = Field(5 * NS_PER_S, description="mean time between two orders of one (exponential)")
    retry: PositiveDuration = Field(NS_PER_MINUTE, description="time until one tries again what could not be done")
    flash: bool = Field(False, description="sell first and repay with it at once, as a flash loan allows")
    exit: bool = Field(False, description="whoever has repaid everything sells the collateral it gets back as well")
    look: PositiveDuration = Field(NS_PER_S, description="how often they look at prices and margin calls")

    def references(self) -> tuple[str, ...]:
        """What they watch."""
        return self.watches


@unique
class _Stage(IntEnum):
    IDLE = 0
    DUE = 1  # the next round begins when its delay is over
    SELLING = 2
    ASKED = 3  # a message to the lender is under way
    EXITING = 4  # nothing owed any more, selling what is left


class _Holder:
    __slots__ = ("called", "calm_ns", "cash", "coins", "delay_ns", "goal", "loan_id", "pledged", "stage")

    def __init__(self, loan_id: int, delay_ns: int) -> None:
        self.loan_id = loan_id
        self.delay_ns = delay_ns
        self.stage = _Stage.IDLE
        self.called = False
        self.goal: int | None = None  # debt it wants to come down to
        self.coins = 0  # collateral quanta in hand, below 0 while a flash sale is not covered yet
        self.cash = 0
        self.pledged = 0
        self.calm_ns = 0


class Loopers(WatchingCrowd):
    """Each unwinds its loop once an outside value, the collateral's own price or its lender alarms it.

    A round: take out what the maximum LTV lets go, sell it at market in pieces, repay with the proceeds. It ends when
    the frightened have repaid their share, when a called loan is at its target, or when the loan is gone. With `flash`
    (and when called) they sell before they have the coins, no lower than where the sale pays for its own release.

    Bias: they know the lender's mark and their own loan at once, coins reach the exchange at once, fees are paid from
    elsewhere, nobody loops anew, and a discount frightens them by the last trade, however small it was.
    """

    kind = "loopers"
    Params = LoopParams
    params: LoopParams

    def __init__(self, params: LoopParams, context: Context) -> None:
        super().__init__(params, context, params.look)
        self._lender = context.lender(params.lender)
        self._lender.on_answer = self._on_answer
        self._highs = [(name, RecentHigh(params.window)) for name in params.watches]
        self._holders: list[_Holder] = []
        self._by_loan: dict[int, int] = {}
        self._by_tolerance: list[tuple[float, int]] = []
        self._by_discount: list[tuple[float, int]] = []
        self._key = session_key(self.clock.seed, context.name)
        self._per_tick = self.spec.quote_per_tick_lot / self.spec.base_per_lot  # quote quanta per base quantum
        self._most = max(1, int(params.order_qty / self.spec.lot)) * self.spec.base_per_lot
        self._has_begun = False

    def start(self) -> None:
        """See which loans there are, give each holder its character, begin to look."""
        params, stream = self.params, self.stream
        loans = self._lender.loans()
        self._holders = [_Holder(loan.loan_id, int(params.delay * stream.exponential())) for loan in loans]
        self._by_loan = {loan.loan_id: number for number, loan in enumerate(loans)}
        self._by_tolerance = self._characters(len(loans), params.tolerance, params.tolerance_sigma)
        self._by_discount = self._characters(len(loans), params.discount, params.discount_sigma)
        if loans:
            super().start()

    def _characters(self, count: int, median: float | None, sigma: float) -> list[tuple[float, int]]:
        """What each bears, the most timid first; nobody minds what has no median."""
        draws = spread(self.stream, count, median or 1.0, sigma)
        return [] if median is None else sorted((draw, number) for number, draw in enumerate(draws))

    # --- what alarms them -------------------------------------------------------------------------------------------

    def on_look(self) -> None:
        """Alarm those whose tolerance is used up."""
        crowd = self.context.crowd
        now = self.clock.now
        fall = 0.0
        for name, high in self._highs:
            value = crowd.reference(name)
            if value is not None:
                fall = max(fall, high.fall(now, value))
        self._frighten(self._by_tolerance, fall)
        view = crowd.view(self.spec.instrument_id)
        if view is not None and view.last_price is not None:
            self._frighten(self._by_discount, 1 - view.last_price * self.spec.tick / self.params.par)
        if self.params.answer_calls:
            for loans in (self._lender.called(), self._lender.breached()):
                for loan_id in loans:
                    number = self._by_loan.get(loan_id)
                    if number is not None:
                        self._call_holder(number)

    def _call_holder(self, number: int) -> None:
        holder = self._holders[number]
        if holder.stage == _Stage.IDLE:
            self._alarm_holder(number, called=True)
        elif holder.stage == _Stage.DUE:
            holder.called = True  # whoever waits for the next round knows that it cannot take out anything

    def _frighten(self, order: list[tuple[float, int]], measure: float) -> None:
        now = self.clock.now
        for limit, number in order:
            if limit > measure:
                break
            holder = self._holders[number]
            if holder.stage == _Stage.IDLE and holder.calm_ns <= now:
                self._alarm_holder(number, called=False)

    def _alarm_holder(self, number: int, *, called: bool) -> None:
        holder = self._holders[number]
        holder.stage = _Stage.DUE
        holder.called = called
        holder.goal = None
        self.call(number, holder.delay_ns)

    # --- rounds -----------------------------------------------------------------------------------------------------

    def on_call(self, number: int) -> None:
        """Go on where the holder is."""
        holder = self._holders[number]
        if holder.stage == _Stage.DUE:
            self._round(number, holder)
        else:
            self._sell(number, holder)

    def _round(self, number: int, holder: _Holder) -> None:
        loan, mark, bid = self._lender.loan(holder.loan_id), self._lender.mark(), self._bid()
        if loan is None:
            self._finish(holder)  # somebody liquidated it
        elif holder.coins < 0:
            self._ask("withdraw", holder, -holder.coins)  # a flash sale is covered before anything else
        elif mark is None or bid is None:
            self._again(number, holder)  # nothing can be valued or sold now
        else:
            value = mark[0] / mark[1]
            wanted = self._wanted(holder, loan.debt, loan.collateral, value, bid)
            if wanted is None:
                self._finish(holder)
                return
            if not self._has_begun:
                self._has_begun = True
                self.context.note("loop_unwind_began", loan.debt, f"{self.spec.quote} quanta")
            carried = self._lender.terms.max_ltv_ppm / _PPM * value  # debt that a quantum of collateral may carry
            if self.params.flash or holder.called:
                is_done = self._flash(holder, loan.debt, loan.collateral, wanted, bid, carried)
            else:
                is_done = self._take_out(holder, loan.debt, loan.collateral, wanted, carried)
            if not is_done:
                self._again(number, holder)

    def _wanted(self, holder: _Holder, debt: int, collateral: int, value: float, bid: float) -> float | None:
        """Collateral quanta still to be sold at this bid; None when the goal is reached, or out of reach by selling."""
        if not holder.called:
            if holder.goal is None:
                holder.goal = int(debt * (1 - self.params.share))
            missing = float(debt - holder.goal - holder.cash)
            return missing / bid if missing > 0 else None
        safe = self.params.target_ltv * value
        missing = debt - safe * collateral
        return missing / (bid - safe) if missing > 0 and bid > safe else None

    def _take_out(self, holder: _Holder, debt: int, collateral: int, wanted: float, carried: float) -> bool:
        """Ask for whole lots, as many as are wanted and the lender lets go; False when it lets go of none."""
        lot = self.spec.base_per_lot
        qty = ceil(wanted / lot) * lot - holder.coins
        qty = min(qty, collateral - 1, collateral - ceil(debt * (1 + _SLACK) / carried))
        if qty + holder.coins < lot or qty < 1:
            return False
        self._ask("withdraw", holder, qty)
        return True

    def _flash(self, holder: _Holder, debt: int, collateral: int, wanted: float, bid: float, carried: float) -> bool:
        """Sell coins that the repayment will release: each must fetch more than the debt it may carry.

        A loan above the maximum has to sell enough to come below it at once, or nothing.
        """
        lot = self.spec.base_per_lot
        excess = max(0.0, debt * (1 + _SLACK) - carried * collateral)
        qty = 0.0
        if bid > carried:
            qty = max(min(wanted, self._most), 1.05 * excess / (bid - carried))
        lots = min(ceil(qty / lot), (collateral - 1) // lot)
        if not lots or lots * lot * (bid - carried) < excess:
            return False
        lowest = max(1, ceil((carried + excess / (lots * lot)) / self._per_tick))
        if not self._trade(holder, lots, lowest, TimeInForce.FOK if excess else TimeInForce.IOC):
            return False
        self._repay(holder)
        return True

    def _sell(self, number: int, holder: _Holder) -> None:
        """One piece at market; repay when all is sold, or when nobody bids and there is something to repay with."""
        lot = self.spec.base_per_lot
        got = self._trade(holder, min(holder.coins, self._most) // lot, None, TimeInForce.IOC)
        is_sold = holder.coins < lot
        if holder.stage == _Stage.EXITING:
            if is_sold:
                self._finish(holder)
            else:
                self.call(number, self._pause())
        elif holder.cash and (is_sold or not got):
            self._repay(holder)
        elif is_sold:
            self._finish(holder)
        else:
            self.call(number, self._pause())

    def _trade(self, holder: _Holder, lots: int, price: int | None, tif: TimeInForce) -> int:
        spec = self.spec
        fill = self.context.crowd.take(spec.instrument_id, Side.SELL, lots, price, Purpose.LOOP_UNWIND, tif)
        holder.coins -= fill.lots * spec.base_per_lot
        holder.cash += fill.value * spec.quote_per_tick_lot
        return fill.lots

    def _repay(self, holder: _Holder) -> None:
        loan = self._lender.loan(holder.loan_id)
        if loan is None:
            self._finish(holder)
            return
        holder.pledged = loan.collateral
        self._ask("repay", holder, holder.cash)

    def _ask(self, action: str, holder: _Holder, amount: int) -> None:
        holder.stage = _Stage.ASKED
        if action == "repay":
            self._lender.repay(holder.loan_id, amount)
        else:
            self._lender.withdraw(holder.loan_id, amount)

    def _on_answer(self, action: str, loan_id: int, amount: int) -> None:
        number = self._by_loan[loan_id]
        holder = self._holders[number]
        holder.stage = _Stage.DUE
        if action == "withdraw":
            holder.coins += amount
        else:
            holder.cash -= amount
            if amount and self._lender.loan(loan_id) is None:
                holder.coins += holder.pledged  # paid off: everything comes back
                if not self.params.exit:
                    self._finish(holder)
                    return
                holder.stage = _Stage.EXITING
        if holder.coins >= self.spec.base_per_lot and holder.stage == _Stage.DUE:
            holder.stage = _Stage.SELLING
        delay = self.params.order_latency + (0 if amount else self.params.retry)
        self.clock.call_at(self.clock.now + delay, EventClass.MESSAGE, self._key, self.on_call, number)

    # --- small things -----------------------------------------------------------------------------------------------

    def _bid(self) -> float | None:
        """Best bid in debt quanta per collateral quantum."""
        view = self.context.crowd.view(self.spec.instrument_id)
        return None if view is None or view.best_bid is None else view.best_bid * self._per_tick

    def _pause(self) -> int:
        return 1 + int(self.params.pause * self.stream.exponential())

    def _again(self, number: int, holder: _Holder) -> None:
        """Nothing can be done now."""
        holder.stage = _Stage.DUE
        self.call(number, self.params.retry)

    def _finish(self, holder: _Holder) -> None:
        holder.stage = _Stage.IDLE
        holder.called = False
        holder.calm_ns = self.clock.now + self.params.window
