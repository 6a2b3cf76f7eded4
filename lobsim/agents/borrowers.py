"""Borrowers who answer a margin call, each in its own way and time, or not at all."""

from __future__ import annotations

from enum import IntEnum, unique
from math import ceil
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lobsim.agents.base import AgentParams, Context, Duration, Name, Positive, PositiveDuration, Share
from lobsim.agents.members import WatchingCrowd
from lobsim.events import Purpose, Side
from lobsim.units import NS_PER_MINUTE, NS_PER_S


class BorrowerParams(AgentParams):
    """Keys of an agent of kind "borrowers". Its loans are those that the lender has given to it before the run."""

    kind: Literal["borrowers"]
    lender: Name = Field(description="whose loans they have: collateral is the instrument's base, debt its quote asset")
    top_up: Share = Field(0.3, description="share of them that answers by pledging more collateral")
    repay: Share = Field(0.3, description="share that sells coins it holds elsewhere and repays; the others default")
    delay: Duration = Field(10 * NS_PER_MINUTE, description="mean time to the answer (exponential)")
    target_ltv: Annotated[float, Field(gt=0, lt=1)] = Field(0.75, description="LTV that the answer restores")
    means: Annotated[float, Field(gt=0, le=10)] = Field(
        0.5, description="worth of what one can bring in all, as a share of its first debt"
    )
    order_qty: Positive = Field(description="base units one sells in an order at most")
    pause: PositiveDuration = Field(5 * NS_PER_S, description="mean time between two orders of one (exponential)")
    look: PositiveDuration = Field(NS_PER_S, description="how often they look for margin calls")

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if self.top_up + self.repay > 1:
            raise ValueError(f"top_up ({self.top_up}) and repay ({self.repay}) are shares: together at most 1")
        return self


@unique
class _Answer(IntEnum):
    DEFAULT = 0
    TOP_UP = 1
    REPAY = 2


class _Borrower:
    __slots__ = ("answer", "cash", "is_busy", "left", "loan_id")

    def __init__(self, loan_id: int, answer: _Answer, left: float) -> None:
        self.loan_id = loan_id
        self.answer = answer
        self.left = left  # debt quanta that it can still bring
        self.cash = 0
        self.is_busy = False


class Borrowers(WatchingCrowd):
    """A margin call reaches them late; they answer later still, if the loan is then still there and still unsafe.

    Bias: how one answers is settled before the run and does not depend on how deep the fall is; coins from elsewhere
    are at hand at once; they know the lender's mark and their own loan at once.
    """

    kind = "borrowers"
    Params = BorrowerParams
    params: BorrowerParams

    def __init__(self, params: BorrowerParams, context: Context) -> None:
        super().__init__(params, context, params.look)
        self._lender = context.lender(params.lender)
        self._lender.on_answer = self._on_answer
        self._borrowers: list[_Borrower] = []
        self._by_loan: dict[int, int] = {}
        self._most = max(1, int(params.order_qty / self.spec.lot))

    def start(self) -> None:
        """See which loans there are, settle who answers how, begin to look."""
        params = self.params
        for loan in self._lender.loans():
            draw = self.stream.uniform()
            answer = _Answer.DEFAULT
            if draw < params.top_up + params.repay:
                answer = _Answer.TOP_UP if draw < params.top_up else _Answer.REPAY
            self._by_loan[loan.loan_id] = len(self._borrowers)
            self._borrowers.append(_Borrower(loan.loan_id, answer, params.means * loan.debt))
        if self._borrowers:
            super().start()

    def on_look(self) -> None:
        """Let those who are called, and will answer, begin to count their delay."""
        for loans in (self._lender.called(), self._lender.breached()):
            for loan_id in loans:
                number = self._by_loan.get(loan_id)
                if number is None:
                    continue
                borrower = self._borrowers[number]
                if borrower.answer and not borrower.is_busy and borrower.left >= 1:
                    borrower.is_busy = True
                    self.call(number, int(self.params.delay * self.stream.exponential()))

    def on_call(self, number: int) -> None:
        """Answer, or go on selling for the answer."""
        borrower = self._borrowers[number]
        loan, mark = self._lender.loan(borrower.loan_id), self._lender.mark()
        if loan is None or mark is None:
            borrower.is_busy = False
            return
        value = mark[0] / mark[1]
        missing = loan.debt - self.params.target_ltv * loan.collateral * value
        if missing <= 0:
            borrower.is_busy = False
        elif borrower.answer == _Answer.TOP_UP:
            worth = min(missing / self.params.target_ltv, borrower.left)
            borrower.left -= worth
            self._lender.top_up(borrower.loan_id, ceil(worth / value))
        else:
            self._raise_cash(number, borrower, missing)

    def _raise_cash(self, number: int, borrower: _Borrower, missing: float) -> None:
        """Sell a piece; repay once there is enough, or no more to bring."""
        spec = self.spec
        view = self.context.crowd.view(spec.instrument_id)
        bid = None if view is None else view.best_bid
        wanted = min(missing - borrower.cash, borrower.left)
        if wanted > 0 and bid is not None:
            lots = min(self._most, ceil(wanted / (bid * spec.quote_per_tick_lot)))
            fill = self.context.crowd.take(spec.instrument_id, Side.SELL, lots, None, Purpose.MARGIN_CALL)
            cash = fill.value * spec.quote_per_tick_lot
            borrower.cash += cash
            borrower.left -= max(
                cash, fill.lots * bid * spec.quote_per_tick_lot
            )  # sold for less, the coins are gone too
            wanted -= cash
        if borrower.cash and (wanted <= 0 or borrower.left < 1):
            self._lender.repay(borrower.loan_id, borrower.cash)
        elif borrower.left < 1:
            borrower.is_busy = False
        else:
            self.call(number, 1 + int(self.params.pause * self.stream.exponential()))

    def _on_answer(self, action: str, loan_id: int, amount: int) -> None:
        borrower = self._borrowers[self._by_loan[loan_id]]
        borrower.is_busy = False
        if action == "repay":
            borrower.cash -= amount
