"""Hypothesis strategies for commands: few prices, few ids, few owners, so that orders meet and ids come again.

Commands are written for a clock that stands at 0: a `time_ns` of 3 means three nanoseconds later, an `expire_ns` of 3
expires three nanoseconds from now. `placed` moves one to a given moment; `command_lists` does that for whole lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from lobsim.events import (
    Advance,
    CancelAll,
    CancelOrder,
    Command,
    Purpose,
    ReplaceOrder,
    SelfTrade,
    Side,
    SubmitOrder,
    TimeInForce,
)
from lobsim.testing.engine import ALL_FEATURES, Feature, parse_features
from lobsim.testing.reference import LARGEST

Orders = st.SearchStrategy[SubmitOrder]
Built = TypeVar("Built")
AnyCommand = TypeVar("AnyCommand", bound=Command)

_GTC, _GTD, _IOC, _FOK = TimeInForce
_SELF_TRADE = {
    Feature.STP_CANCEL_NEWEST: SelfTrade.CANCEL_NEWEST,
    Feature.STP_CANCEL_OLDEST: SelfTrade.CANCEL_OLDEST,
    Feature.STP_CANCEL_BOTH: SelfTrade.CANCEL_BOTH,
    Feature.STP_DECREMENT: SelfTrade.DECREMENT,
}
_TIF_FEATURE = {_GTD: Feature.GTD, _IOC: Feature.IOC, _FOK: Feature.FOK}


class Shape(NamedTuple):
    """What kind of order: everything but who, where and how much. `life_ns` counts from its arrival."""

    tif: TimeInForce
    market: bool
    post_only: bool
    stop: bool
    display_qty: int
    life_ns: int | None


@dataclass(frozen=True)
class Range:
    """How far commands spread.

    Prices lie within `spread` ticks of `centre`, quantities in 1..`max_qty`, order ids in 1..`order_ids`, owners in
    1..`owners` (and 0, anonymous).
    """

    centre: int = 100
    spread: int = 3
    max_qty: int = 9
    order_ids: int = 12
    owners: int = 2

    def __post_init__(self) -> None:
        for name in ("centre", "max_qty", "order_ids", "owners"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        if not isinstance(self.spread, int) or not 0 <= self.spread < self.centre:
            raise ValueError(f"spread must be a whole number from 0 to below centre={self.centre}, not {self.spread!r}")

    def places(self) -> st.SearchStrategy[tuple[Side, int]]:
        """Side and ticks behind the centre; seldom less than none, so that a book builds up before it trades."""
        behind = [*range(self.spread + 1)]
        distances = [*behind, *behind, *range(-1, -self.spread - 1, -1)]
        return st.sampled_from([(side, distance) for distance in distances for side in Side])

    def prices(self) -> st.SearchStrategy[int]:
        """Ticks around the centre, nearest first."""
        around = range(self.centre - self.spread, self.centre + self.spread + 1)
        return st.sampled_from(sorted(around, key=lambda price: abs(price - self.centre)))

    def quantities(self) -> st.SearchStrategy[int]:
        """Lots, from 1."""
        return st.integers(1, self.max_qty)

    def ids(self) -> st.SearchStrategy[int]:
        """Order ids from the small pool."""
        return st.integers(1, self.order_ids)


def placed(command: AnyCommand, now_ns: int) -> AnyCommand:
    """`command` as it is sent when the clock stands at `now_ns`."""
    moved: dict[str, int] = {}
    if command.time_ns is not None:
        moved["time_ns"] = command.time_ns + now_ns
    if isinstance(command, SubmitOrder) and command.expire_ns is not None:
        moved["expire_ns"] = command.expire_ns + now_ns
    return command._replace(**moved)  # type: ignore[arg-type, return-value]


@st.composite
def _built(draw: st.DrawFn, build: Callable[..., Built], *parts: st.SearchStrategy[Any]) -> Built:
    """As `hypothesis.strategies.builds`, but a failure then shows the command and not how it was built."""
    return build(*[draw(part) for part in parts])


def _waits(features: frozenset[Feature]) -> st.SearchStrategy[int | None]:
    explicit: list[int | None] = [0, 0, 1, 0, 0, 3, 0, 0]
    return st.sampled_from([None, None, *explicit] if Feature.IMPLICIT_TIME in features else explicit)


def _parties(features: frozenset[Feature], span: Range) -> st.SearchStrategy[tuple[int, Purpose, SelfTrade]]:
    """(owner, purpose, self-trade rule); drawn together, because fewer draws find and shrink more."""
    modes = [mode for feature, mode in _SELF_TRADE.items() if feature in features]
    parties = [(0, Purpose.UNSPECIFIED, SelfTrade.CANCEL_NEWEST)] * 3
    if modes or Feature.MASS_CANCEL in features:
        parties += [(0, Purpose.NOISE, modes[-1] if modes else SelfTrade.ALLOW)] * 3
        purposes = list(Purpose)
        for owner in range(1, span.owners + 1):
            for mode in [*modes, SelfTrade.ALLOW]:
                parties.append((owner, purposes[len(parties) % len(purposes)], mode))
    return st.sampled_from(parties)


def _shapes(features: frozenset[Feature]) -> list[Shape]:
    """Every kind of order that an engine with these features must accept, the plain limit order first."""
    tifs = [_GTC] + [tif for tif, feature in _TIF_FEATURE.items() if feature in features]
    flags = [
        (False, True) if feature in features else (False,)
        for feature in (Feature.MARKET, Feature.POST_ONLY, Feature.STOP)
    ]
    slices = (0, 1, 2, 3) if Feature.ICEBERG in features else (0,)
    shapes: list[Shape] = []
    for (tif, display_qty), (market, post_only, stop) in product(product(tifs, slices), product(*flags)):
        at_once = market or tif in (_IOC, _FOK)
        if (post_only and (at_once or stop)) or (display_qty and at_once):
            continue
        lives = (20, 5, 1) if tif == _GTD else (None,)
        shapes += [Shape(tif, market, post_only, stop, display_qty, life_ns) for life_ns in lives]
    return sorted(shapes, key=lambda shape: sum(map(bool, shape)))


def order_families(features: frozenset[Feature], span: Range) -> dict[str, Orders]:
    """Strategies for orders by family. Hypothesis switches rules on and off, so that each should be one of its own."""
    shapes = _shapes(features)
    families = {
        "limit": [shape for shape in shapes if not any(shape)],
        "market": [shape for shape in shapes if shape.market and not shape.stop],
        "ioc": [shape for shape in shapes if shape.tif == _IOC and not shape.market and not shape.stop],
        "fok": [shape for shape in shapes if shape.tif == _FOK and not shape.market and not shape.stop],
        "post_only": [shape for shape in shapes if shape.post_only and not shape.display_qty],
        "iceberg": [shape for shape in shapes if shape.display_qty and not shape.stop and shape.tif == _GTC],
        "gtd": [shape for shape in shapes if shape.life_ns and not shape.stop],
        "stop": [shape for shape in shapes if shape.stop and not shape.display_qty and not shape.life_ns],
        "stop_market": [shape for shape in shapes if shape.stop and shape.market and shape.tif == _GTC],
        "any": shapes,
    }
    parts: dict[str, Any] = {
        "order_ids": span.ids(),
        "places": span.places(),
        "quantities": span.quantities(),
        "waits": _waits(features),
        "parties": _parties(features, span),
        "centre": span.centre,
    }
    strategies = {name: _orders_of(chosen, **parts) for name, chosen in families.items() if chosen}
    if Feature.BAD_INPUT in features:
        strategies["faulty"] = _faulty(strategies["limit"], features, span)
    return strategies


@st.composite
def _orders_of(
    draw: st.DrawFn,
    shapes: list[Shape],
    *,
    order_ids: st.SearchStrategy[int],
    places: st.SearchStrategy[tuple[Side, int]],
    quantities: st.SearchStrategy[int],
    waits: st.SearchStrategy[int | None],
    parties: st.SearchStrategy[tuple[int, Purpose, SelfTrade]],
    centre: int,
) -> SubmitOrder:
    order_id, (side, distance), qty = draw(order_ids), draw(places), draw(quantities)
    wait, (owner, purpose, self_trade) = draw(waits), draw(parties)
    shape = draw(st.sampled_from(shapes)) if len(shapes) > 1 else shapes[0]
    trigger_price = centre + draw(places)[1] if shape.stop else None
    if shape.market or shape.tif in (_IOC, _FOK):
        distance = -distance  # who will not rest reaches across
    price = None if shape.market else centre + distance if side == Side.SELL else centre - distance
    display_qty = min(shape.display_qty, qty)
    expire_ns = None if shape.life_ns is None else shape.life_ns + (wait or 0)
    who = (owner, purpose, shape.post_only)
    return SubmitOrder(
        order_id, side, qty, price, wait, shape.tif, *who, display_qty, trigger_price, expire_ns, self_trade
    )


def _faulty(plain: Orders, features: frozenset[Feature], span: Range) -> Orders:
    """Orders that break one rule or two, and some that just keep it."""
    beyond = LARGEST + 1
    faults: list[tuple[frozenset[Feature], dict[str, object]]] = [
        (frozenset(), {"qty": 0}),
        (frozenset(), {"qty": -1}),
        (frozenset(), {"qty": LARGEST, "display_qty": 0}),  # in slices it would trade for ever
        (frozenset(), {"qty": beyond}),
        (frozenset(), {"price": 0}),
        (frozenset(), {"price": -1}),
        (frozenset(), {"price": 1}),
        (frozenset(), {"price": LARGEST}),
        (frozenset(), {"price": beyond}),
        (frozenset({Feature.GTD}), {"expire_ns": 5}),
        (frozenset({Feature.GTD}), {"tif": _GTD}),
        (frozenset({Feature.GTD}), {"tif": _GTD, "expire_ns": 0}),
        (frozenset({Feature.GTD}), {"tif": _GTD, "expire_ns": 1}),
        (frozenset({Feature.ICEBERG}), {"display_qty": -1}),
        (frozenset({Feature.ICEBERG}), {"display_qty": span.max_qty}),
        (frozenset({Feature.ICEBERG}), {"display_qty": span.max_qty + 1}),
        (frozenset({Feature.ICEBERG, Feature.IOC}), {"display_qty": 1, "tif": _IOC}),
        (frozenset({Feature.ICEBERG, Feature.FOK}), {"display_qty": 1, "tif": _FOK}),
        (frozenset({Feature.ICEBERG, Feature.MARKET}), {"display_qty": 1, "price": None}),
        (frozenset({Feature.STOP}), {"trigger_price": 0}),
        (frozenset({Feature.STOP}), {"trigger_price": 1}),
        (frozenset({Feature.STOP}), {"trigger_price": LARGEST}),
        (frozenset({Feature.STOP}), {"trigger_price": beyond}),
        (frozenset({Feature.POST_ONLY, Feature.IOC}), {"post_only": True, "tif": _IOC}),
        (frozenset({Feature.POST_ONLY, Feature.FOK}), {"post_only": True, "tif": _FOK}),
        (frozenset({Feature.POST_ONLY, Feature.MARKET}), {"post_only": True, "price": None}),
        (frozenset({Feature.POST_ONLY, Feature.STOP}), {"post_only": True, "trigger_price": span.centre}),
        (frozenset({Feature.POST_ONLY}), {"post_only": True}),
        (frozenset({Feature.MARKET}), {"price": None}),
    ]
    allowed = [fault for needs, fault in faults if needs <= features]
    plain_numbers = [fault for needs, fault in faults if not needs]
    return _built(
        lambda order, first, second: order._replace(**{**second, **first}),
        plain,
        st.sampled_from([*plain_numbers, *allowed]),
        st.sampled_from([{}] * len(allowed) + [fault for fault in allowed if fault.get("qty") != LARGEST]),
    )


def command_families(features: frozenset[Feature], span: Range) -> dict[str, st.SearchStrategy[Command]]:
    """`order_families` and the other commands, by family."""
    waits = _waits(features)
    families: dict[str, st.SearchStrategy[Command]] = dict(order_families(features, span))
    families["cancel"] = _built(CancelOrder, span.ids(), waits)
    if Feature.REPLACE in features:
        families["replace"] = _built(ReplaceOrder, span.ids(), span.quantities(), span.prices(), waits)
        families["amend"] = families["replace"]
        if Feature.BAD_INPUT in features:
            faults = [(0, span.centre), (-1, span.centre), (LARGEST + 1, span.centre)]
            faults += [(1, 0), (1, -1), (1, LARGEST + 1), (1, LARGEST), (1, 1), (0, 0)]
            families["faulty_replace"] = _built(
                lambda order_id, asked, wait: ReplaceOrder(order_id, asked[0], asked[1], wait),
                span.ids(),
                st.sampled_from(faults),
                waits,
            )
    if Feature.MASS_CANCEL in features:
        families["cancel_all"] = _built(
            CancelAll, st.sampled_from([*range(1, span.owners + 1)] * 3 + [0]), st.sampled_from([None, *Side]), waits
        )
    if Feature.GTD in features:
        families["advance"] = _built(Advance, st.sampled_from([1, 0, 2, 5, 1, 25]))
    return families


def orders(features: Iterable[Feature | str] = ALL_FEATURES, *, span: Range | None = None) -> Orders:
    """Any single order for an engine with these features, written for a clock at 0."""
    return st.one_of(*order_families(parse_features(features), span or Range()).values())


def commands(
    features: Iterable[Feature | str] = ALL_FEATURES, *, span: Range | None = None
) -> st.SearchStrategy[Command]:
    """Any single command for an engine with these features, written for a clock at 0."""
    return st.one_of(*command_families(parse_features(features), span or Range()).values())


def command_lists(
    features: Iterable[Feature | str] = ALL_FEATURES, *, span: Range | None = None, max_size: int = 60
) -> st.SearchStrategy[list[Command]]:
    """Lists of commands whose times rise from 0, ready for `lobsim.testing.replay` or an engine."""
    return st.lists(commands(features, span=span), max_size=max_size).map(_in_time)


def _in_time(steps: list[Command]) -> list[Command]:
    now_ns = 0
    result = []
    for step in steps:
        command = placed(step, now_ns)
        now_ns = now_ns if command.time_ns is None else command.time_ns
        result.append(command)
    return result
