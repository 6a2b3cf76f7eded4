"""Templates: what repeats, what formulas give, what is refused, and where faults are said to stand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lobsim.errors import ScenarioError
from lobsim.scenario.expand import TemplateError, expand
from lobsim.scenario.extend import extend

COINS = {"coin": {"AVAX": {"price": Decimal("28.5"), "volume": 900}, "ATOM": {"price": Decimal("4"), "volume": 50}}}

_BAD_ROWS = [3, {"coin": 3}, {"coin": {}}, {"coin": {"A": 3}}, {"let": {"A": {}}}, {"a-b": {"A": {}}}]


def test_a_document_without_templates_is_untouched():
    document = {"a": {"b": "{not a formula"}, "c": [1, "x"]}
    assert expand(document) == (document, {})


def test_a_table_is_repeated_for_every_row_and_says_where_it_was_written():
    written = {"each": COINS, "instruments": {"{coin}-USDT": {"base": "{coin}", "start": "{coin.price}"}}}
    result, origins = expand(written)
    assert result == {
        "instruments": {
            "AVAX-USDT": {"base": "AVAX", "start": Decimal("28.5")},
            "ATOM-USDT": {"base": "ATOM", "start": Decimal("4")},
        }
    }
    assert origins["instruments.ATOM-USDT"] == "instruments.{coin}-USDT"


def test_list_entries_are_repeated_in_place():
    written = {"each": COINS, "groups": {"all": ["BTC", "{coin}-USDT", "USDE"]}, "pairs": [{"i": "{coin}"}, {"i": "x"}]}
    result, origins = expand(written)
    assert result["groups"]["all"] == ["BTC", "AVAX-USDT", "ATOM-USDT", "USDE"]
    assert result["pairs"] == [{"i": "AVAX"}, {"i": "ATOM"}, {"i": "x"}]
    assert origins["pairs[2]"] == "pairs[1]"


def test_two_variables_make_every_combination_in_order():
    written = {"each": {"a": {"1": {}, "2": {}}, "b": {"x": {}, "y": {}}}, "t": {"{a}{b}": {"v": "{b}-{a}"}}}
    assert list(expand(written)[0]["t"]) == ["1x", "1y", "2x", "2y"]


@given(st.floats(-1e6, 1e6), st.floats(1, 1e6), st.integers(-100, 100))
def test_formulas_are_arithmetic(x, y, n):
    written = {"let": {"x": x, "y": y, "n": n}, "v": {"q": "{(let.x + let.n) * 2 / let.y - -let.n ** 2}"}}
    assert expand(written)[0]["v"]["q"] == pytest.approx((x + n) * 2 / y - -(float(n) ** 2))


def test_a_field_alone_keeps_its_type_and_within_a_text_becomes_text():
    written = {"let": {"on": True, "many": 3, "word": "last"}, "v": ["{let.on}", "{let.many}", "a {let.word} b"]}
    assert expand(written)[0]["v"] == [True, 3, "a last b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{coin.price}", "nothing is called 'coin'"),
        ("{let.none}", "let has no field 'none'"),
        ("{let.word * 2}", "not a number"),
        ("{let.on * 2}", "not a number"),
        ("{1 / 0}", "cannot compute"),
        ("{9 ** 9 ** 9}", "cannot compute"),
        ("{(-8) ** 0.5}", "cannot compute"),
        ("{__import__('os')}", "only fields"),
        ("{let.x if 1 else 2}", "only fields"),
        ("{1 +}", "is no formula"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_place(text, said):
    with pytest.raises(TemplateError, match=r"a\.b: .*") as fault:
        expand({"let": {"word": "w", "on": True, "x": 1}, "each": {"row": {"r": {}}}, "a": {"b": text}})
    assert said in str(fault.value)


@pytest.mark.parametrize("each", _BAD_ROWS)
def test_rows_must_be_tables_of_tables(each):
    with pytest.raises(ScenarioError, match="each"):
        expand({"each": each})


def test_growth_is_bounded():
    rows = {str(number): {} for number in range(400)}
    with pytest.raises(TemplateError, match="grow into more than"):
        expand({"each": {"a": rows, "b": rows}, "t": {"{a}-{b}": {"v": 1}}})


def test_a_table_cannot_be_made_twice():
    with pytest.raises(TemplateError, match="a second time"):
        expand({"each": COINS, "t": {"AVAX": {}, "{coin}": {}}})


# --- one file built on another ---


def test_a_file_takes_what_it_does_not_say_from_its_base(tmp_path):
    files = {
        "base.toml": {"a": {"x": 1, "y": [1, 2], "z": {"deep": 1}}, "gone": {"k": 1}},
        "middle.toml": {"extends": "base.toml", "a": {"y": [3]}},
        "own.toml": {"extends": "middle.toml", "without": ["gone", "a.z.deep"], "a": {"x": 2, "z": {"new": 2}}},
    }
    result = extend(tmp_path / "own.toml", files["own.toml"], lambda path: files[path.name])
    assert result == {"a": {"x": 2, "y": [3], "z": {"new": 2}}}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"extends": 3}, "the name of a scenario file is wanted"),
        ({"extends": "../other.toml"}, "leads out of the folder"),
        ({"extends": "own.toml"}, "leads back to itself"),
        ({"extends": "base.toml", "without": ["nothing"]}, "'nothing' is not in the file"),
        ({"extends": "base.toml", "without": "a"}, "a list of keys"),
        ({"without": ["a"]}, "extends none"),
    ],
)
def test_bases_that_cannot_be_are_refused(tmp_path, document, said):
    with pytest.raises(ScenarioError, match=r"own\.toml") as fault:
        extend(tmp_path / "own.toml", document, lambda path: {"a": 1})
    assert said in str(fault.value)
