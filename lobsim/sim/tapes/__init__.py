"""Tapes: real market data replayed through the matching engine. `base` has the rules that hold for all of them.

====================  ==========================================  ====================
kind                  what it is                                  reader
====================  ==========================================  ====================
``lobster``           NASDAQ messages, order by order             `LobsterTape`
``binance-l2``        price levels (snapshot and diffs), trades   `BinanceL2Tape`
``tardis-trades``     trades only                                 `TardisTradesTape`
====================  ==========================================  ====================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lobsim.errors import TapeError
from lobsim.sim.tapes.base import (
    FIRST_FOREIGN_ID,
    BookView,
    Tape,
    TapeBatch,
    TapeNote,
    apply_command,
    replay_tape,
)
from lobsim.sim.tapes.binance_l2 import BinanceL2Tape
from lobsim.sim.tapes.lobster import LobsterTape
from lobsim.sim.tapes.tardis import TardisTradesTape

__all__ = [
    "FIRST_FOREIGN_ID",
    "KINDS",
    "BinanceL2Tape",
    "BookView",
    "LobsterTape",
    "Tape",
    "TapeBatch",
    "TapeNote",
    "TardisTradesTape",
    "apply_command",
    "open_tape",
    "replay_tape",
]

KINDS: dict[str, type[Tape]] = {tape.kind: tape for tape in (LobsterTape, BinanceL2Tape, TardisTradesTape)}
"""Readers by the word that a scenario file uses."""


def open_tape(kind: str, path: str | Path, **options: Any) -> Tape:
    """The tape of that kind at `path`; `options` are its reader's keyword arguments.

    Raises `TapeError` for an unknown kind and for a file that cannot be read or is damaged at its beginning.
    """
    reader = KINDS.get(kind)
    if reader is None:
        raise TapeError(f"tape kind must be one of {', '.join(sorted(KINDS))}; found {kind!r}")
    return reader(path, **options)
