"""The outcome of a run as tables of text: the fall, how it came, depth, who was liquidated, what it cost."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from lobsim.measure import InstrumentSummary, Run
from lobsim.measure.measures import Figures
from lobsim.report import groups
from lobsim.report.section import NO_SECTION, Section
from lobsim.report.wording import NOTHING, amount, basis_points, percent, span, words
from lobsim.units import format_clock

FEW = 8
"""Instruments up to which each one gets sections of its own; above it groups do."""

_MOST_PRICES = 12
_MOST_SHOCKS = 4
_MOST_ASSETS = 3
_LEAST_PUSH = 0.01
_LEAST_FALL = 0.01

Summaries = Mapping[str, InstrumentSummary]


def headline(run: Run, summaries: Summaries) -> str:
    """One sentence: what fell, from where to where, and how fast."""
    traded = [one for one in summaries.values() if one.fall is not None]
    if not traded:
        return "Nothing was traded."
    deepest = max(traded, key=lambda one: one.fall or 0.0)
    what = deepest.instrument if len(summaries) == 1 else f"{len(summaries)} instruments; the deepest, "
    what = what if len(summaries) == 1 else what + deepest.instrument + ","
    since = "" if deepest.ns_to_low is None else f", {span(deepest.ns_to_low)} after {_reference_words(run)}"
    return f"{what} fell {percent(deepest.fall)}, from {deepest.reference} to {deepest.low}{since}."


def outcome(run: Run, summaries: Summaries, study: Figures | None = None) -> list[Section]:
    """All sections that have something to say, in reading order. study: `run`'s, where it was made already."""
    if len(summaries) <= FEW:
        found = [
            _prices(run, summaries),
            _timeline(run, summaries),
            *(_liquidity(one) for one in summaries.values()),
            *(_pushers(one) for one in summaries.values()),
        ]
    else:
        study = study or Figures.of(run)
        found = [
            groups.prices(study),
            _prices(run, summaries),
            _timeline(run, summaries),
            groups.liquidity(study),
            groups.pushers(study),
        ]
    return [section for section in (*found, _liquidated(run), _cost(run)) if section.rows]


def _reference_words(run: Run) -> str:
    return "the shock" if _shock_ns(run) is not None else "the first trade"


def _shock_ns(run: Run) -> int | None:
    """When the run's first exogenous shock came, None when it had none or ended before."""
    when = run.summary.get("shock_ns")
    return when if isinstance(when, int) and when <= run.end_ns else None


def _clock(run: Run, time_ns: int | None) -> str:
    return NOTHING if time_ns is None else format_clock(time_ns, run.start_ns_of_day).replace(".000Z", "Z")


def _prices(run: Run, summaries: Summaries) -> Section:
    before = "before the shock" if _shock_ns(run) is not None else "first trade"
    if len(summaries) == 1:
        return _price_lines(run, before, next(iter(summaries.values())))
    ranked = sorted(summaries.values(), key=lambda one: -(one.fall or 0.0))
    rows = [
        (
            one.instrument,
            *(text or NOTHING for text in (one.reference, one.low)),
            _clock(run, one.low_time_ns),
            percent(one.fall),
            one.close or NOTHING,
        )
        for one in ranked[:_MOST_PRICES]
    ]
    more = len(ranked) - len(rows)
    title = "Prices" + (f" (the {len(rows)} deepest falls; {more} more)" if more > 0 else "")
    return Section(title, ("", before, "low", "at", "fall", "close"), rows)


def _price_lines(run: Run, before: str, one: InstrumentSummary) -> Section:
    if one.low is None:
        return NO_SECTION
    rows = [
        (before, one.reference or NOTHING, ""),
        ("low", one.low, f"at {_clock(run, one.low_time_ns)}, {percent(one.fall)} down"),
        (
            "lowest 1 s average",
            amount(one.low_vwap),
            f"at {_clock(run, one.low_vwap_time_ns)}, {percent(one.vwap_fall)} down",
        ),
        ("close", one.close or NOTHING, f"after {one.trades:,} trades"),
    ]
    return Section(f"Price of {one.instrument}", ("", "", ""), rows, left=3)


def _timeline(run: Run, summaries: Summaries) -> Section:
    """First and last time of each link of the chain."""
    moments: list[tuple[int, str]] = []
    notes = run.milestones
    shocks = notes.filter(pl.col("name").str.starts_with("shock "))
    for time_ns, name, size in shocks.select("time_ns", "name", "amount").head(_MOST_SHOCKS).rows():
        change = "" if size is None else f" {'fell' if size < 0 else 'rose'} by {percent(abs(int(size)) / 1e6)}"
        moments.append((time_ns, f"shock: the outside value of {name.removeprefix('shock ')}{change}"))
    if shocks.height > _MOST_SHOCKS:
        moments.append((int(shocks["time_ns"][_MOST_SHOCKS]), f"{shocks.height - _MOST_SHOCKS} more shocks"))
    for verb, phrase in (("maker_withdrew", "pulled its quotes"), ("maker_returned", "came back, smaller")):
        rows = notes.filter(pl.col("name").str.starts_with(f"{verb} ")).select("time_ns", "name").rows()
        names = {name for _, name in rows}
        if rows:
            moments.append((rows[0][0], f"first market maker {phrase}: {rows[0][1].removeprefix(verb + ' ')}"))
        if len(names) > 1:
            nth = sorted(min(time for time, other in rows if other == name) for name in names)[-1]
            moments.append((nth, f"the last of {len(names)} market makers {phrase}"))
    credit = run.credit
    for kind, phrase in _FIRSTS.items():
        rows = credit.filter(pl.col("kind") == kind).select("time_ns").head(1).rows()
        if rows:
            moments.append((rows[0][0], phrase))
    moments += [
        (one.low_time_ns, f"{one.instrument} at its low, {one.low}: {percent(one.fall)} down")
        for one in sorted(summaries.values(), key=lambda one: -(one.fall or 0.0))[:3]
        if one.low_time_ns is not None and (one.fall or 0.0) >= _LEAST_FALL
    ]
    return Section(
        "What happened", ("", "", ""), [(_clock(run, t), span(t), text) for t, text in sorted(moments)], left=3
    )


_FIRSTS = {
    "account_liquidation_started": "the exchange took over the first margin account",
    "account_bankrupt": "first margin account sold out and under water",
    "loan_liquidation": "first loan liquidated",
    "loan_bad_debt": "first loan whose collateral did not cover its debt",
    "contract_liquidation_long": "first long contract liquidated",
    "contract_liquidation_short": "first short contract liquidated",
    "contract_insurance_paid": "an insurance fund of a contract paid for the first time",
    "adl": "first auto-deleveraging",
    "trading_halted": "trading halted for the first time",
}


def _liquidity(one: InstrumentSummary) -> Section:
    if one.bid_depth_before is None and one.bid_depth_low is None:
        return NO_SECTION
    depths = [one.bid_depth_before, one.bid_depth_low]
    header = ["", "before", "at the low"]
    if one.bid_depth_after is not None:
        depths.append(one.bid_depth_after)
        header.append("40 min later")
    rows = [("bids within 1 % of the best bid", *(amount(value) for value in depths))]
    if one.bid_depth_before:
        shares = [None if value is None else value / one.bid_depth_before for value in depths]
        rows.append(("  of what they were", *(percent(share) for share in shares)))
    spreads = [basis_points(one.spread_before), basis_points(one.spread_low), ""]
    rows.append(("quoted spread", *spreads[: len(depths)]))
    title = f"Liquidity of {one.instrument}"
    if one.no_bid_share:
        title += f" (no bid at all during {percent(one.no_bid_share, 2)} of the time)"
    return Section(title, tuple(header), rows)


def _pushers(one: InstrumentSummary) -> Section:
    """Whose aggressive orders pushed the price below every trade before: shares that sum to the fall."""
    if (one.fall or 0.0) < _LEAST_FALL or not one.fall_ticks:
        return NO_SECTION
    ranked = sorted(one.new_lows_by_purpose.items(), key=lambda item: -item[1])
    rows = [
        (words(purpose), amount(one.volume_by_purpose.get(purpose, 0.0)), percent(ticks / one.fall_ticks))
        for purpose, ticks in ranked
        if ticks / one.fall_ticks >= _LEAST_PUSH
    ]
    return Section(
        f"Whose orders took {one.instrument} to new lows", ("orders", "traded in all", "share of the fall"), rows
    )


def _liquidated(run: Run) -> Section:
    credit = run.credit
    kinds = [info.kind for info in run.accounts_info.values()]
    rows = []
    for kind, sale, label, population in (
        ("loan_liquidation", "loan_liquidation", "loans", ("borrower",)),
        ("account_liquidation_started", "account_liquidation_sale", "margin accounts", ("market-maker", "whale")),
    ):
        hit = credit.filter(pl.col("kind") == kind)
        count = hit["account_id"].n_unique()
        of_them = sum(kinds.count(one) for one in population)
        if not count and not of_them:
            continue
        sales = credit.filter(pl.col("kind") == sale)
        sold = " + ".join(
            f"{amount(quantity)} {asset}"
            for asset, quantity in sales.group_by("asset")
            .agg(pl.col("amount").sum())
            .sort("asset")
            .rows()[:_MOST_ASSETS]
        )
        if sales["asset"].n_unique() > _MOST_ASSETS:
            sold = f"{sales['asset'].n_unique()} assets"
        value = float(sales["value"].sum() or 0)
        rows.append((label, f"{count} of {of_them}", sold or NOTHING, amount(value) if count else NOTHING))
    for kind, label in (("contract_liquidation_long", "long contracts"), ("contract_liquidation_short", "short ones")):
        closed = credit.filter(pl.col("kind") == kind)
        if closed.height:
            rows.append((label, f"{closed.height:,}", NOTHING, amount(float(closed["value"].sum() or 0))))
    worth = f"for, {run.numeraire}" if run.numeraire else "for"
    return Section("Who was liquidated", ("", "how many", "collateral sold", worth), rows)


def _cost(run: Run) -> Section:
    credit = run.credit
    labels = {
        "loan_bad_debt": "debt of loans that no collateral covered",
        "insurance_paid": "paid by the exchange's insurance fund",
        "bad_debt": "debt of margin accounts written off",
        "contract_insurance_paid": "paid by the insurance funds of contracts",
        "contract_uncovered": "losses of contracts that no fund covered",
    }
    rows = []
    for kind, label in labels.items():
        lost = credit.filter(pl.col("kind") == kind)
        for asset, quantity in lost.group_by("asset").agg(pl.col("amount").sum()).sort("asset").rows():
            rows.append((label, f"{amount(quantity)} {asset}"))
    if not rows and credit.height:
        rows.append(("debt that no collateral covered", "none"))
    return Section("What it cost", ("", ""), rows)
