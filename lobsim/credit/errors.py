"""Errors of credit: what the money side refuses. All derive from `lobsim.errors.LobsimError`.

A venue that checks before it posts never sees `InsufficientFunds` in a settlement; it turns one met in an order check
into a reject event.
"""

from __future__ import annotations

from lobsim.errors import InputError, LobsimError


class CreditError(LobsimError):
    """Base of the errors raised by `lobsim.credit`."""


class InsufficientFunds(CreditError):  # noqa: N818 - the established word, and a state rather than a fault
    """An account's free balance is smaller than what should leave it; nothing was posted."""


class LedgerError(CreditError, ValueError):
    """A posting that makes no sense: unknown account or asset, negative or non-integer amount. Nothing was posted."""


class LoanRefused(CreditError, InputError):  # noqa: N818 - as InsufficientFunds
    """A loan, a further draw or a withdrawal of collateral would stand above the market's maximum LTV."""


class TermsError(CreditError, InputError):
    """Terms of margin or lending that contradict themselves."""


class PositionRefused(CreditError, InputError):  # noqa: N818 - as InsufficientFunds
    """An isolated position would be opened with more leverage than the contract allows."""
