"""Margin checks at a mark: watched accounts one by one, whole populations only where they breach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lobsim.credit import MarginStatus, MarginView, Mark
from lobsim.events import Reason
from lobsim.venue.ports import AccountView, Recording

_FLAT = (0, 0)

if TYPE_CHECKING:
    from lobsim.venue.exchange import Exchange


class AccountWatch:
    """The margin accounts of one exchange.

    A watched account is valued exactly at every mark, told its state, recorded, and barred from new orders where its
    level says so. All other enrolled accounts are a population: nobody hears from them, they send no orders, and a mark
    costs only what `CrossMargin.suspects` finds.
    """

    def __init__(self, exchange: Exchange, recorder: Recording) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._watched: dict[int, Callable[[AccountView], None]] = {}
        self._names: dict[int, str] = {}
        self.deleveraged: dict[int, int] = {}
        """Lots taken from each account by auto-deleveraging since the start."""

    def add(self, account_id: int, publish: Callable[[AccountView], None]) -> None:
        """Watch an account from now on."""
        self._watched[account_id] = publish

    def check(self, marks: Mapping[int, Mark], unmarked: frozenset[int], *, record: bool) -> None:
        """Value accounts, take over those at or below the liquidation level; skip what cannot be valued yet.

        unmarked: listed assets without a mark so far.
        """
        for account_id, publish in self._watched.items():
            if not unmarked or self.can_value(account_id, marks):
                self._visit(account_id, publish, marks, record=record)
        exchange = self._exchange
        margin, liquidator = exchange.margin, exchange.liquidator
        if len(self._watched) == len(margin.accounts):
            return
        for account_id in margin.suspects(marks, margin.thresholds.liquidation_ppm, self._watched):
            if (
                not liquidator.has_taken(account_id)
                and (not unmarked or self.can_value(account_id, marks))
                and margin.status(account_id, marks) == MarginStatus.LIQUIDATION
            ):
                liquidator.start(account_id, marks)

    def _visit(
        self, account_id: int, publish: Callable[[AccountView], None], marks: Mapping[int, Mark], *, record: bool
    ) -> None:
        exchange = self._exchange
        liquidator, margin = exchange.liquidator, exchange.margin
        view = margin.view(account_id, marks)
        in_liquidation = liquidator.has_taken(account_id)
        if record:
            self._record(account_id, view)
        if view.status == MarginStatus.LIQUIDATION and not in_liquidation:
            in_liquidation = liquidator.start(account_id, marks)
        if not in_liquidation:
            barred = view.status >= MarginStatus.NO_NEW_ORDERS
            exchange.bar(account_id, Reason.MARGIN_TOO_LOW if barred else None)
        names = self._names
        net = {names.get(asset) or self._name(asset): qty for asset, qty in margin.positions(account_id).items()}
        contracts = {
            market.instrument_id: lots
            for market, contract in exchange.contract_markets
            if (lots := contract.cross_positions.get(account_id, _FLAT)[0])
        }
        publish(
            AccountView(
                exchange.now,
                view.margin_level_ppm,
                view.leverage_ppm,
                in_liquidation,
                net,
                contracts,
                self.deleveraged.get(account_id, 0),
                view.equity,
            )
        )

    def _record(self, account_id: int, view: MarginView) -> None:
        self._recorder.account(
            self._exchange.now,
            account_id,
            view.equity,
            view.maintenance,
            view.margin_level_ppm,
            view.leverage_ppm,
            view.debt,
            view.collateral_value,
        )

    def can_value(self, account_id: int, marks: Mapping[int, Mark]) -> bool:
        """Whether there are marks for all that the account has."""
        margin = self._exchange.margin
        return margin.positions(account_id).keys() <= marks.keys() | {margin.numeraire} and all(
            contract.mark_price is not None or not contract.position(account_id)[0]
            for _, contract in self._exchange.contract_markets
        )

    def _name(self, asset: int) -> str:
        name = self._names.get(asset)
        if name is None:
            name = self._names[asset] = self._exchange.ledger.asset_name(asset)
        return name
