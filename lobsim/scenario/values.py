"""Values that all tables of a scenario file share: exact decimals and shares."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from lobsim.agents.base import Share
from lobsim.errors import GridError
from lobsim.units import parse_decimal


def _decimal(value: object) -> Decimal:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise ValueError("a decimal number is wanted, e.g. '0.01'")
    try:
        return parse_decimal(value)
    except GridError as fault:
        raise ValueError(str(fault)) from None


Exact = Annotated[Decimal, BeforeValidator(_decimal, json_schema_input_type=str | float), PlainSerializer(str)]
PositiveShare = Annotated[Share, Field(ge=1e-6)]
PositiveExact = Annotated[Exact, Field(gt=0, le=10**15)]
