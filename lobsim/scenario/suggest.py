"""The key that was meant: which of those that a table may have an unknown one is nearest to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

_LIKENESS = 0.75
_LONGEST = 60  # comparing takes time with the square of the length, and no key is as long


def did_you_mean(model: type[BaseModel], path: Sequence[str | int]) -> str:
    """What to add to the message about an unknown key at a path of pydantic's; "" where no key is near."""
    *tables, key = path
    found: list[Any] = [model]
    for part in tables:
        found = [inner for kind in found for inner in _below(kind, part)]
    known = {name for kind in found if _is_model(kind) for name in kind.model_fields}
    near = get_close_matches(str(key), sorted(known), 1, _LIKENESS) if len(str(key)) <= _LONGEST else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    """Types one step below; the step may also be the value of `kind` that chose among models."""
    if _is_model(kind):
        fields = kind.model_fields
        if part in fields:
            yield from _alternatives(fields[part].annotation)
        elif "kind" in fields and part in get_args(fields["kind"].annotation):
            yield kind
    elif get_origin(kind) in (dict, tuple):
        yield from _alternatives(get_args(kind)[0 if get_origin(kind) is tuple else 1])


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types of a union one by one; another type by itself."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
