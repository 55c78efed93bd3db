"""Writes `docs/reference/cli.md` from the commands themselves: ``python docs/cli.py``.

A test fails while the page is behind. Run from the repository's root.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

import syncctl

PAGE = Path(__file__).parent / "reference" / "cli.md"
HEAD = """# Commands

Written by `docs/cli.py` from the commands; `syncctl COMMAND --help` says the same.

Every command ends with status 0 where it did what was asked, 1 where it could not be done (one sentence on stderr:
what, where, what to do), 2 where it was called wrongly, and 130 after Ctrl-C, which loses nothing. `syncctl -v COMMAND`
shows the traceback of an error. With `--json` stdout holds one JSON document and nothing else; fields may be added,
none is renamed.
"""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name, groups before what is in them."""
    group = click.Context(syncctl.cli)
    for name in syncctl.COMMANDS:
        command = syncctl.cli.get_command(group, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            inner = click.Context(command)
            for part in command.list_commands(inner):
                found = command.get_command(inner, part)
                assert found is not None
                yield f"{name} {part}", found


def page() -> str:
    """The whole page."""
    found = list(commands())
    table = ["| command | |", "|---|---|"]
    table += [f"| [`{name}`](#syncctl-{name}) | {said} |" for name, (_, said) in syncctl.COMMANDS.items()]
    return "\n".join([HEAD, *table, "", *(section(name, command) for name, command in found)]).rstrip() + "\n"


def section(name: str, command: click.Command) -> str:
    """One command: how it is called, what it does, its options, examples."""
    text, _, example = inspect.cleandoc(command.help or "").rpartition("\b\n")
    level = "##" if " " not in name else "###"
    parts = [f"{level} syncctl {name}", "", "```", usage(name, command), "```", "", prose(text), ""]
    options = [row(p) for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        parts += ["| option | |", "|---|---|", *options, ""]
    if example:
        shown = inspect.cleandoc(example.partition("\n")[2]).splitlines()
        parts += ["```", *shown, "```", ""]
    return "\n".join(parts)


def prose(text: str) -> str:
    """Paragraphs, each a line; what click leaves as it is, too."""
    shown = []
    for part in text.strip().split("\n\n"):
        said, mark, kept = part.partition("\b\n")
        shown.append(f"```\n{inspect.cleandoc(kept)}\n```" if mark else escaped(" ".join(said.split())))
    return "\n\n".join(shown)


def usage(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"syncctl {name}")
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def row(option: click.Option) -> str:
    """A line of the table of options."""
    names = ", ".join(f"`{o}`" for o in (*option.opts, *option.secondary_opts))
    if not option.is_flag and not option.count:
        names += f" `{value_of(option)}`".replace("|", "\\|")
    said = [escaped(option.help or "")]
    if option.required:
        said.append("Required.")
    if option.multiple:
        said.append("May be given more than once.")
    if option.show_default and option.default is not None and not option.is_flag:
        said.append(f"Default: `{option.default}`.")
    return f"| {names} | {' '.join(s for s in said if s)} |"


def value_of(option: click.Option) -> str:
    """What an option takes, with its bounds where it has some."""
    kind = option.type
    if option.metavar or not isinstance(kind, click.IntRange | click.FloatRange):
        return option.make_metavar(click.Context(click.Command(None)))
    name = "N" if isinstance(kind, click.IntRange) else "X"
    least = "" if kind.min is None else f"{kind.min} <= "
    most = "" if kind.max is None else f" <= {kind.max}"
    return f"{least}{name}{most}"


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is; what the help has in double backticks is code."""
    return text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
