"""What a benchmark printed is kept under its command, and stays where it fails."""

from __future__ import annotations

from pathlib import Path

from tests.bench.kept import keep, page, write_page

DOCS = Path(__file__).parents[2] / "docs"


def test_what_was_printed_stands_under_its_command_and_its_machine(tmp_path: Path):
    assert keep("sums", ["-c", "print('\\n== sums\\n1 + 1 | 2')"], tmp_path) == 0
    command, about, nothing, *printed = (tmp_path / "measured" / "sums.txt").read_text().splitlines()
    assert command.startswith("$ python -c")
    assert "cores" in about
    assert "CPU s" in about
    assert nothing == ""
    assert printed == ["1 + 1 | 2"]


def test_a_benchmark_that_fails_leaves_what_was_measured_before(tmp_path: Path):
    keep("sums", ["-c", "print(2)"], tmp_path)
    before = (tmp_path / "measured" / "sums.txt").read_bytes()
    assert keep("sums", ["-c", "print(3); raise SystemExit(4)"], tmp_path) == 4
    assert (tmp_path / "measured" / "sums.txt").read_bytes() == before


def test_the_page_shows_what_there_is_and_names_what_there_is_not(tmp_path: Path):
    keep("sums", ["-c", "print(2)"], tmp_path)
    write_page(tmp_path, ["sums", "products"])
    text = (tmp_path / "measured.md").read_text()
    assert "\n## sums\n" in text
    assert text.endswith("\nNot kept yet: `products`.\n")


def test_the_page_in_the_docs_is_of_what_was_kept():
    from tests.bench.__main__ import BENCHES

    kept = {file.stem for file in (DOCS / "measured").iterdir()}
    assert kept <= set(BENCHES)
    assert (DOCS / "measured.md").read_text(encoding="utf-8") == page(DOCS, BENCHES)
