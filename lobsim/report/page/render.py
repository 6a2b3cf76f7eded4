"""A `Page` as one HTML document: scripts, styles and data inside, nothing fetched, nothing executed but what is hashed.

The Content-Security-Policy allows the document's own script and style elements by the SHA-256 of their text and nothing
else: no connection, no font, no frame, no form, no handler or style attributes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lobsim.report.page.model import Chart, Choice, Page, Part, Section, Table, Widget
from lobsim.report.page.text import cleaned, script_json, visible

ASSETS = Path(__file__).with_name("assets")
_SLUG = re.compile(r"[a-z][a-z0-9-]{0,79}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SPACE = re.compile(
    r"(?<=[0-9]) (?=(?:%|pp|bp|x|ms|s|min|h|million|billion|trillion)(?![A-Za-z]))"
    r"|(?<=[0-9] min) (?=[0-9]+ s\b)|(?<=[0-9] h) (?=[0-9]+ min\b)"
)
"""Between a number and its unit, and within a span of time: where no line may end."""

_NUMBER = re.compile(r"\s*([-+]?)\s*([0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)")


def render(page: Page) -> str:
    """The document. Raises `ValueError` for ids that are no slugs or stand there twice. Same page, same bytes."""
    sections = [section for section in page.sections if section.parts]
    parts = list(_parts(sections))
    _check_ids([section.id for section in sections], parts)
    charts = [part for part in parts if isinstance(part, Chart)]
    widgets = [part for part in parts if isinstance(part, Widget)]
    kinds = list(dict.fromkeys(widget.kind for widget in widgets))
    scripts = [_asset("echarts.min.js")] if charts or widgets else []
    scripts += [_asset("page.js"), *(_asset(f"{_checked(kind, _KIND)}.js") for kind in kinds)]
    style = _style(kinds, {chart.height for chart in charts})
    data = [(f"data-{chart.id}", script_json(cleaned(chart.option, chart=True))) for chart in charts]
    data += [(f"data-{widget.id}", script_json(cleaned(widget.data))) for widget in widgets]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            sections=sections,
            policy=_policy(scripts, [style]),
            scripts=scripts,
            style=style,
            data=data,
        )
    )


def sort_keys(table: Table, row: int) -> Sequence[str]:
    """Sort keys of a row's cells as texts, "" where there is none."""
    if not table.sortable:
        return [""] * len(table.rows[row])
    if table.keys:
        return ["" if key is None else repr(float(key)) for key in table.keys[row]]
    return [_number(cell) for cell in table.rows[row]]


def _number(cell: str) -> str:
    found = _NUMBER.match(cell)
    return found[1].replace("+", "") + found[2].replace(",", "") if found else ""


def _parts(sections: Iterable[Section]) -> Iterator[Part]:
    for section in sections:
        for part in section.parts:
            yield part
            if isinstance(part, Choice):
                for _, inner in part.options:
                    yield from inner


def _check_ids(sections: Sequence[str], parts: Sequence[Part]) -> None:
    ids = [*sections, *(part.id for part in parts if not isinstance(part, Table))]
    for one in ids:
        _checked(one, _SLUG)
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise ValueError(f"ids stand twice on the page: {', '.join(twice)}")


def _checked(text: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} must match {pattern.pattern}")
    return text


def _style(kinds: Sequence[str], heights: Iterable[int]) -> str:
    """Style sheets, with a rule for each height in use: attributes may not carry styles."""
    sheets = [_asset("page.css"), *(_asset(f"{kind}.css") for kind in kinds if (ASSETS / f"{kind}.css").is_file())]
    return "".join([*sheets, *(f".h{int(height)}{{height:{int(height)}px}}\n" for height in sorted(heights))])


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    def allowed(texts: Sequence[str]) -> str:
        return " ".join(f"'sha256-{_sha256(text)}'" for text in texts) or "'none'"

    return (
        f"default-src 'none'; script-src {allowed(scripts)}; style-src {allowed(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@cache
def _asset(name: str) -> str:
    """An asset's text, as it can stand in a script or style element (line ends as a browser reads them)."""
    text = (ASSETS / name).read_text(encoding="utf-8").replace("\r\n", "\n")
    if "</script" in text.lower() or "</style" in text.lower() or "<!--" in text:
        raise ValueError(f"{name}: would end or hide its own element")
    return text


@cache
def _environment() -> Environment:
    def shown(value: Any) -> Any:
        return visible(value) if type(value) is str else value

    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["lines"] = lambda text: escape(visible(text, keep="\n\t"))  # Markup: `shown` leaves it alone
    environment.filters["unbroken"] = lambda text: Markup(_SPACE.sub("\u00a0", escape(visible(text))))  # noqa: S704
    environment.tests["chart"] = lambda part: isinstance(part, Chart)
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["widget"] = lambda part: isinstance(part, Widget)
    environment.tests["choice"] = lambda part: isinstance(part, Choice)
    environment.globals["sort_keys"] = sort_keys
    return environment
