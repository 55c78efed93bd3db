"""`make docs`: every link in the pages leads somewhere, every command is told of, every command line would be taken.

A line of a code block that begins with `syncctl` is parsed by the command itself, with all its options, and not run;
files of the reader's need not exist. Run from the repository's root.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import syncctl

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
BLOCK = re.compile(r"^(?P<indent> *)```[a-z]*\n(?P<body>.*?)^ *```", re.S | re.M)
COMMAND = re.compile(r"^(?:.* -m )?syncctl (?=[a-z-])")


def problems() -> list[str]:
    """One sentence for everything that is wrong."""
    found, told = [], set()
    for page in PAGES:
        text, where = page.read_text(encoding="utf-8"), page.relative_to(ROOT)
        for target in LINK.findall(text):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{where}: the link to {target} leads nowhere")
        for line in (line for block in BLOCK.finditer(text) for line in command_lines(block["body"])):
            words = shlex.split(line, comments=True)
            told.add(words[0])
            if words[0] not in syncctl.COMMANDS and not words[0].startswith("-"):
                found.append(f"{where}: there is no command `syncctl {words[0]}`")
            elif (why := refused(words)) is not None:
                found.append(f"{where}: `syncctl {line}` would not be taken: {why}")
    found += [f"`syncctl {name}` appears on no page" for name in syncctl.COMMANDS if name not in told]
    return found


def command_lines(body: str) -> Iterator[str]:
    """What follows `syncctl` on each line of a block that calls it; a line that ends with a backslash goes on."""
    for line in body.replace("\\\n", " ").splitlines():
        said = line.strip().removeprefix("$ ")
        if (match := COMMAND.match(said)) is not None and "[OPTIONS]" not in said:
            yield said[match.end() :]


def refused(words: list[str]) -> str | None:
    """What the front door says against a command line; None where it would be run. Nothing is run."""
    if "--help" in words:
        return None
    command: click.Command = syncctl.cli
    context: click.Context | None = None
    try:
        while True:
            context = command.make_context(command.name or "syncctl", list(words), parent=context)
            if not isinstance(command, click.Group):
                return None
            _, inner, words = command.resolve_command(context, [*context._protected_args, *context.args])
            assert inner is not None
            command = inner
    except click.ClickException as error:
        said = error.format_message()
        return None if said.endswith("does not exist.") else said


if __name__ == "__main__":
    lines = problems()
    print("\n".join(lines) or f"{len(PAGES)} pages: every link and command holds")
    sys.exit(bool(lines))
