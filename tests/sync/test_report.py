"""The page that people look at: warnings first, nothing hidden, and a sound that is aligned where it says so."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from planted_sounds import RATE

from recorder.session import Session, open_session
from sync.add import add_file
from sync.alignment import Alignment, Match, Pairing, Refusal
from sync.certainty import CameraDelay, Certainty, Held, Silence
from sync.clock_picture import clock_graph
from sync.fuse import fuse
from sync.report import write_report

SECONDS, LATE_S = 12, 2.5


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Session:
    """Two recordings of one noise, the second begun `LATE_S` after the first; and a third of nothing."""
    folder = tmp_path_factory.mktemp("report")
    scene = np.random.default_rng(0).standard_normal((SECONDS + 3) * RATE) * 0.1
    for name, begin_s in (("room", 0.0), ("head", LATE_S)):
        first = round(begin_s * RATE)
        soundfile.write(folder / f"{name}.wav", scene[first : first + SECONDS * RATE], RATE, subtype="PCM_16")
        add_file(folder / "s", folder / f"{name}.wav", "media")
    return open_session(folder / "s")


@pytest.fixture(scope="module")
def alignment() -> Alignment:
    matches = [
        Match("audio", "head", "room", t * 10**9, round(LATE_S * 1e9), 1e4, 0.6, (("path", 1e6),)) for t in range(1, 11)
    ]
    used = Pairing("audio", "head", "room", "ok", "", tuple(matches), {"windows_tried": 12, "strain": 1.34})
    wrong = replace(used, method="tones", verdict="excluded", reason="head and room: their <tones> are excluded")
    spans = dict.fromkeys(("head", "room"), (0, SECONDS * 10**9))
    fused = fuse([used], spans, "room")
    return Alignment(
        "room",
        fused.maps,
        (used,),
        fused.residual_ns,
        refused=(Refusal("desk", "it heard nothing"),),
        warnings=("desk was not aligned: it heard nothing",),
        certainty=(Certainty("head", *fused.knots["head"], (Held(0, None),)),),
        excluded=(wrong,),
        silent=(Silence("audio", "desk", "room", "the sound of desk is silent"),),
        cameras=(CameraDelay("room", 31_000_000, 1_200_000, True), CameraDelay("head", 0, 20_000_000, False)),
    )


@pytest.fixture(scope="module")
def page(session, alignment) -> str:
    return write_report(session, alignment, None).read_text()


def test_warnings_come_first_and_everything_that_was_tried_is_told(page):
    body = page[page.index("<body>") :]
    order = ["desk was not aligned", 'class="graph"', "<table>", "Residuals over time", "Before and after"]
    assert [body.index(x) for x in order] == sorted(body.index(x) for x in order)
    for told in (
        "excluded",
        "their &lt;tones&gt; are excluded",
        "the sound of desk is silent",
        "10 of 12 windows",
        "1.3 σ",
    ):
        assert told in body
    assert "audio with room (nothing else)" in body
    assert "room (+31.0 ms, ± 1.2)" in body
    assert "how late the pictures of head are" in body


def test_the_page_needs_nothing_from_outside(page):
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "url(" not in page
    assert "$" not in page.replace("data:audio", "")


def test_what_is_heard_is_aligned_where_it_says_so(page):
    players = re.findall(r'aria-label="([^"]*)" src="data:audio/flac;base64,([^"]+)"', page)
    assert [("aligned" in label) for label, _ in players] == [False, True]
    alike = []
    for _, data in players:
        x, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
        assert (rate, x.shape) == (RATE, (4 * RATE, 2))
        alike.append(np.corrcoef(x.T)[0, 1])
    assert abs(alike[0]) < 0.1
    assert alike[1] > 0.9


def test_the_graph_shows_every_clock_and_how_it_is_held(alignment):
    drawing = clock_graph(alignment)
    root = ElementTree.fromstring(drawing)
    nodes = {" ".join(g.itertext()): g.get("class") for g in root.iter("g")}
    assert {kind.split()[1] for kind in nodes.values()} == {"reference", "aligned", "refused"}
    edges = [(p.get("class") or "").split() for p in root.iter("path")]
    assert sorted(e[2] for e in edges) == ["excluded", "silent", "used"]
    assert "dashed" in drawing
    assert "dotted" in drawing


def test_a_clock_that_was_restarted_has_a_row_for_each_piece(session, alignment):
    (head,) = alignment.maps
    piece = head.pieces[0]
    middle = SECONDS * 10**9 // 2
    pieces = (replace(piece, stop_ns=middle), replace(piece, start_ns=middle, target_ns=piece.target_ns + 10**9))
    page = write_report(session, replace(alignment, maps=(replace(head, pieces=pieces),)), None).read_text()
    assert "head, piece 1 of 2" in page
    assert "head, piece 2 of 2" in page
    assert page.count('class="mark"') == 1
