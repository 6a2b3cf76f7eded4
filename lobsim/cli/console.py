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
    """One line or paragraph, unwrapped."""
    from rich.text import Text  # noqa: PLC0415

    console(stderr=stderr).print(Text(plain(text), style=style), soft_wrap=True)


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, indent: int = 2) -> None:
    """An aligned table without lines: the first `left` columns to the left, numbers to the right.

    Never narrower than its content: a number that loses digits to a narrow window is worse than a wrapped line.
    """
    from rich.measure import Measurement  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=any(header), pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for number, title in enumerate(header):
        table.add_column(Text(plain(title)), justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(plain(cell).replace("\n", "\\n")) for cell in row))  # a cell cannot pass for two rows
    screen = console()
    padded = Padding(table, (0, 0, 0, indent), expand=False)
    width = Measurement.get(screen, screen.options.update(max_width=_MOST_WIDTH), padded).maximum
    console(width=width).print(padded)
