"""Tables written once for many: ``[each.coin]`` lists rows, ``{coin}`` and ``{coin.field}`` stand for one of them.

A table or a list entry that mentions a row variable is repeated for every row; ``{...}`` inside texts becomes the row's
name, one of its fields, or the value of a small formula over fields and the knobs of ``[let]``:

    [let]
    size = 2.0
    [each.coin]
    AVAX = { price = "28", volume = 900 }
    [agents."noise-{coin}"]
    instrument = "{coin}-USDT"
    market_qty = "{coin.volume * let.size / 100}"

Formulas know numbers, + - * / ** and parentheses. A text that is nothing but one formula becomes its value.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lobsim.errors import ScenarioError

MAX_TABLES = 100_000
"""Most tables, entries and texts that templates may grow into."""

MAX_CHARACTERS = 20_000_000
"""Most characters of all texts together that templates may grow into."""

_HOLE = re.compile(r"\{([^{}]{1,200})\}")
_KEPT = ("each", "let", "variants", "mechanisms")
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}

Bound = Mapping[str, tuple[str, Mapping[str, Any]]]


class TemplateError(ScenarioError):
    """What is wrong, and the key path it is wrong at, first."""


def expand(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The document with all templates written out, and where each repeated table was written: {path: written path}.

    A document without ``each`` and ``let`` comes back as it is. Raises `TemplateError`.
    """
    if "each" not in document and "let" not in document:
        return document, {}
    return _Expansion(document).result()


class _Expansion:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._rows = _rows(document.get("each", {}))
        self._let = _let(document.get("let", {}))
        self._origins: dict[str, str] = {}
        self._count = 0
        self._characters = 0

    def result(self) -> tuple[dict[str, Any], dict[str, str]]:
        kept = {key: value for key, value in self._document.items() if key in ("variants", "mechanisms")}
        rest = {key: value for key, value in self._document.items() if key not in _KEPT}
        return {**self._table(rest, {}, "", ""), **kept}, self._origins

    def _table(self, table: Mapping[str, Any], bound: Bound, path: str, written: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in table.items():
            where = f"{written}.{key}" if written else key
            for binding in self._bindings(self._free(key, bound, where), bound):
                name = self._text(key, binding, where)
                if not isinstance(name, str):
                    name = str(name)
                if name in result:
                    raise TemplateError(f"{where}: becomes {name!r} a second time")
                here = f"{path}.{name}" if path else name
                if here != where:
                    self._origins[here] = where
                result[name] = self._value(value, binding, here, where)
        return result

    def _value(self, value: Any, bound: Bound, path: str, written: str) -> Any:
        self._count += 1
        if self._count > MAX_TABLES:
            raise TemplateError(f"{written}: templates grow into more than {MAX_TABLES} entries")
        if isinstance(value, dict):
            return self._table(value, bound, path, written)
        if isinstance(value, list):
            return list(self._entries(value, bound, path, written))
        if isinstance(value, str):
            return self._text(value, bound, written)
        return value

    def _entries(self, values: list[Any], bound: Bound, path: str, written: str) -> Iterator[Any]:
        count = 0
        for number, value in enumerate(values):
            where = f"{written}[{number}]"
            for binding in self._bindings(self._free_in(value, bound, where), bound):
                here = f"{path}[{count}]"
                if here != where:
                    self._origins[here] = where
                yield self._value(value, binding, here, where)
                count += 1

    def _bindings(self, free: list[str], bound: Bound) -> Iterator[Bound]:
        if not free:
            yield bound
            return
        for name, fields in self._rows[free[0]].items():
            yield from self._bindings(free[1:], {**bound, free[0]: (name, fields)})

    def _free(self, text: str, bound: Bound, where: str) -> list[str]:
        """Row variables in a text that have no row yet, in order of appearance."""
        found: list[str] = []
        for hole in _HOLE.findall(text):
            for name in _names(_formula(hole, where)):
                if name in self._rows and name not in bound and name not in found:
                    found.append(name)
        return found

    def _free_in(self, value: Any, bound: Bound, where: str) -> list[str]:
        """The same over all texts of a list entry; keys of tables in it repeat those tables, not the entry."""
        if isinstance(value, str):
            return self._free(value, bound, where)
        if isinstance(value, dict):
            found: list[str] = []
            for item in value.values():
                found += [name for name in self._free_in(item, bound, where) if name not in found]
            return found
        return []

    def _text(self, text: str, bound: Bound, where: str) -> Any:
        whole = _HOLE.fullmatch(text)
        if whole:
            return self._evaluate(_formula(whole[1], where), bound, where)
        return _HOLE.sub(
            lambda hole: self._filled(str(self._evaluate(_formula(hole[1], where), bound, where)), where), text
        )

    def _filled(self, text: str, where: str) -> str:
        """What stands in a hole: a few small tables must not become more text than fits into memory."""
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise TemplateError(f"{where}: templates grow into more than {MAX_CHARACTERS} characters")
        return text

    def _evaluate(self, node: ast.expr, bound: Bound, where: str) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in bound:
                return bound[node.id][0]
            raise TemplateError(f"{where}: nothing is called {node.id!r} here ({self._known(bound)})")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self._field(node.value.id, node.attr, bound, where)
        if isinstance(node, ast.UnaryOp):
            return -self._numeric(node.operand, bound, where)
        assert isinstance(node, ast.BinOp)
        left, right = (self._numeric(side, bound, where) for side in (node.left, node.right))
        try:
            value = _OPERATORS[type(node.op)](left, right)
        except (ZeroDivisionError, OverflowError) as fault:
            raise TemplateError(f"{where}: cannot compute {ast.unparse(node)}: {fault}") from None
        if isinstance(value, complex) or abs(value) > 1e30:
            raise TemplateError(f"{where}: cannot compute {ast.unparse(node)}: {value}")
        return value

    def _field(self, table: str, field: str, bound: Bound, where: str) -> Any:
        fields = self._let if table == "let" else bound[table][1] if table in bound else None
        if fields is None:
            raise TemplateError(f"{where}: nothing is called {table!r} here ({self._known(bound)})")
        if field not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise TemplateError(f"{where}: {table} has no field {field!r} (known: {known})")
        return fields[field]

    def _numeric(self, node: ast.expr, bound: Bound, where: str) -> float:
        value = self._evaluate(node, bound, where)
        try:
            if isinstance(value, bool):
                raise ValueError
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise TemplateError(f"{where}: {ast.unparse(node)} is {value!r:.60}, not a number of sane size") from None

    def _known(self, bound: Bound) -> str:
        return "known: " + (", ".join([*bound, *(["let"] if self._let else [])]) or "none")


def _rows(each: Any) -> dict[str, dict[str, dict[str, Any]]]:
    if not isinstance(each, dict):
        raise TemplateError("each: must be a table of tables")
    for variable, rows in each.items():
        if not variable.isidentifier() or variable == "let":
            raise TemplateError(f"each.{variable}: a variable is one word of letters, digits and _, and not 'let'")
        if not isinstance(rows, dict) or not rows:
            raise TemplateError(f"each.{variable}: must be a table with at least one row")
        for row, fields in rows.items():
            if not isinstance(fields, dict):
                raise TemplateError(f"each.{variable}.{row}: must be a table of fields, e.g. {{ price = 1.5 }}")
    return each


def _let(let: Any) -> dict[str, Any]:
    if not isinstance(let, dict) or any(isinstance(value, dict | list) for value in let.values()):
        raise TemplateError("let: must be a table of plain values")
    return let


def _formula(text: str, where: str) -> ast.expr:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise TemplateError(f"{where}: {{{text}}} is no formula") from None
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and not isinstance(part.value, ast.Name):
            raise TemplateError(f"{where}: {{{text}}}: a field is written as row.field or let.field")
        plain = (ast.Name, ast.Attribute, ast.Load, ast.USub, *_OPERATORS)
        number = isinstance(part, ast.Constant) and type(part.value) in (int, float)
        operation = isinstance(part, ast.BinOp) and type(part.op) in _OPERATORS
        negation = isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub)
        if not (number or operation or negation or isinstance(part, plain)):
            raise TemplateError(f"{where}: {{{text}}}: only fields, numbers, + - * / ** and parentheses may stand here")
    return node


def _names(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
