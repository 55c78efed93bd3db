"""Pages and tables that scripts write are as the code is now."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click
import pytest
from marked import filled

DOCS = Path(__file__).parents[2] / "docs"


def script(name: str) -> dict:
    return runpy.run_path(str(DOCS / f"{name}.py"))


def test_the_page_of_the_commands_is_written_anew():
    cli = script("cli")
    assert cli["PAGE"].read_text(encoding="utf-8") == cli["page"](), "run `python docs/cli.py`"


def test_every_command_and_every_option_says_what_it_is():
    cli = script("cli")
    page = cli["page"]()
    for name, command in cli["commands"]():
        assert re.search(rf"^##+ syncctl {name}$", page, re.M), name
        assert command.help, name
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert option.help, f"syncctl {name} {option.opts[0]} has no help"
            assert all(f"`{o}`" in page for o in option.opts), f"syncctl {name} {option.opts}"


@pytest.mark.parametrize("name", ["session_format", "tables"])
def test_tables_are_written_anew(name: str):
    made = script(name)
    text = made["PAGE"].read_text(encoding="utf-8")
    assert text == made["written"](text), f"run `python docs/{name}.py`"


def test_a_place_that_the_page_has_lost_is_said():
    page = "<!-- begin rows: written by docs/x.py -->\nold\n<!-- end -->\n"
    assert filled(page, "x.py", {"rows": "new\n"}) == page.replace("old", "new")
    for other in ({}, {"rows": "", "columns": ""}, {"": ""}):
        with pytest.raises(ValueError, match="rows"):
            filled(page, "x.py", other)


def test_a_field_that_nobody_explains_is_found():
    """A new field of the manifest must be said on the page before anything is green again."""
    with pytest.raises(KeyError, match="place"):
        script("session_format")["fields"](
            script("session_format")["Session"], {"id": "", "devices": "", "participants": ""}, ("root",)
        )


def test_the_numbers_of_the_walk_are_those_that_a_reading_really_has():
    pytest.importorskip("torch")
    walk = script("walk")
    text = walk["PAGE"].read_text(encoding="utf-8")
    assert text == walk["written"](text), "run `python docs/walk.py`"
