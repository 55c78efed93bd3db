"""`syncctl align`, step by step: compare, fuse, save, carry the gaze over, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recorder.session import Session
from recorder.terminal import note, progress
from sync.align import align, truth_errors_ms
from sync.alignment import Alignment
from sync.bursts import Sine
from sync.gaze_map import map_gaze
from sync.report import write_report
from sync.wanted import Prior

TRUTH = "truth.json"


def align_session(
    session: Session,
    reference: str | None = None,
    only: Sequence[str] = (),
    priors: Sequence[Prior] = (),
    sine: Sine | None = None,
) -> tuple[Alignment, dict[str, float] | None]:
    """Align a session and write what came of it into its folder; see `sync.align.align`.

    The truth of a simulated session is opened after `alignment.json` is written, for the report alone.

    Returns:
        The alignment, and per clock its largest error against the truth in ms, None where none is known.

    Raises:
        EvidenceError: nothing could be aligned.
        SessionError: a file of the session cannot be read.
        ConfigError: `only` or `priors` ask for what cannot be.
    """
    alignment = align(session, reference, only=only, priors=priors, sine=sine, progress=progress)
    alignment = map_gaze(session, alignment)
    alignment.save(session.root)
    truth = _truth(session.root / TRUTH)
    write_report(session, alignment, truth)
    return alignment, None if truth is None else truth_errors_ms(alignment, truth)


def _truth(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        truth = json.loads(path.read_text())
        return truth if isinstance(truth["clock_maps"], list) else None
    except (ValueError, KeyError, TypeError):
        note(f"{path} is damaged, so the report shows no error against the truth")
        return None
