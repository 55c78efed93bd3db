"""The pages cannot fall behind the commands."""

import runpy
from pathlib import Path

CHECK = Path(__file__).parents[1] / "docs" / "check.py"


def test_links_lead_somewhere_and_every_command_is_documented():
    assert runpy.run_path(str(CHECK))["problems"]() == []


def test_a_dead_link_and_an_invented_command_are_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("[gone](nowhere.md)\n\n```\nsyncctl fly sessions/first\n```\n")
    check = runpy.run_path(str(CHECK))
    found = check["problems"]
    monkeypatch.setitem(found.__globals__, "PAGES", [page])
    monkeypatch.setitem(found.__globals__, "ROOT", tmp_path)
    text = "\n".join(found())
    assert "nowhere.md leads nowhere" in text
    assert "no command `syncctl fly`" in text
    assert "`syncctl align` appears on no page" in text
