"""Perpetual contracts: cash-settled positions that add up to nothing, whoever holds them.

Cross positions belong to ledger accounts and are backed by all that the account has (`lobsim.credit.clearing`);
isolated ones are backed by their own margin, which waits in ``<name>.custody``. A breached isolated position is taken
over by ``<name>.liquidation`` at its bankruptcy price, where the holder has lost exactly the margin. What that account
makes or loses by selling it is the insurance account's; what the insurance cannot carry is taken from the opposite
side at the bankruptcy price (`lobsim.credit.adl`).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from lobsim.credit import adl, funding
from lobsim.credit.clearing import Clearing, traded
from lobsim.credit.contract_terms import ContractTerms, FundSettlement, IsolatedView, Takeover
from lobsim.credit.errors import InsufficientFunds, LedgerError, PositionRefused
from lobsim.credit.interest import PPM
from lobsim.credit.isolated import FUNDING_UNIT, IsolatedPosition, IsolatedShelf
from lobsim.credit.ledger import Flow, Ledger
from lobsim.credit.marks import Marks
from lobsim.errors import CheckError
from lobsim.events import Side

if TYPE_CHECKING:
    from lobsim.credit.margin import CrossMargin


class ContractBook(Clearing):
    """One perpetual contract, quoted and settled in the ledger asset `quote`.

    `unit`: quote quanta per tick and lot. `insurance`: the contract's insurance account. Amounts are quote quanta,
    positions signed lots, prices ticks. `mark_price` (ticks) is set by the venue before margin is checked.
    """

    def __init__(self, name: str, ledger: Ledger, quote: int, terms: ContractTerms, unit: int, insurance: int) -> None:
        super().__init__(name, ledger, quote, terms, unit, insurance)
        self.isolated_positions = IsolatedShelf(unit, self.brackets)

    # --- isolated positions -----------------------------------------------------------------------------------------

    def open_isolated(
        self,
        account: int,
        lots: int,
        price_ticks: int,
        margin_quanta: int,
        opposite_account: int,
        margin: CrossMargin | None = None,
    ) -> int:
        """Open a position of signed `lots` with margin of its own; returns its id (1, 2, ...). O(log n).

        The margin leaves the account's free balance; the opposite side of the trade is added to `opposite_account`'s
        cross position. Raises `InsufficientFunds`, `PositionRefused` (too much leverage) and `LedgerError`.
        """
        if any(type(amount) is not int for amount in (lots, price_ticks, margin_quanta)) or not lots:
            raise LedgerError(f"{self.name}: {lots!r} lots at {price_ticks!r} with margin {margin_quanta!r}")
        if price_ticks < 1 or margin_quanta < 1:
            raise LedgerError(f"{self.name}: a price and a margin of at least 1, not {price_ticks}, {margin_quanta}")
        value = lots * price_ticks * self.unit
        most = self.terms.max_leverage
        if most is not None and abs(value) > most * margin_quanta:
            raise PositionRefused(
                f"{self.name}: a position of {abs(value)} quanta on a margin of {margin_quanta} has a leverage of"
                f" {abs(value) / margin_quanta:.2f}, above the most of {most}"
            )
        ledger = self.ledger
        needed = margin_quanta
        if account == opposite_account:  # it may have to pay for its other side as well
            needed += max(0, -traded(*self.position(account), -lots, -value)[2])
        if ledger.free(account, self.quote) < needed:
            raise InsufficientFunds(
                f"{ledger.account_name(account)} has {ledger.free(account, self.quote)} free quanta of"
                f" {ledger.asset_name(self.quote)}, a position in {self.name} takes {needed}"
            )
        self._opposite(opposite_account, -lots, -value, margin)
        ledger.transfer(account, self.custody, self.quote, margin_quanta, Flow.PLEDGE)
        self._age += 1
        shelf = self.isolated_positions
        return shelf.open(account, self._age, lots, value, margin_quanta, self.funding_index).position_id

    def close_isolated(
        self,
        position_id: int,
        lots: int,
        price_ticks: int,
        opposite_account: int,
        margin: CrossMargin | None = None,
    ) -> int:
        """Close `lots` (a count of at most what there is) at a price; returns the quanta that came back, P&L included.

        The margin's share comes back (rounded down unless all is closed). A loss beyond the whole margin is the
        account's own: it raises `InsufficientFunds` when the account cannot pay (then only `take_over` is left).
        """
        position = self._live(position_id)
        if type(lots) is not int or not 1 <= lots <= abs(position.lots) or type(price_ticks) is not int:
            raise LedgerError(f"{self.name}: cannot close {lots!r} of {position.lots} lots at {price_ticks!r}")
        if price_ticks < 1:
            raise LedgerError(f"{self.name}: cannot close at {price_ticks} ticks")
        qty = lots if position.lots < 0 else -lots
        return self.close_at_value(position, qty, qty * price_ticks * self.unit, opposite_account, margin)

    def close_at_value(
        self,
        position: IsolatedPosition,
        qty: int,
        value: int,
        opposite: int,
        margin: CrossMargin | None = None,
        reason: Flow = Flow.PNL,
    ) -> int:
        """Reduce a position by trading `qty` signed lots for `value` signed quanta; the rest as `close_isolated`."""
        margin = margin or self.margin
        ledger, quote, account = self.ledger, self.quote, position.account
        left, cost, gain = traded(position.lots, position.full_cost(self.funding_index), qty, value)
        share = position.margin - position.margin * left // position.lots
        back = share + gain
        keep = position.margin - share
        if back < 0:
            keep, back = keep + back, 0
        short = min(0, keep)  # a loss that even the whole margin does not pay
        needed = -short
        if short and account == opposite:
            needed += max(0, -traded(*self.position(account), -qty, -value)[2])
        if short and (left or needed > ledger.free(account, quote)):
            raise InsufficientFunds(
                f"position {position.position_id} of {ledger.account_name(account)} in {self.name} loses {-gain}, its"
                f" margin is {position.margin}: only a take-over can end it"
            )
        self._opposite(opposite, -qty, -value, margin, reason)
        self._include_funding(position)
        spent = position.margin - max(keep, 0)  # leaves custody: to the account, and for a loss to clearing
        if gain >= 0:
            ledger.transfer(self.custody, account, quote, spent, Flow.RELEASE)
            ledger.transfer(self.clearing, account, quote, gain, reason)
        else:
            ledger.transfer(self.custody, account, quote, back, Flow.RELEASE)
            ledger.transfer(self.custody, self.clearing, quote, spent - back, reason)
            ledger.transfer(account, self.clearing, quote, -short, reason)
        self.isolated_positions.change(position, left, cost, max(keep, 0), self.funding_index)
        if margin is not None:
            margin.sweep(account, quote)
        return back + short

    def _include_funding(self, position: IsolatedPosition) -> None:
        """Move accrued funding into the cost; what rounding it leaves over is clearing's."""
        accrued = position.accrued(self.funding_index)
        if accrued:
            cost = position.full_cost(self.funding_index)
            self.add_residue((cost - position.cost) * FUNDING_UNIT - accrued)
            position.cost = cost
            position.funding = self.funding_index

    def isolated(self, position_id: int) -> IsolatedView | None:
        """The position as it stands, None when it is gone."""
        position = self.isolated_positions.get(position_id)
        if position is None:
            return None
        cost = position.full_cost(self.funding_index)
        lots = position.lots
        over = cost - position.margin if lots > 0 else position.margin - cost
        return IsolatedView(
            position_id,
            position.account,
            position.lots,
            cost,
            position.cost,
            position.margin,
            self.isolated_positions.liquidation_price(position, self.funding_index),
            (over, abs(lots) * self.unit),
        )

    def __iter__(self) -> Iterator[int]:
        return iter(self.isolated_positions)

    def breached(self, mark_ticks: int) -> list[int]:
        """Isolated positions to be liquidated at this mark, the one furthest beyond first: O(breached + log n)."""
        if mark_ticks < 1:
            raise ValueError(f"{self.name}: a mark of {mark_ticks} ticks")
        return self.isolated_positions.breached(mark_ticks, self.funding_index)

    def _live(self, position_id: int) -> IsolatedPosition:
        position = self.isolated_positions.get(position_id)
        if position is None:
            raise LedgerError(f"{self.name} has no isolated position {position_id}")
        return position

    # --- liquidation ------------------------------------------------------------------------------------------------

    def take_over(self, position_id: int) -> Takeover:
        """Move an isolated position to the liquidation account at its bankruptcy price. O(log n).

        The fee goes to the insurance account first; the holder then loses exactly the margin that is left.
        """
        position = self._live(position_id)
        ledger, quote = self.ledger, self.quote
        self._include_funding(position)
        mark = self.mark_price
        notional = abs(position.cost) if mark is None else abs(position.lots) * mark * self.unit
        fee = min(position.margin, notional * self.terms.liquidation_fee_ppm // PPM)
        value = position.cost - position.margin + fee
        taken = Takeover(position_id, position.account, position.lots, value, position.margin, fee)
        ledger.transfer(self.custody, self.insurance, quote, fee, Flow.INSURANCE)
        ledger.transfer(self.custody, self.clearing, quote, position.margin - fee, Flow.PNL)
        self.isolated_positions.change(position, 0, 0, 0, self.funding_index)
        self._opposite(self.liquidation, taken.lots, value, None)
        return taken

    def take_over_cross(self, account: int, value: int) -> Takeover:
        """Move a cross position to the liquidation account for `value` signed quanta, realising its P&L there.

        Raises `LedgerError` when the account has no position, `InsufficientFunds` as `trade` does.
        """
        lots, cost = self.position(account)
        if not lots or account == self.liquidation:
            raise LedgerError(f"{self.ledger.account_name(account)} has no cross position in {self.name} to take over")
        self.post(self.liquidation, account, lots, value)
        return Takeover(0, account, lots, value, cost - value)

    def fund_limit_price(self, side: Side, lots: int) -> int | None:
        """Worst price (ticks, at least 1) at which the liquidation account may sell or buy `lots` of what it has.

        There what they lose against their bankruptcy value is what the insurance account and earlier gains can pay.
        None: no limit, the insurance account may overdraw. Raises `LedgerError` when it has fewer lots.
        """
        held, cost = self.position(self.liquidation)
        if lots < 1 or (held < lots if side == Side.SELL else -held < lots):
            raise LedgerError(f"{self.name}: the liquidation account has {held} lots, {lots} cannot be {side.name}")
        if self.ledger.overdrafts(self.insurance):
            return None
        funds = self.ledger.free(self.insurance, self.quote) + self.ledger.balance(self.liquidation, self.quote)
        funds = max(0, funds)
        if side == Side.SELL:
            share = cost - cost * (held - lots) // held
            return max(1, -((funds - share) // (lots * self.unit)))
        share = cost * (held + lots) // held - cost
        return max(1, (funds + share) // (lots * self.unit))

    def settle_takeover(self) -> FundSettlement:
        """Clear the liquidation account's cash with the insurance account, after its trades.

        A loss beyond the insurance stays there as a debt to the contract's clearing (`uncovered`): later gains pay it.
        """
        ledger, quote = self.ledger, self.quote
        balance = ledger.balance(self.liquidation, quote)
        earned = max(0, balance)
        paid = min(max(0, -balance), max(0, ledger.free(self.insurance, quote)))
        ledger.transfer(self.liquidation, self.insurance, quote, earned, Flow.INSURANCE)
        ledger.transfer(self.insurance, self.liquidation, quote, paid, Flow.INSURANCE)
        return FundSettlement(earned, paid, max(0, -balance) - paid)

    def adl_ranking(self, side: Side, marks: Marks | None = None) -> list[adl.Rank]:
        """All positions of a side in the order in which ADL would close them: see `lobsim.credit.adl`."""
        return adl.ranking(self, side, marks)

    def deleverage(self, lots: int, price_ticks: int | None = None, marks: Marks | None = None) -> list[adl.AdlFill]:
        """Close `lots` of what the liquidation account has against the other side's first in line.

        At its own bankruptcy price unless another is given; see `lobsim.credit.adl.deleverage`.
        """
        return adl.deleverage(self, lots, price_ticks, marks)

    def apply_funding(self, rate: Fraction, mark_ticks: int) -> funding.FundingRound:
        """Let longs pay shorts `rate` of their mark value, or the other way round; see `lobsim.credit.funding`."""
        return funding.apply(self, rate, mark_ticks)

    # --- totals -----------------------------------------------------------------------------------------------------

    @property
    def long_lots(self) -> int:
        """Lots of all long positions, cross and isolated. O(cross positions)."""
        return self.isolated_positions.long_lots + sum(lots for lots, _ in self.cross_positions.values() if lots > 0)

    @property
    def short_lots(self) -> int:
        """Lots of all short positions, as a positive number."""
        return self.isolated_positions.short_lots - sum(lots for lots, _ in self.cross_positions.values() if lots < 0)

    @property
    def isolated_open_interest(self) -> int:
        """Lots of all isolated positions, both sides together."""
        return self.isolated_positions.long_lots + self.isolated_positions.short_lots

    def open_interest(self) -> int:
        """Lots held long, which equal those held short. O(cross positions)."""
        return self.long_lots

    def check(self) -> None:
        """Prove that positions add up to nothing, and clearing and custody to them; raises `CheckError`."""
        self.isolated_positions.check()
        faults = []
        ledger, quote = self.ledger, self.quote
        if self.long_lots != self.short_lots:
            faults.append(f"{self.long_lots} lots are held long, {self.short_lots} short")
        costs = sum(cost for _, cost in self.cross_positions.values()) * FUNDING_UNIT
        for position in self.isolated_positions.values():
            costs += position.cost * FUNDING_UNIT + position.accrued(self.funding_index)
        clearing = ledger.balance(self.clearing, quote)
        if clearing * FUNDING_UNIT != self._residue - costs or not 0 <= self._residue < FUNDING_UNIT:
            faults.append(f"clearing has {clearing}, positions cost {Fraction(costs, FUNDING_UNIT)}, {self._residue}")
        if ledger.balance(self.custody, quote) != self.isolated_positions.margin:
            faults.append(
                f"custody has {ledger.balance(self.custody, quote)}, margins are {self.isolated_positions.margin}"
            )
        if any(not lots for lots, _ in self.cross_positions.values()) or list(self.cross_ages) != list(
            self.cross_positions
        ):
            faults.append("flat positions are kept, or ages of other accounts")
        if faults:
            raise CheckError(f"contract {self.name} does not add up:\n" + "\n".join(faults))
