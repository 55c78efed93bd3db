"""The places of a page that a script writes: what stands between ``<!-- begin NAME: written by docs/X.py -->`` and
``<!-- end -->``. A page with one such place needs no NAME.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def filled(text: str, script: str, made: Mapping[str, str]) -> str:
    """The page `text` with what `script` (a file of docs/) made: name of a place -> what belongs there.

    Raises:
        ValueError: the page has other places than those that were made.
    """
    mark = re.compile(rf"(<!-- begin ?(\w*): written by docs/{re.escape(script)} -->\n).*?(<!-- end -->\n)", re.S)
    places = [name for _, name, _ in mark.findall(text)]
    if sorted(places) != sorted(made):
        raise ValueError(f"docs/{script} writes the places {sorted(made)}, and the page has marks for {sorted(places)}")
    return mark.sub(lambda m: m[1] + made[m[2]] + m[3], text)
