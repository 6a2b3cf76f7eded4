"""Tables for runs of many instruments: one row per group instead of one section per instrument."""

from __future__ import annotations

from collections.abc import Sequence

from lobsim.measure.attribution import attribution
from lobsim.measure.flows import sold_by_purpose
from lobsim.measure.measures import INSTRUMENT_MEASURES, Figures, median
from lobsim.measure.study import Path
from lobsim.report.section import NO_SECTION, Section
from lobsim.report.wording import NOTHING, amount, multiple, percent, seconds, words

_LEAST_SHARE = 0.005


def looked_at(study: Figures) -> dict[str, tuple[str, ...]]:
    """Groups that a table has a row for: those of the run, or all instruments, focus first."""
    named = {group: members for group, members in study.run.groups.items() if members}
    if not named:
        return {"all" if len(study.focus) > 1 else study.focus[0]: study.focus} if study.focus else {}
    return dict(sorted(named.items(), key=lambda item: item[0] != study.run.focus))


def prices(study: Figures) -> Section:
    """Fall, low and recovery of every group: medians, and the range of the falls."""
    rows = []
    for group, members in looked_at(study).items():
        paths = study.paths_of(members)
        if not paths:
            continue
        falls = [path.fall or 0.0 for path in paths]
        rows.append(
            (
                group,
                str(len(paths)),
                percent(median(falls)),
                f"{percent(min(falls))} to {percent(max(falls))}" if len(falls) > 1 else "",
                *(seconds(_median(study, paths, key)) for key in ("crossing", "to_low", "half_recovery")),
                percent(_median(study, paths, "end_over_start")),
            )
        )
    header = ("", "books", "fall", "range", "10 % down after", "then to the low", "half made up after", "at the end")
    what = "Prices by group: medians" if len(study.run.instruments) > 1 else "The price"
    return Section(f"{what}, times on a 60 s average", header, rows)


def liquidity(study: Figures) -> Section:
    """What was left of the bids, and how far a million went, per group."""
    rows = []
    for group, members in looked_at(study).items():
        paths = study.paths_of(members)
        lost = _median(study, paths, "depth_lost")
        ratio = _median(study, paths, "impact_ratio")
        worst = _median(study, paths, "worst_impact_ratio")
        if lost is not None or ratio is not None:
            rows.append((group, NOTHING if lost is None else percent(1 - lost, 2), multiple(ratio), multiple(worst)))
    header = ("", "bids left within 1 %", "move per $M, vacuum over calm", "worst minute over calm")
    what = "books became: medians" if len(study.run.instruments) > 1 else "book became"
    return Section(f"How thin the {what}", header, rows)


def pushers(study: Figures) -> Section:
    """Whose aggressive orders made the focus group fall: exact shares of the mean fall."""
    found = attribution(study)
    if not found.fall:
        return NO_SECTION
    sold = {purpose.name: value for purpose, value in sold_by_purpose(study).items()}
    ranked = sorted(found.new_lows.items(), key=lambda item: -item[1])
    rows = [
        (
            words(purpose),
            amount(round(sold.get(purpose, 0.0))),
            percent(float(share / found.fall)),
            percent(float(found.moves.get(purpose, 0) / found.fall)),
        )
        for purpose, share in ranked
        if share / found.fall >= _LEAST_SHARE
    ]
    what = found.instruments[0] if len(found.instruments) == 1 else f"the {len(found.instruments)} of the focus group"
    mean = " on average" if len(found.instruments) > 1 else ""
    title = f"Whose orders took {what} down {percent(float(found.fall))}{mean}"
    when = "since the shock" if study.shock_ns is not None else "over the run"
    header = ("orders", f"sold at market {when}, {study.run.numeraire}", "share of new lows", "of all moves")
    return Section(title, header, rows)


def _median(study: Figures, paths: Sequence[Path], key: str) -> float | None:
    return median([INSTRUMENT_MEASURES[key].compute(study, path) for path in paths])
