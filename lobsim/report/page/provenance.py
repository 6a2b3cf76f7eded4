"""Where a run's page comes from, and the commands that make run and page again."""

from __future__ import annotations

import tomllib
from shlex import quote

from lobsim import __version__
from lobsim.errors import LobsimError
from lobsim.measure import Run
from lobsim.measure.measures import Figures
from lobsim.records import SCENARIO, TABLES
from lobsim.report.page import timeline
from lobsim.report.page.model import Provenance
from lobsim.report.page.resolved import resolved, scenario_text, table
from lobsim.report.wording import amount, span
from lobsim.scenario import load_scenario
from lobsim.scenario.shipped import shipped
from lobsim.sweep.differences import differences, leaves
from lobsim.units import NS_PER_MINUTE, NS_PER_MS, NS_PER_S, parse_duration

_MOST_SKIPPED = 20
_MOST_SETTINGS = 8


def provenance(study: Figures) -> Provenance:
    """Facts of the manifest, commands, and the resolved scenario as it was recorded."""
    run, text = study.run, scenario_text(study.run)
    remade, shipped_one = remake(run)
    out = quote(_folder(run))
    note = "The first command makes the run, the second this page. Same scenario, seed and versions: same digest."
    if not shipped_one:
        note = f"First save the scenario below as {SCENARIO} beside the files that it names. {note}"
    return Provenance(
        _facts(study),
        [f"{remade} --out {out}", f"lobsim report {out}"],
        f"{SCENARIO}: all parameters of this run",
        text,
        note,
    )


def scenario_words(run: Run) -> tuple[str, str]:
    """Title and notes of the run's scenario, "" where it has none."""
    header = table(resolved(run), "scenario")
    found = (header.get(key, "") for key in ("title", "notes"))
    title, notes = (" ".join(str(text).split()) for text in found)
    return title, notes


def _facts(study: Figures) -> list[tuple[str, str]]:
    run, manifest, summary = study.run, study.run.manifest, study.run.summary
    facts = [
        ("Scenario", run.scenario),
        ("Seed", str(run.seed)),
        ("Begins", f"{run.start_utc:%Y-%m-%d %H:%M:%S} UTC"),
        ("Simulated", span(run.end_ns)),
        ("Complete", "yes" if run.complete else "NO: " + run.status.split(": ", 1)[-1]),
        ("Digest of all records", run.digest or "none (unfinished)"),
        ("Hash of the scenario", _plain(manifest.get("scenario_hash"))),
        ("Versions", _versions(manifest.get("versions"))),
        ("Platform", _plain(manifest.get("platform"))),
        ("Instruments, accounts", f"{len(run.instruments):,}, {len(run.accounts_info):,}"),
    ]
    messages, events = summary.get("messages"), summary.get("clock_events")
    if isinstance(messages, int) and isinstance(events, int):
        facts.append(("Order messages, clock events", f"{amount(messages)}, {amount(events)}"))
    facts.append(("Rows", ", ".join(f"{table} {run.rows(table):,}" for table in TABLES)))
    facts.append(("Ledger", _ledger(summary.get("ledger"))))
    facts += _skipped(summary.get("tape_records_skipped"))
    facts += [("Resolution of this page", timeline.resolution(study)), ("Page made by", f"lobsim {__version__}")]
    return [(name, value) for name, value in facts if value]


def _ledger(ledger: object) -> str:
    if not isinstance(ledger, dict) or not ledger:
        return "no money moved" if isinstance(ledger, dict) else "not checked: the run is unfinished"
    wrong = {_plain(asset): off for asset, off in ledger.items() if off != 0}
    return f"NOT CONSERVED: {wrong}" if wrong else f"conserved to the last quantum ({', '.join(map(_plain, ledger))})"


def _skipped(tapes: object) -> list[tuple[str, str]]:
    if not isinstance(tapes, dict):
        return []
    return [
        (f"Refused lines of {_plain(tape)}", f"{number} x {_plain(reason)}")
        for tape, reasons in tapes.items()
        if isinstance(reasons, dict)
        for reason, number in reasons.items()
    ][:_MOST_SKIPPED]


def _plain(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""


def _versions(found: object) -> str:
    if not isinstance(found, dict):
        return ""
    return ", ".join(f"{_plain(name)} {_plain(version)}" for name, version in found.items())


def remake(run: Run, otherwise: str = SCENARIO) -> tuple[str, bool]:
    """The command that makes the run again, and whether it names a scenario that ships with lobsim.

    It does when that scenario, as it is, with one of its variants or with a few settings, resolves to what was
    recorded; else it names the file `otherwise`.
    """
    until = f" --until {_until(run)}" if run.complete and run.end_ns < _duration_ns(run) else ""
    told = _shipped_as(run)
    return f"lobsim replay {quote(otherwise) if told is None else told} --seed {run.seed}{until}", told is not None


def _folder(run: Run) -> str:
    """Where the run lies, as it was named; of a path from the root only its last part, which is the same anywhere."""
    if run.path.name in ("", "..") or str(run.path) == "(frames)":
        return f"runs/{run.scenario}-seed{run.seed}"
    return f"runs/{run.path.name}" if run.path.is_absolute() else run.path.as_posix()


def _shipped_as(run: Run) -> str | None:
    """Name, variant and settings of a shipped scenario that give the very text of the run's; None where none do."""
    name, text = run.scenario, scenario_text(run)
    path = shipped().get(name)
    if path is None or not text:
        return None
    found: list[tuple[int, str]] = []
    try:
        wanted = leaves(resolved(run))
        base = load_scenario(path)
        for variant in (None, *base.file.variants):
            told = name if variant is None else f"{name} --variant {variant}"
            start = base if variant is None else load_scenario(path, variant=variant)
            if start.text == text:
                return told
            changes = differences(leaves(tomllib.loads(start.text)), wanted)
            settings = [f"{one.key}={one.new}" for one in changes if one.new is not None]
            if not 0 < len(changes) == len(settings) <= _MOST_SETTINGS:
                continue
            if load_scenario(path, variant=variant, settings=settings).text == text:
                found.append((len(settings), " ".join([told, *(f"--set {quote(one)}" for one in settings)])))
    except (LobsimError, tomllib.TOMLDecodeError, RecursionError):
        return None
    return min(found, key=lambda one: one[0])[1] if found else None


def _duration_ns(run: Run) -> int:
    try:
        return parse_duration(str(table(resolved(run), "scenario").get("duration")))
    except LobsimError:
        return 0


def _until(run: Run) -> str:
    """The moment as --until takes it, in the largest unit that keeps it whole."""
    for unit, ns in (("m", NS_PER_MINUTE), ("s", NS_PER_S), ("ms", NS_PER_MS)):
        if run.end_ns % ns == 0:
            return f"{run.end_ns // ns}{unit}"
    return f"{run.end_ns}ns"
