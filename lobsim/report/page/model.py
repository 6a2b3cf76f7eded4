"""What a page is made of. Every text is plain text: `render` escapes it for the place that it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias


class Chart(NamedTuple):
    """A picture that Apache ECharts draws.

    id: a slug (`[a-z][a-z0-9-]*`), unique on the page. option: ECharts' option as plain JSON data, made by `charts`;
    its strings are plain text, never templates or markup. Beside ECharts' own keys it may hold ``{"$color": name}`` (a
    colour of the palette in assets/page.css), ``{"$fn": name}`` (a formatter of assets/page.js) and ``{"$points":
    [columns]}`` (packed numbers, see `pack`). height: pixels. label: what the picture shows, for people who cannot see
    it.
    """

    id: str
    option: dict[str, Any]
    height: int = 320
    label: str = ""
    title: str = ""


class Table(NamedTuple):
    """Cells of text: the first `left` columns to the left, the others, numbers, to the right.

    keys: for a sortable table, one row of sort keys per row (None: sorts last); without them the number at the
    beginning of a cell is its key, and cells without numbers sort as text. bad: rows whose last cell stands out.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    sortable: bool = False
    note: str = ""
    title: str = ""
    keys: Sequence[Sequence[float | None]] = ()
    bad: Sequence[int] = ()


class Widget(NamedTuple):
    """Something that ``assets/<kind>.js`` draws: it registers itself as ``lobsim.widgets[kind]``. data: plain JSON."""

    id: str
    kind: str
    data: dict[str, Any]


class Choice(NamedTuple):
    """One of several groups of parts, picked by name; only the one that is shown gets drawn."""

    id: str
    label: str
    options: Sequence[tuple[str, Sequence[Chart | Table]]]


Part: TypeAlias = Chart | Table | Widget | Choice


class Section(NamedTuple):
    """A chapter of the page. lead: one or two sentences that say what to see. Without parts it is not shown.

    short: its name in the row of links above the page, where the title is too long for it.
    """

    id: str
    title: str
    lead: str
    parts: Sequence[Part]
    note: str = ""
    short: str = ""


class BigFigure(NamedTuple):
    """A number to see from across the room, what it is, and a word on it."""

    value: str
    label: str
    note: str = ""


class Headline(NamedTuple):
    """What happened: one sentence and a few big figures.

    warning: said before everything else (an unfinished run). about: what the scenario says of itself.
    """

    sentence: str
    figures: Sequence[BigFigure] = ()
    warning: str = ""
    about: str = ""


class Provenance(NamedTuple):
    """Where the page comes from: facts (name, value), commands that make it again, and the scenario's own text."""

    facts: Sequence[tuple[str, str]] = ()
    commands: Sequence[str] = ()
    source_title: str = ""
    source: str = ""
    note: str = ""


class Page(NamedTuple):
    """A whole page."""

    title: str
    subtitle: str
    headline: Headline
    sections: Sequence[Section]
    provenance: Provenance
