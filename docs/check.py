"""`make docs`: every link in the pages leads somewhere, every command is told of, every code block names real commands.

Run from the repository's root.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import syncctl

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.S | re.M)
COMMAND = re.compile(r"^\s*(?:\$ )?syncctl ([a-z]+)", re.M)


def problems() -> list[str]:
    """One sentence for everything that is wrong."""
    found, told = [], set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in LINK.findall(text):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{page.relative_to(ROOT)}: the link to {target} leads nowhere")
        for block in BLOCK.findall(text):
            for name in COMMAND.findall(block):
                told.add(name)
                if name not in syncctl.COMMANDS:
                    found.append(f"{page.relative_to(ROOT)}: there is no command `syncctl {name}`")
    found += [f"`syncctl {name}` appears on no page" for name in syncctl.COMMANDS if name not in told]
    return found


if __name__ == "__main__":
    lines = problems()
    print("\n".join(lines) or f"{len(PAGES)} pages: every link and command holds")
    sys.exit(bool(lines))
