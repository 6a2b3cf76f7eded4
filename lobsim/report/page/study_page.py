"""The page of a study (`lobsim sweep`, `lobsim ablate`): distributions over seeds, from the study's folder alone.

A study that was stopped has a page too: it shows the runs that are there and says which are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lobsim.errors import RunError
from lobsim.report.page import study_sections as sections
from lobsim.report.page.ablation_sections import ablation_sections, effect_sentence, shown_labels
from lobsim.report.page.model import BigFigure, Headline, Page, Provenance
from lobsim.report.page.render import render
from lobsim.report.page.study_words import (
    command,
    difference_text,
    interval_text,
    seeds_text,
    shown,
    title,
)
from lobsim.report.wording import NOTHING, percent
from lobsim.report.wording import span as duration
from lobsim.sweep.ablation import plan_of
from lobsim.sweep.cells import HEADLINES, CellSummary, cell_summaries, headlines, is_flag
from lobsim.sweep.effects import Ablation, read_ablation
from lobsim.sweep.files import StudyFile
from lobsim.sweep.statistics import share_interval
from lobsim.sweep.store import read_study_file
from lobsim.sweep.study import Study, read_study

_MOST_OUTCOMES = 16
_MOST_ABLATED = 6


def study_html(folder: Path, outcomes: Sequence[str] = ()) -> str:
    """The page of a study's folder as HTML; raises `RunError` for a folder without one."""
    return render(study_page(folder, outcomes))


def study_page(folder: Path, outcomes: Sequence[str] = ()) -> Page:
    """Everything that the page shows. outcomes: shown before those that are shown anyway; raises `RunError`."""
    file = read_study_file(folder)
    study = read_study(folder)
    asked = [*outcomes, *([file.ablation.outcome] if file.ablation else [])]
    wanted = _wanted(study, asked)
    names = shown_labels(file.ablation, study) if file.ablation else study.names
    ablations = _ablations(file, study, wanted)
    rows = {outcome: cell_summaries(study, outcome) for outcome in wanted}
    found = [
        *ablation_sections(ablations, file.ablation),
        sections.spreads(study, names, rows),
        sections.crashes(study, names),
        sections.differences(study, rows) if not ablations else None,
        sections.scores(study, names),
        sections.settings(study, file),
        sections.runs(study),
    ]
    return Page(
        title=f"{study.scenario}: {'ablation' if file.ablation else 'sweep'}",
        subtitle=f"{_count(len(study.labels), 'setting')}, {_count(len(study.seeds), 'seed')}: "
        f"{len(study.records) - len(study.failures):,} of {len(study.labels) * len(study.seeds):,} runs finished",
        headline=Headline(_sentence(study, ablations, rows), _figures(study, ablations, rows), _warning(study)),
        sections=[section for section in found if section is not None and section.parts],
        provenance=_provenance(study, file),
    )


def _wanted(study: Study, asked: Sequence[str]) -> list[str]:
    found = dict.fromkeys(
        [*(one for one in asked if one in study.outcomes), *headlines(study), *HEADLINES, *study.outcomes]
    )
    known = [one for one in found if one in study.outcomes and not one.startswith(("fall.", "low."))]
    varied = [one for one in known if len(_distinct(study, one)) > 1 or one in asked or one == HEADLINES[0]]
    return varied[:_MOST_OUTCOMES]


def _distinct(study: Study, outcome: str) -> set[float]:
    return {value for label in study.labels for value in study.values(label, outcome) if value is not None}


def _ablations(file: StudyFile, study: Study, wanted: Sequence[str]) -> list[Ablation]:
    """Readings of every outcome that all combinations have for some seed, the one that was asked about first."""
    if file.ablation is None:
        return []
    plan, found = plan_of(file.ablation), []
    order = dict.fromkeys([file.ablation.outcome, *wanted])
    for outcome in [one for one in order if one in study.outcomes][:_MOST_ABLATED]:
        try:
            found.append(read_ablation(plan, study, outcome))
        except RunError:  # a run of each seed is missing, or has no such figure
            continue
    return found


# --- the headline -----------------------------------------------------------------------------------------------------


def _warning(study: Study) -> str:
    wanted, there, failed = len(study.labels) * len(study.seeds), len(study.records), len(study.failures)
    if study.complete:
        return ""
    told = [f"{wanted - there:,} are missing"] if there < wanted else []
    told += [f"{failed:,} failed"] if failed else []
    return f"UNFINISHED STUDY: of {wanted:,} runs {' and '.join(told)}; all that follows is about the others."


def _sentence(study: Study, ablations: Sequence[Ablation], rows: dict[str, list[CellSummary]]) -> str:
    if ablations:
        return effect_sentence(ablations[0])
    outcome = next(iter(rows), None)
    if outcome is None:
        return "No run of this study was finished."
    name = title(outcome)
    first, *others = rows[outcome]
    if not others or first.quartiles is None:
        return _alone(study, first, name)
    moved = [row for row in others if row.difference is not None and row.difference.excludes_zero]
    if not moved:
        rest = f"none of the other {len(others)} settings moves" if others[1:] else f"{others[0].name} does not move"
        return (
            f"{name[0].upper()}{name[1:]}: {_middle(first)} with {first.name}; {rest} it "
            f"beyond what chance explains ({_seeds(study)})."
        )
    most = max(moved, key=lambda row: abs(row.difference.value) if row.difference else 0.0)
    change = difference_text(most.difference, outcome)
    return f"{name[0].upper()}{name[1:]}: {_middle(first)} with {first.name}; {most.name} moves it most, by {change}."


def _alone(study: Study, row: CellSummary, name: str) -> str:
    if row.quartiles is None:
        return "No run of this study was finished."
    crashes = share_interval([value for value in study.values(row.label, "crashed") if value is not None])
    told = f"Over {_seeds(study)} the median of the {name} is {shown(row.quartiles.median, row.outcome)}"
    if row.quartiles.n > 1:
        low, high = (shown(value, row.outcome) for value in (row.quartiles.low, row.quartiles.high))
        told += f", half of the runs lie between {low} and {high}"
    if crashes is not None and row.outcome == HEADLINES[0]:
        told += f"; {round(crashes.value * crashes.n)} of {crashes.n} crash"
    return f"{told}."


def _middle(row: CellSummary) -> str:
    if is_flag(row.outcome):
        return NOTHING if row.mean is None else percent(row.mean.value, 0)
    return f"median {shown(row.quartiles.median if row.quartiles else None, row.outcome)}"


def _figures(study: Study, ablations: Sequence[Ablation], rows: dict[str, list[CellSummary]]) -> list[BigFigure]:
    figures = []
    if ablations:
        found = ablations[0]
        name = title(found.outcome)
        figures.append(
            BigFigure(
                shown(found.everything.mean.value, found.outcome),
                f"{name}, everything on",
                _of(interval_text(found.everything.mean, found.outcome)),
            )
        )
        if found.shock is not None:
            told = _of(interval_text(found.shock.mean, found.outcome))
            figures.append(BigFigure(shown(found.shock.mean.value, found.outcome), f"{name}, the shock alone", told))
    else:
        for outcome, cells in list(rows.items())[:2]:
            row = cells[0]
            if row.quartiles is None:
                continue
            if is_flag(outcome):
                figures.append(BigFigure(_middle(row), f"{title(outcome)}, {row.name}", f"{row.known} seeds"))
                continue
            low, high = (shown(value, outcome) for value in (row.quartiles.low, row.quartiles.high))
            figures.append(
                BigFigure(
                    shown(row.quartiles.median, outcome), f"{title(outcome)}, {row.name}", f"quartiles {low} to {high}"
                )
            )
    crashes = share_interval([value for value in study.values(study.labels[0], "crashed") if value is not None])
    if crashes is not None and not (not ablations and "crashed" in list(rows)[:2]):
        told = f"{round(crashes.value * crashes.n)} of {crashes.n}, {study.names[study.labels[0]]}"
        figures.append(BigFigure(percent(crashes.value, 0), "of the runs crash", told))
    done, wanted = len(study.records) - len(study.failures), len(study.labels) * len(study.seeds)
    told = f"of {wanted:,}" + (f", {len(study.failures)} failed" if study.failures else "")
    return [*figures, BigFigure(f"{done:,}", "runs finished", told)]


def _of(text: str) -> str:
    return f"mean; 95 % interval {text}" if text else ""


def _seeds(study: Study) -> str:
    return _count(len(study.seeds), "seed")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# --- provenance -------------------------------------------------------------------------------------------------------


def _provenance(study: Study, file: StudyFile) -> Provenance:
    header = file.header
    facts = [
        ("study", str(study.folder)),
        ("scenario", f"{header.scenario}, {header.file}"),
        ("SHA-256 of the scenario", header.fingerprint),
        ("seeds", seeds_text(study.seeds)),
        ("runs until", "the scenario's end" if header.until_ns is None else duration(header.until_ns)),
        ("made by", f"lobsim {header.lobsim}"),
        ("intervals", "95 %: bootstrap of means over seeds, Wilson for shares, Bonett and Price for paired shares"),
    ]
    note = "The same command in the same folder makes only the runs that are missing, and this page again."
    if study.complete:
        note += " results.parquet in the folder has every outcome of every run."
    return Provenance(facts, [command(file, study)], note=note)
