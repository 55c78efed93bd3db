"""Puts the pages that lie at the repository's root onto the site: the README is its first page.

MkDocs calls `on_files`. Links are rewritten to where the pages are there, so that each text exists once and its links
work in both places.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FRONT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PLAIN = ("CITATION.cff",)
_LINK = re.compile(r"(\]\(|src=\")(?!https?:)([^)\"#\s]+)")


def moved(text: str) -> str:
    """A page of the root as the site has it."""

    def target(match: re.Match[str]) -> str:
        path = match[2]
        return match[1] + FRONT.get(path, path.removeprefix("docs/"))

    return _LINK.sub(target, text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The same files and those of the root."""
    for name, place in FRONT.items():
        files.append(File.generated(config, place, content=moved((ROOT / name).read_text(encoding="utf-8"))))
    for name in PLAIN:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files
