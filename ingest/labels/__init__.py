"""Labels in and out: one module a format, each with `read` and `write`; this one has what a build asks for.

A format's times are those of a film, or of the reference clock where it says so; `ingest.labels.film` has the way
between. What a format cannot hold its `write` returns, so that nobody loses it without knowing.
"""

from ingest.labels.label import Label, in_order
from ingest.labels.table import read_labels
from ingest.labels.words import vocabulary

__all__ = ["Label", "in_order", "read_labels", "vocabulary"]
