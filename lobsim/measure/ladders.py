"""What the credit table of a run adds up to: liquidations by kind over time, insurance, open interest, leverage.

All sums are in the run's numeraire. A row's value counts; rows without one count with their amount when that is in the
numeraire.
"""

from __future__ import annotations

import polars as pl

from lobsim.measure.study import Study

KINDS = {
    "loans": ("loan_liquidation",),
    "accounts": ("account_liquidation_sale",),
    "contracts": ("contract_liquidation_long", "contract_liquidation_short"),
}
"""Forced selling by what was liquidated, as kinds of the credit table."""

LONG, SHORT = KINDS["contracts"]
ALL_KINDS = tuple(kind for kinds in KINDS.values() for kind in kinds)
BAD_DEBT = ("loan_bad_debt", "bad_debt", "contract_uncovered")
"""Debts that no collateral, margin or insurance covered."""


def worth(study: Study) -> pl.Expr:
    """A credit row's value in the numeraire."""
    own = pl.when(pl.col("asset") == study.run.numeraire).then(pl.col("amount").abs())
    return pl.coalesce(pl.col("value").abs(), own, pl.lit(0.0))


def total(study: Study, kinds: tuple[str, ...], until_ns: int | None = None) -> float:
    """Value of all rows of these kinds (before `until_ns`)."""
    rows = study.events(kinds)
    if until_ns is not None:
        rows = rows.filter(pl.col("time_ns") < until_ns)
    return float(rows.select(worth(study).sum()).item() or 0.0)


def amounts(study: Study, kinds: tuple[str, ...]) -> float:
    """Amounts of all rows of these kinds, each asset valued at its price before the shock."""
    sums = study.events(kinds).group_by("asset").agg(pl.col("amount").sum()).sort("asset")
    return sum((float(amount) * study.value_of(asset) for asset, amount in sums.rows()), 0.0)


def ladder(study: Study, step_ns: int) -> pl.DataFrame:
    """Liquidated value and number of rows by kind and by period of `step_ns`: ``begin_ns what count value``."""
    what = pl.col("kind").replace_strict(
        {kind: name for name, kinds in KINDS.items() for kind in kinds}, return_dtype=pl.String
    )
    return (
        study.events(ALL_KINDS)
        .group_by(begin_ns=pl.col("time_ns") // step_ns * step_ns, what=what)
        .agg(pl.len().cast(pl.Int64).alias("count"), worth(study).sum().alias("value"))
        .sort("begin_ns", "what")
    )


def long_share(study: Study) -> float | None:
    """Share of longs in the value of all contract liquidations."""
    longs, shorts = total(study, (LONG,)), total(study, (SHORT,))
    return longs / (longs + shorts) if longs + shorts > 0 else None


def first_adl_delay_s(study: Study) -> float | None:
    """Seconds from the first contract liquidation to the first auto-deleveraging."""
    first, adl = (study.events(kinds)["time_ns"].min() for kinds in (KINDS["contracts"], ("adl",)))
    return None if first is None or adl is None else (int(adl) - int(first)) / 1e9  # type: ignore[arg-type]


def stock(study: Study, kind: str) -> tuple[float, float] | None:
    """A recorded stock (``open_interest``, ``insurance_fund``) in total: at the shock, and at the end of the run.

    In total: the sum over its accounts of the last row at or before that moment. None where it was never recorded.
    """
    rows = study.events((kind,)).with_columns(worth=worth(study)).sort("time_ns", maintain_order=True)
    if not rows.height:
        return None
    sums = [
        part.group_by("account_id", "asset", maintain_order=True).agg(pl.col("worth").last())["worth"].sum()
        for part in (rows.filter(pl.col("time_ns") <= study.from_ns), rows)
    ]
    return float(sums[0] or 0.0), float(sums[1] or 0.0)


def change(study: Study, kind: str) -> float | None:
    """Relative change of a recorded stock from the shock to the end; None where there was none at the shock."""
    levels = stock(study, kind)
    return None if levels is None or levels[0] <= 0 else levels[1] / levels[0] - 1


def open_interest_change(study: Study) -> float | None:
    """Change of the notional value of all open contracts from the shock to the end, as a fraction."""
    return change(study, "open_interest")


def insurance_change(study: Study) -> float | None:
    """Change of all insurance funds of contracts together, from the shock to the end, as a fraction."""
    return change(study, "insurance_fund")


def maker_leverage(study: Study) -> tuple[float | None, float | None]:
    """Median effective leverage of the market makers that were liquidated: before the shock, and when it happened.

    Both are read off the account's last record at or before that moment.
    """
    makers = study.accounts_of_kind("market-maker")
    begun = study.events(("account_liquidation_started",)).filter(pl.col("account_id").is_in(makers))
    first = begun.group_by("account_id").agg(pl.col("time_ns").min().alias("begun_ns"))
    records = study.run.collect(
        study.run.scan("accounts")
        .filter(pl.col("account_id").is_in(first["account_id"].implode()))
        .select("time_ns", "account_id", "leverage_ppm")
    ).join(first, on="account_id")
    levels = []
    for until in (pl.min_horizontal(pl.lit(study.from_ns), "begun_ns"), pl.col("begun_ns")):
        rows = records.filter(pl.col("time_ns") <= until).sort("time_ns", maintain_order=True)
        last = rows.group_by("account_id", maintain_order=True).agg(pl.col("leverage_ppm").last())
        median = last["leverage_ppm"].median()
        levels.append(None if median is None else float(median) / 1e6)  # type: ignore[arg-type]
    return levels[0], levels[1]


def bankruptcies(study: Study) -> pl.DataFrame:
    """Accounts that could not pay, the largest loss first: ``account what time_ns insured uncovered``.

    what: the account's kind. time_ns: when it was noticed first. insured, uncovered: paid by an insurance fund, by
    nobody, in the numeraire at prices before the shock.
    """
    kinds = ("account_bankrupt", "insurance_paid", "loan_bad_debt", "bad_debt")
    rows = study.events(kinds)
    assets = rows["asset"].unique().to_list()
    values = [study.value_of(asset) for asset in assets]
    value = pl.col("amount") * pl.col("asset").replace_strict(assets, values, return_dtype=pl.Float64)
    named = {account_id: info.kind for account_id, info in study.run.accounts_info.items()}
    return (
        rows.with_columns(
            insured=pl.when(pl.col("kind") == "insurance_paid").then(value).otherwise(0.0),
            uncovered=pl.when(pl.col("kind").is_in(BAD_DEBT)).then(value).otherwise(0.0),
            what=pl.col("account_id").replace_strict(named, default="", return_dtype=pl.String),
        )
        .group_by("account_id", "account", "what")
        .agg(pl.col("time_ns").min(), pl.col("insured").sum(), pl.col("uncovered").sum())
        .sort(pl.col("insured") + pl.col("uncovered"), "account_id", descending=[True, False])
        .drop("account_id")
    )
