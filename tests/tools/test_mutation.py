"""tools/mutation.py: what it leaves out, and how it judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import ModuleType

import pytest

pytest.importorskip("cosmic_ray", reason="cosmic-ray comes with the extra `dev`")


@pytest.fixture
def mutation(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("mutation")


def test_annotations_are_told_from_code(mutation, tmp_path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def f(a: int | None, b=1 | 2) -> str | int:\n    c: int | str = 3 | 4\n    return c\n")
    assert sorted(mutation.annotation_spans(path)) == [((1, 9), (1, 19)), ((1, 33), (1, 42)), ((2, 7), (2, 16))]


def test_a_diff_is_told_by_its_two_lines(mutation) -> None:
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n same\n-    x = a + 1\n+    x = a - 1\n"
    assert mutation.changed_line(diff) == ("x = a + 1", "x = a - 1")


def test_the_copy_has_all_that_the_suite_needs_and_nothing_else(mutation, tmp_path) -> None:
    mutation.make_copy(tmp_path / "tree")
    copied = {str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*") if path.is_file()}
    assert {"lobsim/book/matching.py", "tests/mutation/fast_suite.py", "cosmic-ray.toml"} <= copied
    assert not [name for name in copied if "sim/" in name.removeprefix("lobsim/") or name.endswith(".pyc")]
    assert '"python ' not in (tmp_path / "tree" / "cosmic-ray.toml").read_text()


@pytest.mark.parametrize(
    ("killed", "survived", "excused", "pending", "code"),
    [
        (95, 5, 0, 0, 0),
        (94, 6, 0, 0, 1),
        (97, 3, 3, 0, 0),
        (96, 4, 4, 0, 1),
        (100, 0, 0, 1, 1),
    ],
)
def test_the_verdict(mutation, capsys, killed, survived, excused, pending, code) -> None:
    outcomes = Counter(killed=killed, survived=survived, pending=pending)
    survivors = [
        mutation.Survivor("side.py", n, "core/AddNot", "a", "not a", "it is the same" if n < excused else None)
        for n in range(survived)
    ]
    assert mutation.print_report(outcomes, survivors) == code
    printed = capsys.readouterr().out
    assert f"{killed} of {killed + survived} mutants killed ({killed}.00 %)" in printed
    assert printed.count("excused: it is the same") == excused
    assert printed.count("AddNot: SURVIVED") == survived - excused
