"""A page is one file that asks for nothing, runs nothing but its own scripts, and shows every text as text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.report.page import (
    BigFigure,
    Chart,
    Choice,
    Headline,
    Page,
    Provenance,
    Section,
    Table,
    Widget,
    charts,
    render,
)
from lobsim.report.page.render import ASSETS, sort_keys
from lobsim.report.page.text import cleaned, script_json, visible

HOSTILE = (
    "</script><script>hacked=1</script><b>\"x'</b>{a|b}{c} =cmd() \x1b[31m \u202e \x00 <!-- &amp; {{ 7*7 }} {% x %}"
)
CLOCK = charts.Clock(1_760_000_000_000, 60 * 10**9)


class Reader(HTMLParser):
    """Elements with their attributes, and the texts of scripts, styles and everything else."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "": []}
        self.inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data):
        self.texts[self.inside[-1] if self.inside else ""].append(data)

    def data(self, name):
        return json.loads(
            next(
                text
                for (_, found), text in zip(
                    [one for one in self.elements if one[0] == "script"], self.texts["script"], strict=True
                )
                if found.get("id") == name
            )
        )


def full_page(text: str) -> Page:
    lines = [charts.Line(text, [0, 10**9], [1.0, 2.0])]
    chart = Chart(
        "prices",
        charts.time_lines(CLOCK, lines, charts.Axis(text), marks=[charts.Mark(0, text, text)]),
        300,
        text,
        text,
    )
    inner = Chart("inner", charts.waterfall([(text, 0.5)], charts.Axis("", "percent"), total=text))
    table = Table((text, "n"), [(text, "1.5 %")], sortable=True, note=text, title=text)
    choice = Choice("choice", text, [(text, [inner, table]), ("other", [])])
    section = Section("first", text, text, [chart, table, choice, Widget("book", "book", {"name": text})], text)
    proof = Provenance([(text, text)], [text], text, f"{text}\n\tend", text)
    return Page(text, text, Headline(text, [BigFigure(text, text, text)], text, text), [section], proof)


@pytest.fixture(scope="module")
def hostile() -> Reader:
    return Reader(render(full_page(HOSTILE)))


def test_hostile_text_is_text_in_html(hostile):
    said = "".join(hostile.texts[""])
    assert said.count(visible(HOSTILE)) >= 15
    assert "hacked" not in "".join(text for text in hostile.texts["script"] if not text.lstrip().startswith("{"))
    assert not [one for one in hostile.elements if one[0] in ("b", "img", "iframe", "object", "embed", "link", "base")]


def test_hostile_text_is_text_in_attributes(hostile):
    assert {found["aria-label"] for tag, found in hostile.elements if found.get("role") == "img"} >= {visible(HOSTILE)}


def test_hostile_text_is_text_in_script_data(hostile):
    option = hostile.data("data-prices")
    assert option["series"][0]["name"] == option["legend"]["data"][0] == option["yAxis"][0]["name"] == visible(HOSTILE)
    assert option["$marks"][0][2] == visible(HOSTILE)
    assert hostile.data("data-inner")["yAxis"]["data"] == [visible(HOSTILE)] * 2
    assert hostile.data("data-book")["name"] == visible(HOSTILE)


@given(st.text())
def test_any_text_can_stand_in_a_script(text):
    written = script_json({"text": text})
    assert json.loads(written) == {"text": text}
    assert not set(written) & set("<>&\u2028\u2029")
    assert written.isascii()


@given(st.text())
def test_visible_text_obeys_nothing(text):
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)
    assert all(line.replace("\t", "").isprintable() for line in visible(text, keep="\n\t").split("\n"))


def test_line_ends_of_the_source_stay(hostile):
    assert visible(HOSTILE) + "\n\tend" in hostile.texts[""]


def test_only_hashed_scripts_and_styles_and_nothing_from_outside(hostile):
    policy = next(
        found["content"] for _, found in hostile.elements if found.get("http-equiv") == "Content-Security-Policy"
    )
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    code = [text for text in hostile.texts["script"] if not text.startswith(("{", "["))]
    for texts, name in ((code, "script-src"), (hostile.texts["style"], "style-src")):
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert rules[name] == [f"'sha256-{one}'" for one in hashes]
    for tag, found in hostile.elements:
        assert not {"src", "style", "srcset", "action"} & found.keys()
        assert not [name for name in found if name.startswith("on")]
        assert tag == "a" or "href" not in found
        assert tag != "a" or str(found["href"]).startswith("#")
    head = [tag for tag, _ in hostile.elements[:4]]
    assert head == ["html", "head", "meta", "meta"], "the policy stands before anything that it rules"


def test_same_page_same_bytes():
    assert render(full_page("x")) == render(full_page("x"))


def test_no_picture_no_chart_library():
    page = Page("t", "", Headline("s"), [Section("a", "A", "", [Table(("x",), [("1",)])])], Provenance())
    assert len(render(page)) < 60_000


def test_sections_without_parts_are_left_out():
    page = Page("t", "", Headline("s"), [Section("gone", "Gone", "", [])], Provenance())
    assert "Gone" not in render(page)


@pytest.mark.parametrize("name", ["Big", "1st", "a b", "a<b", "", "x" * 81])
def test_ids_are_slugs(name):
    with pytest.raises(ValueError, match="must match"):
        render(Page("t", "", Headline("s"), [Section(name, "A", "", [Table((), [])])], Provenance()))


def test_ids_stand_once():
    parts = [Chart("a", {}), Widget("a", "book", {})]
    with pytest.raises(ValueError, match="stand twice on the page: a"):
        render(Page("t", "", Headline("s"), [Section("b", "A", "", parts)], Provenance()))


def test_a_widget_of_another_folder_is_refused():
    with pytest.raises(ValueError, match="must match"):
        render(Page("t", "", Headline("s"), [Section("b", "A", "", [Widget("a", "../x", {})])], Provenance()))


@pytest.mark.parametrize(
    "option",
    [
        {"tooltip": {"formatter": "{b}"}},
        {"series": [{"label": {"rich": {"a": {}}}}]},
        {"yAxis": [{"axisLabel": {"formatter": "{value} %"}}]},
        {"tooltip": {"valueFormatter": "x"}},
    ],
)
def test_markup_in_charts_is_refused(option):
    with pytest.raises(ValueError, match="texts must be plain"):
        cleaned(option, chart=True)


def test_what_is_no_data_is_refused():
    with pytest.raises(TypeError, match="no plain data: object"):
        cleaned({"x": object()})


def test_numbers_that_json_lacks_are_none():
    assert cleaned([float("nan"), float("inf"), 1.5, True, None]) == [None, None, 1.5, True, None]


def test_sort_keys():
    table = Table(("a", "b"), [("x", "-1,234.5 %"), ("+3", "-"), ("", ".5")], sortable=True)
    assert [list(sort_keys(table, row)) for row in range(3)] == [["", "-1234.5"], ["3", ""], ["", ".5"]]
    assert sort_keys(table._replace(keys=[[None, 2.0]] * 3), 0) == ["", "2.0"]
    assert sort_keys(table._replace(sortable=False), 0) == ["", ""]


def test_the_vendored_library_carries_its_licence():
    banner = (ASSETS / "echarts.min.js").read_text().splitlines()[0]
    version = re.search(r"Apache ECharts (\S+),", banner)
    assert version is not None
    notice = (ASSETS / "ECHARTS-NOTICE").read_text()
    assert version[1] in notice
    for what in ("The Apache Software Foundation", "zrender", "BSD 3-Clause", "tslib", "d3"):
        assert what in notice
    assert "Apache License" in (ASSETS / "ECHARTS-LICENSE").read_text()


def test_assets_can_stand_inside_a_page():
    for path in ASSETS.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "\r" not in text, path.name
        if path.suffix in (".js", ".css"):
            assert not re.search(r"https?://(?!echarts\.apache\.org|www\.w3\.org|www\.apache\.org)", text), path.name


def test_text_of_the_page_is_escaped_once():
    assert html.escape("a & b") in render(full_page("a & b"))


def test_no_line_ends_between_a_number_and_its_unit():
    page = render(Page("t", "", Headline("1 <b> fell 82.6 % within 8 min 48 s; 5 steps"), [], Provenance()))
    assert "1 &lt;b&gt; fell 82.6\u00a0% within 8\u00a0min\u00a048\u00a0s; 5 steps" in page


def test_a_section_has_a_short_name_where_links_stand():
    parts = [Table(("",), [("x",)])]
    page = render(Page("t", "", Headline("s"), [Section("a", "A long title", "", parts, short="Long")], Provenance()))
    assert '<a href="#a">Long</a>' in page
