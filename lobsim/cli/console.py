"""Where text meets the terminal: escaping and aligned tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 200
_MOST_WIDTH = 2000


def plain(text: object) -> str:
    """Text from a file as a terminal may show it: control and invisible characters are spelled out, never sent."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def console(*, stderr: bool = False, width: int = 0) -> Console:
    """A console for stdout or stderr that takes texts as they are. Colour only on a terminal, none under NO_COLOR.

    It is at least `width` wide, whatever the window.
    """
    from rich.console import Console  # noqa: PLC0415 - `lobsim --version` needs none

    def made(wide: int | None) -> Console:
        return Console(
            file=sys.stderr if stderr else sys.stdout, highlight=False, markup=False, emoji=False, width=wide
        )

    screen = made(None)
    if not screen.is_terminal:
        width = max(width, _PIPE_WIDTH)
    return made(width) if width > screen.width else screen


def say(text: str, *, style: str = "", stderr: bool = False) -> None:
    """Lines of text, wrapped between words by a terminal's width; commands stay whole, to be copied."""
    from rich.text import Text  # noqa: PLC0415

    screen = console(stderr=stderr)
    on_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    for line in plain(text).split("\n"):
        whole = not on_terminal or line.lstrip().startswith("lobsim ")
        screen.print(Text(line, style=style), soft_wrap=whole)


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, indent: int = 2) -> None:
    """An aligned table without lines: the first `left` columns to the left, numbers to the right.

    No number loses a digit: on a terminal that is too narrow, each row becomes lines of its own.
    """
    from rich.measure import Measurement  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=any(header), pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for number, title in enumerate(header):
        table.add_column(Text(plain(title)), justify="left" if number < left else "right", no_wrap=True)
    cells = [[plain(cell).replace("\n", "\\n") for cell in row] for row in rows]  # a cell cannot pass for two rows
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    screen = console()
    padded = Padding(table, (0, 0, 0, indent), expand=False)
    width = Measurement.get(screen, screen.options.update(max_width=_MOST_WIDTH), padded).maximum
    if width - 2 > screen.width and sys.stdout.isatty():  # the last column ends in two spaces
        for row in cells:
            for margin, line in stacked(
                [plain(title).replace("\n", " ") for title in header], row, left, screen.width - indent - 2
            ):
                screen.print(Padding(Text(line), (0, 0, 0, indent + margin)))
        return
    if screen.is_terminal:
        console(width=width).print(padded)
        return
    target = console(width=width)
    with target.capture() as kept:  # in a file no line ends in spaces
        target.print(padded)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in kept.get().splitlines()))


def stacked(header: Sequence[str], row: Sequence[str], left: int, width: int) -> list[tuple[int, str]]:
    """A row as (margin, line): what it is about, then title and value of each number, as many to a line as fit."""
    lines: list[tuple[int, str]] = []

    def add(text: str, gap: str) -> None:
        if lines and len(lines[-1][1]) + len(gap) + len(text) <= width:
            lines[-1] = (lines[-1][0], lines[-1][1] + gap + text)
        else:
            lines.append((2 if lines else 0, text))

    for cell in row[:left]:
        if cell:
            add(cell, "  ")
    label = lines or [(0, "")]
    lines = []
    for title, cell in zip(header[left:], row[left:], strict=True):
        if cell:
            add(f"{title} {cell}".strip(), "   ")
    return label + [(2, line) for _, line in lines]
