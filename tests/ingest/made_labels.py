"""Labels as hypothesis makes them, and what a round trip may change."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import strategies as st

from ingest.labels.label import MILLISECOND_NS, Label, in_order, milliseconds

MINUTE_NS = 60_000_000_000
WORD = st.text("abcxyzÄß _&<>\"'|;,0129", min_size=1, max_size=8).map(str.strip).filter(bool)
"""Letters, and what XML, CSV, JSON and label maps must not stumble over."""
TIER = st.sampled_from(["activity", "atomic", "action", "gesture (2)", "a tier"])
ACTOR = st.none() | st.sampled_from(["p01", "p02", "Änne"])
CONFIDENCE = st.none() | st.floats(0, 1, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    corners = [draw(st.integers(0, 1000)) / 1000 for _ in range(4)]
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    return x1, y1, x2, y2


@st.composite
def labels(draw: st.DrawFn, box: bool | None = False, sure: bool = False, moments: bool = True) -> Label:
    """One label within an hour of film; `box` None for either."""
    t0 = draw(st.integers(0, 59 * MINUTE_NS))
    length = draw(st.integers(0 if moments else 2 * MILLISECOND_NS, MINUTE_NS))
    boxed = draw(st.booleans()) if box is None else box
    return Label(
        draw(TIER),
        t0,
        t0 + length,
        draw(WORD),
        draw(ACTOR),
        draw(boxes()) if boxed else None,
        draw(CONFIDENCE) if sure else None,
    )


def near(found: Iterable[Label], given: Iterable[Label], within_ns: int = MILLISECOND_NS) -> bool:
    """Whether two lists hold the same labels, their ends not further apart than that, and boxes to a thousandth."""

    def said(label: Label) -> tuple[object, ...]:
        box = tuple(round(c, 3) for c in label.box) if label.box else ()
        return label.tier, label.value, label.actor or "", box, label.confidence

    def sort(every: Iterable[Label]) -> list[Label]:
        return sorted(every, key=lambda n: (*map(str, said(n)), milliseconds(n.t0_ns), milliseconds(n.t1_ns)))

    a, b = sort(found), sort(given)
    return (
        len(a) == len(b)
        and [said(n) for n in a] == [said(n) for n in b]
        and all(
            abs(n.t0_ns - m.t0_ns) <= within_ns and abs(n.t1_ns - m.t1_ns) <= within_ns
            for n, m in zip(a, b, strict=True)
        )
    )


def without_overlap(every: Iterable[Label]) -> list[Label]:
    """At most one label of a tier, value and actor at a time, with ends on whole milliseconds."""
    kept: dict[tuple[str, str, str | None], int] = {}
    out = []
    for label in in_order(every):
        t0, t1 = (t // MILLISECOND_NS * MILLISECOND_NS for t in (label.t0_ns, label.t1_ns))
        which = (label.tier, label.value, label.actor)
        if t0 >= kept.get(which, 0):
            kept[which] = t1
            out.append(replace(label, t0_ns=t0, t1_ns=t1))
    return out
