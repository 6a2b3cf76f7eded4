"""Mutation testing of lobsim.book with cosmic-ray, in a copy of the tree; can be stopped and run again.

    python tools/mutation.py [--minutes 50]     make what mutants time allows, then report
    python tools/mutation.py --report           only report what has been done so far
    python tools/mutation.py --survivors        run the survivors again, after tests were added

Every mutant of lobsim/book, properties included, has to be killed by tests/mutation/fast_suite.py (unit tests, then a
property machine with a fixed seed). Mutants of annotations are left out: with postponed evaluation they never run. The
copy and its session lie in build/mutation under a name made from the engine's sources, so a later run goes on where the
last one stopped, and starts afresh when the engine has changed. (Tests are copied anew each time: take none away
without deleting the session.) tests/mutation/equivalent.toml lists the survivors that no test can kill, each with its
reason.

Exit code 0: at least 95 % killed and at most 3 % excused, nothing pending.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "lobsim/__init__.py",
    "lobsim/errors.py",
    "lobsim/events.py",
    "lobsim/units.py",
    "lobsim/book",
    "lobsim/testing",
    "tests/__init__.py",
    "tests/book",
    "tests/testing/__init__.py",
    "tests/testing/adapters.py",
    "tests/mutation",
)
KILLED_PERCENT, EXCUSED_PERCENT = 95, 3
BASELINE_SECONDS = 120


class Survivor(NamedTuple):
    """A mutant that the suite let live: `line` is the source line that it changes, `change` the new one."""

    module: str
    line_number: int
    operator: str
    line: str
    change: str
    reason: str | None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=50.0, help="stop after this long; run again to go on")
    parser.add_argument("--report", action="store_true", help="only report")
    parser.add_argument("--survivors", action="store_true", help="try those that survived so far once more")
    parser.add_argument("--dir", type=Path, default=ROOT / "build" / "mutation", help="where copies and sessions lie")
    arguments = parser.parse_args()
    home = arguments.dir / fingerprint()
    if not arguments.report:
        make_copy(home / "tree")
        if not (home / "session.sqlite").exists():
            start_session(home)
        if arguments.survivors:
            forget_survivors(home)
        go_on(home, arguments.minutes)
    elif not home.exists():
        print(f"no session for these sources in {arguments.dir}; run without --report first")
        return 2
    return report(home)


def sources() -> Iterator[Path]:
    for name in NEEDED:
        path = ROOT / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def fingerprint() -> str:
    """Twelve digits that change with the engine and what it imports."""
    digest = hashlib.sha256()
    for path in sources():
        if not path.is_relative_to(ROOT / "lobsim") or path.is_relative_to(ROOT / "lobsim/testing"):
            continue
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def make_copy(tree: Path) -> None:
    """A fresh copy each time: a run that was stopped leaves its last mutant behind."""
    shutil.rmtree(tree, ignore_errors=True)
    for path in sources():
        target = tree / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    settings = (ROOT / "tests/mutation/cosmic-ray.toml").read_text(encoding="utf-8")
    (tree / "cosmic-ray.toml").write_text(settings.replace('"python ', f'"{sys.executable} '), encoding="utf-8")


def environment(tree: Path) -> dict[str, str]:
    """Only the copy is imported, without pytest's plugins, and without compiled files that could outlive a mutant."""
    own = {"PYTHONPATH": str(tree), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own}


def start_session(home: Path) -> None:
    tree = home / "tree"
    suite = [sys.executable, "tests/mutation/fast_suite.py"]
    healthy = subprocess.run(
        suite, cwd=tree, env=environment(tree), timeout=BASELINE_SECONDS, check=False, capture_output=True, text=True
    )
    if healthy.returncode:
        sys.exit(f"the suite fails without any mutant:\n{healthy.stdout}{healthy.stderr}")
    unfinished = home / "unfinished.sqlite"
    unfinished.unlink(missing_ok=True)
    run_cosmic_ray(home, "init", "cosmic-ray.toml", str(unfinished))
    with use_db(unfinished, WorkDB.Mode.open) as db:
        skip_annotations(db, tree)
    unfinished.rename(home / "session.sqlite")


def go_on(home: Path, minutes: float) -> None:
    try:
        run_cosmic_ray(home, "exec", "cosmic-ray.toml", str(home / "session.sqlite"), minutes=minutes)
    except subprocess.TimeoutExpired:
        print(f"stopped after {minutes:g} minutes; run again to go on")


def forget_survivors(home: Path) -> None:
    with closing(sqlite3.connect(home / "session.sqlite")) as db, db:
        db.execute("DELETE FROM work_results WHERE test_outcome = 'SURVIVED'")


def run_cosmic_ray(home: Path, *words: str, minutes: float | None = None) -> None:
    tree = home / "tree"
    command = [sys.executable, "-m", "cosmic_ray.cli", *words]
    seconds = None if minutes is None else minutes * 60
    subprocess.run(command, cwd=tree, env=environment(tree), timeout=seconds, check=True)


def skip_annotations(db: WorkDB, tree: Path) -> None:
    """Mark the mutants inside annotations as left out."""
    spans = {path: list(annotation_spans(tree / path)) for path in {m.module_path for m in all_mutations(db)}}
    inside = [
        item.job_id
        for item in db.work_items
        for mutation in item.mutations
        if any(first <= mutation.start_pos and mutation.end_pos <= last for first, last in spans[mutation.module_path])
    ]
    result = WorkResult(output="an annotation, never evaluated", worker_outcome=WorkerOutcome.SKIPPED)
    db.set_multiple_results(inside, result)


def all_mutations(db: WorkDB):
    return [mutation for item in db.work_items for mutation in item.mutations]


def annotation_spans(path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """((line, column), (line, column)) of every annotation; only ASCII stands before one on its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if annotation is not None:
                yield (
                    (annotation.lineno, annotation.col_offset),
                    (annotation.end_lineno, annotation.end_col_offset),
                )


def excuses() -> dict[tuple[str, str, str], str]:
    """Reasons by (module, line as it stands, line as the mutant has it)."""
    text = (ROOT / "tests/mutation/equivalent.toml").read_text(encoding="utf-8")
    return {
        (entry["module"], entry["line"], change): entry["reason"]
        for entry in tomllib.loads(text).get("equivalent", [])
        for change in entry["changes"]
    }


def changed_line(diff: str) -> tuple[str, str]:
    """The line that a mutant takes out and the one that it puts in, of a unified diff."""
    lines = diff.splitlines()
    old = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    new = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return " / ".join(old), " / ".join(new)


def report(home: Path) -> int:
    reasons = excuses()
    outcomes: Counter[str] = Counter()
    survivors: list[Survivor] = []
    with use_db(home / "session.sqlite", WorkDB.Mode.open) as db:
        results = dict(db.results)
        for item in db.work_items:
            result = results.get(item.job_id)
            mutation = item.mutations[0]
            if result is None:
                outcomes["pending"] += 1
            elif result.worker_outcome == WorkerOutcome.SKIPPED:
                outcomes["annotations"] += 1
            elif result.test_outcome == TestOutcome.SURVIVED:
                outcomes["survived"] += 1
                line, change = changed_line(result.diff or "")
                module = Path(mutation.module_path).name
                reason = reasons.get((module, line, change))
                survivors.append(Survivor(module, mutation.start_pos[0], mutation.operator_name, line, change, reason))
            else:
                outcomes["killed"] += 1
    return print_report(outcomes, sorted(survivors))


def print_report(outcomes: Counter[str], survivors: list[Survivor]) -> int:
    tried = outcomes["killed"] + outcomes["survived"]
    excused = sum(survivor.reason is not None for survivor in survivors)
    for survivor in survivors:
        verdict = f"excused: {survivor.reason}" if survivor.reason else "SURVIVED"
        print(f"{survivor.module}:{survivor.line_number} {survivor.operator.removeprefix('core/')}: {verdict}")
        print(f"    - {survivor.line}\n    + {survivor.change}")
    killed_percent = 100 * outcomes["killed"] / max(1, tried)
    excused_percent = 100 * excused / max(1, tried)
    print(
        f"{outcomes['killed']} of {tried} mutants killed ({killed_percent:.2f} %)\n"
        f"{outcomes['survived']} survived, {excused} of them excused as equivalent ({excused_percent:.2f} %)\n"
        f"{outcomes['pending']} pending, {outcomes['annotations']} in annotations left out"
    )
    good = killed_percent >= KILLED_PERCENT and excused_percent <= EXCUSED_PERCENT and not outcomes["pending"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
