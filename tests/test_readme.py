"""What the README tells people to type works as it stands."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from lobsim.cli import main
from lobsim.scenario.shipped import locate

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.replace("\\\n", " ").strip()
    for line in re.findall(r"^    (lobsim (?:[^\n]*\\\n)*[^\n]*)$", README, re.MULTILINE)
]


def test_there_is_something_to_try() -> None:
    assert len(BLOCKS) == 3
    assert len(COMMANDS) >= 9


@pytest.mark.parametrize("number", [0, 1])
def test_python_examples_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {})


def test_the_adapter_example_is_python() -> None:
    compile(BLOCKS[2], "README block 2", "exec")


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands themselves are tested elsewhere; here, that nothing in the README has been renamed."""
    words = shlex.split(re.split(r" {3,}", line)[0])[1:]
    assert main([words[0], "--help"]) == 0
    help_text = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in help_text
    if words[0] == "replay" and words[1].islower():
        settings = [word for flag, word in pairwise(words) if flag == "--set"]
        changes = [part for setting in settings if "tapes" not in setting for part in ("--set", setting)]
        assert locate(words[1]).is_file()
        if not any("start_utc" in change for change in changes):  # that one needs the real tape
            assert main(["check", words[1], *changes]) == 0


def test_paths_in_the_readme_exist() -> None:
    for path in re.findall(r"`((?:tools|scenarios|tests)/[a-z_/-]+\.(?:py|toml))", README):
        assert (ROOT / path).is_file(), path
