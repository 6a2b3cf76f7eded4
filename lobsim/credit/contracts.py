"""Perpetual contracts: cash-settled positions that add up to nothing, whoever holds them.

A position is a signed number of lots and the signed quote quanta paid for them, its *cost*. A trade gives its buyer
lots and cost and its seller the same with the opposite sign, so lots add up to 0 over all positions. Reducing a
position takes its cost out in proportion (what stays is rounded down, so the fraction stays in the position) and pays
the difference from the trade's value in cash, through the account ``<name>.clearing``. Every quantum paid out raises
somebody's cost by one: at any time

    clearing balance = -(sum of costs) + residue of funding below one quantum

and once nobody has a position clearing is empty. Cross positions belong to ledger accounts and are backed by all that
the account has; isolated ones are backed by their own margin, which waits in ``<name>.custody``. A breached isolated
position is taken over by ``<name>.liquidation`` at its bankruptcy price; what that account makes or loses by selling it
is the insurance account's.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from lobsim.credit.contract_terms import ContractTerms, FundSettlement, IsolatedView, Takeover
from lobsim.credit.errors import InsufficientFunds, LedgerError, PositionRefused
from lobsim.credit.interest import PPM
from lobsim.credit.isolated import FUNDING_UNIT, IsolatedPosition, IsolatedShelf
from lobsim.credit.ledger import Flow, Ledger
from lobsim.errors import CheckError
from lobsim.events import Side

if TYPE_CHECKING:
    from lobsim.credit.margin import CrossMargin

_FLAT = (0, 0)


def traded(lots: int, cost: int, qty: int, value: int) -> tuple[int, int, int]:
    """(lots, cost, gain in cash) of a position after it trades `qty` signed lots for `value` signed quanta. O(1).

    What is left of a reduced position keeps its share of the cost, rounded down; what is left of a trade beyond
    closing keeps its share of the trade's value. In all cases cost + value + gain = new cost.
    """
    after = lots + qty
    if lots * qty >= 0:
        return after, cost + value, 0
    rest = cost * after // lots if lots * after >= 0 else value * after // qty
    return after, rest, rest - cost - value


class ContractBook:
    """Clearing of one perpetual contract, quoted and settled in the ledger asset `quote`.

    `unit`: quote quanta per tick and lot. `insurance`: the contract's insurance account. Amounts are quote quanta,
    positions signed lots, prices ticks. `mark_price` (ticks) is set by the venue before margin is checked.
    """

    def __init__(self, name: str, ledger: Ledger, quote: int, terms: ContractTerms, unit: int, insurance: int) -> None:
        terms.check(name)
        ledger.asset_name(quote)
        ledger.account_name(insurance)
        if type(unit) is not int or unit < 1:
            raise LedgerError(f"{name}: the quote quanta per tick and lot must be an integer of at least 1, not {unit}")
        self.name = name
        self.ledger = ledger
        self.quote = quote
        self.terms = terms
        self.unit = unit
        self.insurance = insurance
        self.brackets = terms.brackets()
        self.clearing = ledger.open_account(f"{name}.clearing", overdraft=True)
        self.liquidation = ledger.open_account(f"{name}.liquidation", overdraft=True)
        self.custody = ledger.open_account(f"{name}.custody")
        self.mark_price: int | None = None
        self.margin: CrossMargin | None = None  # set by CrossMargin.add_contract
        self.funding_index = 0  # per lot since ever, in quanta / FUNDING_UNIT
        self.isolated_positions = IsolatedShelf(unit, self.brackets)
        self.cross_positions: dict[int, tuple[int, int]] = {}  # account -> (lots, cost), in order of opening
        self.cross_ages: dict[int, int] = {}
        self._age = 0
        self._residue = 0  # clearing's surplus from rounding funding, in quanta / FUNDING_UNIT

    # --- cross positions --------------------------------------------------------------------------------------------

    def trade(self, buyer: int, seller: int, qty: int, price_ticks: int, margin: CrossMargin | None = None) -> None:
        """Settle a fill between two accounts' cross positions. O(1).

        A loss that is realised is paid from the free balance; a unified account borrows what is missing and repays
        from a gain, an overdraft account goes below zero. Raises `InsufficientFunds` for any other account that cannot
        pay, and `LedgerError`; nothing has changed then.
        """
        if type(qty) is not int or type(price_ticks) is not int or qty < 1 or price_ticks < 1:
            raise LedgerError(f"{self.name}: no trade of {qty!r} lots at {price_ticks!r} ticks")
        self.post(buyer, seller, qty, qty * price_ticks * self.unit, margin)

    def post(self, buyer: int, seller: int, qty: int, value: int, margin: CrossMargin | None = None) -> None:
        """As `trade`, for any signed `value` in quote quanta that the buyer pays for `qty` lots."""
        if buyer == seller:
            self.ledger.account_name(buyer)
            return
        positions = self.cross_positions
        lots, cost = positions.get(buyer, _FLAT)
        buyer_lots, buyer_cost, buyer_gain = traded(lots, cost, qty, value)
        lots, cost = positions.get(seller, _FLAT)
        seller_lots, seller_cost, seller_gain = traded(lots, cost, -qty, -value)
        touched = self.ledger.touched
        if buyer_gain or seller_gain or not 0 < buyer < len(touched) or not 0 < seller < len(touched):
            self._settle(((buyer, buyer_gain), (seller, seller_gain)), margin or self.margin)
        touched[buyer] = touched[seller] = 1
        self._put(buyer, buyer_lots, buyer_cost)
        self._put(seller, seller_lots, seller_cost)

    def _put(self, account: int, lots: int, cost: int) -> None:
        if lots:
            if account not in self.cross_ages:
                self._age += 1
                self.cross_ages[account] = self._age
            self.cross_positions[account] = lots, cost
        elif account in self.cross_ages:
            del self.cross_positions[account], self.cross_ages[account]

    def _settle(self, gains: tuple[tuple[int, int], ...], margin: CrossMargin | None, reason: Flow = Flow.PNL) -> None:
        """Collect losses, then pay gains; refuse before anything has moved. No account stands in `gains` twice."""
        ledger, quote, clearing = self.ledger, self.quote, self.clearing
        borrowed = 0
        for account, gain in gains:
            missing = -gain - ledger.free(account, quote)
            if gain < 0 < missing:
                if margin is None or account not in margin:
                    raise InsufficientFunds(
                        f"{ledger.account_name(account)} has {ledger.free(account, quote)} free quanta of"
                        f" {ledger.asset_name(quote)} and loses {-gain} in {self.name}"
                    )
                borrowed += missing
                if ledger.free(margin.pool, quote) < borrowed:
                    raise InsufficientFunds(
                        f"{ledger.account_name(margin.pool)} cannot lend what losses in {self.name} need: {borrowed}"
                        f" quanta of {ledger.asset_name(quote)}"
                    )
        for account, gain in gains:
            if gain < 0:
                if margin is not None:
                    margin.cover(account, quote, -gain)
                ledger.transfer(account, clearing, quote, -gain, reason)
        for account, gain in gains:
            if gain > 0:
                ledger.transfer(clearing, account, quote, gain, reason)
                if margin is not None:
                    margin.sweep(account, quote)

    def position(self, account: int) -> tuple[int, int]:
        """(lots, cost) of the account's cross position, (0, 0) when it has none. O(1)."""
        return self.cross_positions.get(account, _FLAT)

    def accounts(self) -> tuple[int, ...]:
        """Accounts with a cross position, in order of opening."""
        return tuple(self.cross_positions)

    def unrealised(self, account: int, mark_ticks: int) -> int:
        """P&L of the cross position at that mark, in quote quanta."""
        lots, cost = self.position(account)
        return lots * mark_ticks * self.unit - cost

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

    def _opposite(self, account: int, qty: int, value: int, margin: CrossMargin | None) -> None:
        """One side of a trade into a cross position."""
        lots, cost, gain = traded(*self.position(account), qty, value)
        self._settle(((account, gain),), margin or self.margin)
        self._put(account, lots, cost)
        self.ledger.touched[account] = 1

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
        self, position: IsolatedPosition, qty: int, value: int, opposite: int, margin: CrossMargin | None = None
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
        self._opposite(opposite, -qty, -value, margin)
        self._include_funding(position)
        spent = position.margin - max(keep, 0)  # leaves custody: to the account, and for a loss to clearing
        if gain >= 0:
            ledger.transfer(self.custody, account, quote, spent, Flow.RELEASE)
            ledger.transfer(self.clearing, account, quote, gain, Flow.PNL)
        else:
            ledger.transfer(self.custody, account, quote, back, Flow.RELEASE)
            ledger.transfer(self.custody, self.clearing, quote, spent - back, Flow.PNL)
            ledger.transfer(account, self.clearing, quote, -short, Flow.PNL)
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

    def add_residue(self, residue: int) -> None:
        """Note quanta / FUNDING_UNIT that rounding left in clearing; whole quanta of them go to ``rounding``."""
        whole, self._residue = divmod(self._residue + residue, FUNDING_UNIT)
        if whole:
            self.ledger.transfer(self.clearing, self.ledger.rounding, self.quote, whole, Flow.ROUNDING)

    def isolated(self, position_id: int) -> IsolatedView | None:
        """The position as it stands, None when it is gone."""
        position = self.isolated_positions.get(position_id)
        if position is None:
            return None
        cost = position.full_cost(self.funding_index)
        bankruptcy = Fraction(cost - position.margin, position.lots * self.unit)
        return IsolatedView(
            position_id,
            position.account,
            position.lots,
            cost,
            position.cost,
            position.margin,
            self.isolated_positions.liquidation_price(position, self.funding_index),
            (bankruptcy.numerator, bankruptcy.denominator),
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
