"""Thousands of spoiled scenario files: each is refused with a message, none with a traceback or a finished run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lobsim.cli import main
from tests.fuzz.spoil import GOOD, SPOILERS, spoiled

FILES = 2_040
CHUNKS = 20


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_spoiled_files_are_refused(chunk: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "spoiled.toml", tmp_path / "run"
    for number in range(chunk, FILES, CHUNKS):
        what, raw = spoiled(number)
        file.write_bytes(raw)
        code = main(["replay", str(file), "--out", str(out), "--until", "1s", "-q"])
        said = capsys.readouterr()
        told = f"{what} (spoiled({number})): exit code {code}\n{said.err[:500]}"
        assert code == 2, told
        assert said.out == "", told
        assert said.err.startswith(f"lobsim: {file}: "), told
        assert "Traceback" not in said.err, told
        assert len(said.err) < 10_000, told
        first, *faults = said.err.splitlines()
        where = faults if "fault" in first else [first.removeprefix(f"lobsim: {file}: ")]
        for fault in where:  # each names a line, a byte or a key path
            assert any(word in fault for word in ("line ", "byte ", ": ", "end of document", "nested", "more")), told
        assert not out.exists(), told


def test_every_way_to_spoil_a_file_is_used() -> None:
    assert FILES >= 2_000
    assert {spoiled(number)[0] for number in range(len(SPOILERS))} == {spoiler.__name__ for spoiler in SPOILERS}


def test_the_file_before_it_was_spoiled_is_good() -> None:
    assert main(["check", str(GOOD)]) == 0


@pytest.mark.parametrize("number", range(0, 100, 9))
def test_spoiled_files_are_refused_by_a_process_too(number: int, tmp_path: Path) -> None:
    file = tmp_path / "spoiled.toml"
    file.write_bytes(spoiled(number)[1])
    command = [sys.executable, "-m", "lobsim", "replay", str(file), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "spoiled.toml" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_100_mb_file_is_not_even_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "huge.toml"
    with file.open("wb") as sparse:
        sparse.truncate(100_000_000)
    assert main(["replay", str(file), "--out", str(tmp_path / "run")]) == 2
    assert "huge.toml: 100000000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", ".", "a\0b", "x" * 5000, ""])
def test_paths_that_are_no_files(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", path]) == 2
    said = capsys.readouterr().err
    assert "lobsim: " in said
    assert "\0" not in said


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 900_000) + " = 1",
        "[" + ".".join("a" * 900_000) + "]",
        "x = " + "[" * 1_900_000,
        "x = " + "{a=" * 600_000,
        "a" * 1_900_000,
        '"' * 1_900_000,
        "x = " + "9" * 1_900_000,
        "x = 0." + "9" * 1_900_000,
        "x = 1e" + "9" * 1_900_000,
        "\n" * 1_900_000,
        "[[a]]\n" * 300_000,
        "'''" + "x" * 1_900_000,
        "# " + "a.b" * 600_000,
    ],
    ids=lambda text: text[:12].strip() or "lines",
)
def test_files_made_to_take_for_ever_do_not(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "slow.toml"
    file.write_text(text)
    assert main(["check", str(file)]) == 2
    assert len(capsys.readouterr().err) < 10_000
