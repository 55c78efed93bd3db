"""Writes the tables of `docs/reference/tables.md` from the schemas: ``python docs/tables.py``.

A test fails while the page is behind. Run from the repository's root.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from marked import filled

from ingest.ask import KINDS, Ask, shapes
from ingest.tables import SCHEMAS, VERSION

PAGE = Path(__file__).parent / "reference" / "tables.md"
SEEN = {
    "int64": "int64",
    "int32": "int32",
    "string": "text",
    "float": "float32",
    "double": "float64",
    "bool": "bool",
}
"""Names of types by Arrow's names for them."""


def tables() -> str:
    """A section for each table of a dataset, and one for what a batch holds."""
    parts = [f"Schema version {VERSION}.\n"]
    for name, schema in SCHEMAS.items():
        rows = [f"| `{field.name}` | {kind(field.type)} |" for field in schema]
        parts.append("\n".join([f"## {name}.parquet", "", "| column | type |", "|---|---|", *rows, ""]))
    return "\n".join([*parts, batch()])


def kind(of: pa.DataType) -> str:
    """A type as readers of numpy call it."""
    if isinstance(of, pa.FixedSizeListType):
        return f"{of.list_size} x {kind(of.value_type)}"
    if isinstance(of, pa.ListType):
        return f"list of {kind(of.value_type)}"
    return SEEN[str(of)]


def batch() -> str:
    """Keys, shapes and types of a clip that asks for everything, at the defaults of `Ask`."""
    ask = Ask(tuple(KINDS), features="name")
    info = {"vocabulary": {"atomic": ["a"] * 7, "activity": ["b"]}, "objects": ["o"] * 3, "relations": ["r"] * 2}
    found = shapes(ask, info, dims=11)
    owner = {key: name for name, keys in KINDS.items() for key in keys}
    rows = [
        f"| {owner.get(key, 'tracks with features')} | `{key}` | {shape} | {of} |" for key, (shape, of) in found.items()
    ]
    head = [
        "## A clip that asks for everything",
        "",
        EXPLAINED,
        "",
        "| kind | key | shape | type |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


EXPLAINED = (
    "At the defaults of `Ask`, in a dataset with 7 atomic actions, 3 objects and 2 relations, and features of 11 "
    "numbers. [The batch contract](batch.md) says what each key means."
)


def written(text: str) -> str:
    """The page `text` with the tables as they should be."""
    return filled(text, "tables.py", {"": tables()})


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
