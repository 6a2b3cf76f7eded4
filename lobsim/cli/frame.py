"""One frame of the live view: a sight of the run as rich tables, as wide and as high as the window."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.bar import Bar
from rich.console import ConsoleDimensions, ConsoleOptions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lobsim.cli.console import plain
from lobsim.report.live import AWAY, TAKEN, MakerSight, MarketSight, Rung, Sight
from lobsim.report.wording import NOTHING, percent, span
from lobsim.units import format_clock

LEAST_WIDTH, LEAST_HEIGHT = 30, 12
"""Smaller windows get plain lines."""

_WIDE, _VERY_WIDE = 80, 96
_BAR, _LEAST_BAR = 14, 4
_MOST_LEVEL = 100
_MOST_HAPPENINGS = 10
_WARN_FALL, _BAD_FALL, _THIN = -0.02, -0.2, 0.2
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_STATES = {AWAY: "yellow", TAKEN: "bold red"}


class Head(NamedTuple):
    """What stands on top. events_per_s and left_s (seconds until the end, guessed) are None before they are known."""

    title: str
    time_ns: int
    end_ns: int
    start_ns_of_day: int
    events_per_s: float | None
    left_s: float | None


def budget(size: ConsoleDimensions, markets: int, makers: int) -> dict[str, int]:
    """How many rows of each kind fit into a window: arguments of `Watch.look`."""
    if size.width >= _WIDE:
        free = max(4, size.height - 10)
        rungs = min(8, max(1, free // 3))
        shown = max(1, min(markets, 8, free // 3))
        lines = min(_MOST_HAPPENINGS, max(1, free - rungs - shown))
        return {"markets": shown, "makers": min(makers, rungs), "rungs": rungs, "happenings": lines}
    free = max(3, size.height - (11 if makers else 9))
    shown = max(1, min(markets, free // 3))
    few = min(makers, max(1, free // 3))
    lines = min(_MOST_HAPPENINGS, max(1, free - shown - few))
    return {"markets": shown, "makers": few, "rungs": 1, "happenings": lines}


def frame(sight: Sight, head: Head, options: ConsoleOptions) -> RenderableType:
    """The whole view. Every text is shown as it is: no markup, control characters spelled out."""
    width = options.max_width
    wide = width >= _WIDE
    parts: list[RenderableType] = [*_head(head, options, wide=wide), Text(), _markets(sight, width)]
    if wide:
        parts += [Text(), *_books_and_makers(sight, width, bars=not options.ascii_only)]
    else:
        parts += _worst(sight)
        if sight.makers_count:
            parts += [Text(), _makers_line(sight), _makers(sight)]
    parts += [Text(), *_happenings(sight, head.start_ns_of_day, options, wide=wide)]
    for part in parts:  # nothing wraps: what is too long is cut
        if isinstance(part, Text):
            part.no_wrap, part.overflow = True, "crop" if options.ascii_only else "ellipsis"
        elif isinstance(part, Table):
            for column in part.columns:
                column.overflow = "crop" if options.ascii_only else "ellipsis"
    return Group(*parts)


def _head(head: Head, options: ConsoleOptions, *, wide: bool) -> Iterable[RenderableType]:
    clock = format_clock(head.time_ns, head.start_ns_of_day)[:8] + "Z"
    share = head.time_ns / head.end_ns
    top = _grid("left", "right")
    top.expand = True
    top.columns[0].ratio = 1
    top.add_row(Text(_line(head.title, options), style="bold"), Text(clock, style="bold cyan"))
    yield top
    pace = [] if head.events_per_s is None else [f"{_short(head.events_per_s)} events/s"]
    left = [] if head.left_s is None else [f"about {_minutes(head.left_s)} left"]
    bar = ProgressBar(total=1.0, completed=share, complete_style="cyan", finished_style="cyan")
    done = f"{span(head.time_ns)} of {span(head.end_ns)}"
    cells: list[RenderableType]
    if wide:
        cells = [Text(done), bar, Text(f"{share * 100:.0f} %"), *(Text(one, style="dim") for one in (*pace, *left))]
        yield _bar_line(cells, place=1)
        return
    yield _bar_line([bar, Text(f"{share * 100:.0f} %")], place=0)
    yield Text("  ".join([*pace, *left]) or done, style="dim")


def _bar_line(cells: list[RenderableType], *, place: int) -> Table:
    line = _grid(*("left" for _ in cells))
    line.expand = True
    line.columns[place].ratio = 1
    line.add_row(*cells)
    return line


def _markets(sight: Sight, width: int) -> Table:
    since = "since shock" if sight.shocked else "since start"
    if width < _WIDE:
        table = _grid("left", "right", "right")
        for one in sight.markets:
            table.add_row(one.name, _price(one), _change(one))
        return table
    header = ["", "price", since, "best bid", "best ask", "bids in 1 %", "of usual", "asks in 1 %"]
    if width < _VERY_WIDE:
        header = header[:-1]
    table = _grid("left", *("right" for _ in header[1:]))
    table.add_row(*(Text(title, style="dim") for title in header))
    for one in sight.markets:
        cells = [
            Text(one.name),
            _price(one),
            _change(one),
            Text(one.best_bid) if one.best_bid else Text("no bids", style="bold red"),
            Text(one.best_ask) if one.best_ask else Text("no asks", style="bold red"),
            Text(_short(one.bids)),
            _left(one),
            Text(_short(one.asks)),
        ]
        table.add_row(*cells[: len(header)])
    return table


def _worst(sight: Sight) -> Iterable[Text]:
    """Two lines about the book that fell deepest, where there is no room for its ladder."""
    for one in sight.markets:
        if one.name == sight.deepest:
            bid = Text(one.best_bid) if one.best_bid else Text("no bids", style="bold red")
            ask = Text(one.best_ask) if one.best_ask else Text("no asks", style="bold red")
            name = f"{one.name} " if len(sight.markets) > 1 else ""
            yield Text.assemble((f"{name}bid ", "dim"), bid, (" ask ", "dim"), ask)
            usual = () if one.bids_left is None else (("  ", ""), _left(one), (" of usual", "dim"))
            yield Text.assemble(("bids in 1 %: ", "dim"), _short(one.bids), *usual)


def _books_and_makers(sight: Sight, width: int, *, bars: bool) -> Iterable[RenderableType]:
    """Levels of the book that fell deepest, best on top, with bars where there is room; makers to their right."""
    book = Text(f"Book of {sight.deepest}" if sight.deepest else "", style="bold")
    yield Text("    ").join([book, _makers_line(sight)]) if sight.makers_count else book
    levels = ("margin", "leverage") if sight.makers_count else ("", "")
    bid, ask = "bids" if sight.bids else "", "asks" if sight.asks else ""
    rows = [[Text(title, style="dim") for title in ("", bid, ask, "", "", "", *levels, "")]]
    rungs: list[tuple[Rung | None, Rung | None]] = [(None, None)]
    for number in range(max(len(sight.bids), len(sight.asks), len(sight.makers), 1)):
        sides = [side[number] if number < len(side) else None for side in (sight.bids, sight.asks)]
        rungs.append((sides[0], sides[1]))
        sizes = [Text("" if rung is None else _short(rung.size)) for rung in sides]
        first = number == 0
        prices = (
            _rung(sides[0], "no bids" if first else "", "green"),
            _rung(sides[1], "no asks" if first else "", "red"),
        )
        maker = _maker(sight.makers[number]) if number < len(sight.makers) else (Text(),) * 4
        rows.append([sizes[0], *prices, sizes[1], Text(), *maker])
    taken = sum(max(row[place].cell_len for row in rows) + 2 for place in range(9))
    if taken > width:  # the leverage goes first
        rows = [[*row[:7], row[8]] for row in rows]
    bar = min(_BAR, (width - taken) // 2 - 2) if bars else 0
    most = max((rung.size for rung in (*sight.bids, *sight.asks)), default=0.0) or 1.0
    beside = ("right", "left") if bar >= _LEAST_BAR else ()
    table = _grid(
        "right",
        *beside[:1],
        "right",
        "left",
        *beside[1:],
        "right",
        "left",
        "left",
        *("right" for _ in rows[0][6:-1]),
        "left",
    )
    for row, pair in zip(rows, rungs, strict=True):
        drawn = [_bar(rung, most, bar, to_left=not place) for place, rung in enumerate(pair)] if beside else []
        table.add_row(row[0], *drawn[:1], row[1], row[2], *drawn[1:], *row[3:])
    yield table


def _rung(rung: Rung | None, otherwise: str, style: str) -> Text:
    return Text(otherwise, style="bold red") if rung is None else Text(rung.price, style=style)


def _bar(rung: Rung | None, most: float, width: int, *, to_left: bool) -> RenderableType:
    if rung is None:
        return Text(" " * width)
    if to_left:
        return Bar(most, most - rung.size, most, width=width, color="green")
    return Bar(most, 0, rung.size, width=width, color="red")


def _makers_line(sight: Sight) -> Text:
    away = [f"{sight.makers_away} withdrawn"] if sight.makers_away else []
    taken = [f"{sight.makers_taken} in liquidation"] if sight.makers_taken else []
    said = ", ".join([*away, *taken])
    return Text(f"{sight.makers_count} market makers" + (f": {said}" if said else ""), style="bold")


def _makers(sight: Sight) -> Table:
    """Name, margin level and state, where there is no room for more."""
    table = _grid("left", "right", "left")
    for one in sight.makers:
        name, level, _, state = _maker(one)
        table.add_row(name, level, state)
    return table


def _maker(one: MakerSight) -> tuple[Text, Text, Text, Text]:
    level = NOTHING if one.level is None else f"{one.level:.2f}" if one.level < _MOST_LEVEL else f"over {_MOST_LEVEL}"
    leverage = NOTHING if one.leverage is None else f"{one.leverage:.1f} x"
    return Text(plain(one.name)), Text(level), Text(leverage), Text(one.state, style=_STATES.get(one.state, ""))


def _happenings(sight: Sight, start_ns_of_day: int, options: ConsoleOptions, *, wide: bool) -> Iterable[Text]:
    sold = [f"{label} {_short(one.value)} in {one.sales:,} sales" for label, one in sight.liquidated.items()]
    if sold and wide:
        yield Text("Liquidated: " + ", ".join(sold), style="bold")
    elif sold:
        yield Text(f"Liquidated: {_short(sum(one.value for one in sight.liquidated.values()))}", style="bold")
    for one in sight.happenings:
        clock = format_clock(one.time_ns, start_ns_of_day)[:8] + "Z"
        yield Text.assemble((clock, "dim"), "  ", (_line(one.text, options), _tone(one.text)))


def _line(text: str, options: ConsoleOptions) -> str:
    """Any text as one line that the terminal can show."""
    line = plain(text).replace("\n", " ")
    return line.encode("ascii", "backslashreplace").decode() if options.ascii_only else line


def _tone(text: str) -> str:
    return "bold red" if text.startswith("SHOCK") else ""


def _grid(*justify: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in justify:
        table.add_column(justify=one, no_wrap=True)  # type: ignore[arg-type]
    return table


def _price(one: MarketSight) -> Text:
    return Text(one.price or NOTHING) + (Text(" halted", style="bold red") if one.halted else Text())


def _change(one: MarketSight) -> Text:
    if one.change is None:
        return Text(NOTHING)
    style = "bold red" if one.change <= _BAD_FALL else "red" if one.change <= _WARN_FALL else ""
    return Text(f"{one.change * 100:+.1f} %", style=style)


def _left(one: MarketSight) -> Text:
    if one.bids_left is None:
        return Text(NOTHING)
    return Text(percent(one.bids_left, 0), style="bold red" if one.bids_left < _THIN else "")


def _short(value: float | None) -> str:
    """12,345 in full, from 100,000 on as 123k, 4.56M, ..."""
    if value is None:
        return NOTHING
    for size, suffix in _SUFFIXES:
        if abs(value) >= max(size, 1e5):
            return f"{value / size:.3g}{suffix}" if abs(value) < 999.5 * size else f"{value / size:.0f}{suffix}"
    return f"{value:,.0f}" if abs(value) >= 10 or value == 0 else f"{value:.2g}"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
