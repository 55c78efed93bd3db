"""`report.html`: what was aligned with what, and how sure it is. One page that needs nothing else; warnings first."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np

from firmware_host.errors import SyncctlError
from recorder import demux
from recorder.durable import write_bytes
from recorder.session import Session
from sync import phat
from sync.align import truth_curves_ms
from sync.alignment import Alignment, Pairing
from sync.figure import COLOURS, Curve, Figure, svg
from sync.gaze import read_rows
from sync.onsets import Line
from sync.waveform import Wave, recorded, working

FILE = "report.html"
TONE_BEFORE_S, TONE_AFTER_S = 0.01, 0.05
PEAK_MS = 12.0
GAZE_FRAMES = 6
PAGE = Path(__file__).with_name("report_page.html")


def write_report(session: Session, alignment: Alignment, truth: dict[str, Any] | None) -> Path:
    """Write `report.html` into the session folder.

    Args:
        truth: `truth.json` of a simulated session, for the error figures; None otherwise.
    """
    sounds = _sounds(session, alignment)
    page = Template(PAGE.read_text()).substitute(
        title=escape(session.id),
        summary=escape(_summary(session, alignment)),
        warnings=_warnings(alignment),
        clocks=_clock_table(alignment, truth),
        evidence=_evidence_table(alignment),
        tones=_section("At the tones", map(svg, _tone_figures(alignment, sounds))),
        peaks=_section("Correlation peaks", map(svg, _peak_figures(alignment, sounds))),
        residuals=_section("Residuals over time", map(svg, _residual_figures(alignment))),
        truth=_section("Against the truth of the simulation", map(svg, _truth_figures(alignment, truth))),
        gaze=_section("Gaze on the head camera", _gaze_pictures(session, alignment), "pictures"),
    )
    write_bytes(session.root / FILE, page.encode())
    return session.root / FILE


def _summary(session: Session, alignment: Alignment) -> str:
    sigma = [max(p.sigma_ns for p in m.pieces) * 1e-6 for m in alignment.maps]
    facts = [f"{len(alignment.maps) + 1} clocks on the clock of {alignment.reference}"]
    facts.append(f"least certain by ± {max(sigma):.2f} ms")
    facts += [str(v) for v in (session.activity, session.place, ", ".join(session.participants)) if v]
    return " · ".join(facts)


def _warnings(alignment: Alignment) -> str:
    if not alignment.warnings:
        return '<p class="calm">No warnings.</p>'
    rows = "".join(f"<li>{escape(w)}</li>" for w in alignment.warnings)
    return f'<ul class="warnings">{rows}</ul>'


def _clock_table(alignment: Alignment, truth: dict[str, Any] | None) -> str:
    curves = truth_curves_ms(alignment, truth) if truth else {}
    head = ["clock", "offset at its start", "drift", "± sigma"] + (["true error"] if curves else [])
    rows = []
    for m in alignment.maps:
        p = m.pieces[0]
        sigma = max(q.sigma_ns for q in m.pieces) * 1e-6
        offset_s = (m.forward(p.start_ns) - p.start_ns) * 1e-9
        row = [m.source, f"{offset_s:+.6f} s", f"{p.skew_ppm:+.2f} ppm", f"{sigma:.3f} ms"]
        if m.source in curves:
            row.append(f"{np.max(np.abs(curves[m.source][1])):.3f} ms")
        rows.append(row)
    return _table(head, rows)


def _evidence_table(alignment: Alignment) -> str:
    rows = []
    for p in alignment.pairings:
        tried = p.evidence.get("windows_tried")
        used = f"{len(p.matches)} of {tried:.0f} windows" if tried else f"{len(p.matches)} tones"
        rows.append([f"{p.source} → {p.target}", p.method, p.verdict, used, f"{p.score:.2f}", p.reason])
    return _table(["pair", "method", "verdict", "used", "score", "note"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, parts: Iterator[str], kind: str = "figures") -> str:
    inside = "".join(parts)
    return f'<section><h2>{escape(title)}</h2><div class="{kind}">{inside}</div></section>' if inside else ""


def _sounds(session: Session, alignment: Alignment) -> dict[str, Wave]:
    """Sounds of the aligned clocks, at the working rate."""
    wanted = {alignment.reference, *(m.source for m in alignment.maps)}
    sounds: dict[str, Wave] = {}
    for device in session.devices:
        if device.clock in wanted - set(sounds) and device.of_kind("audio"):
            try:
                sounds[device.clock] = working(recorded(session, device))
            except SyncctlError:
                continue
    return sounds


def _tone_figures(alignment: Alignment, sounds: dict[str, Wave]) -> Iterator[Figure]:
    """The first moment of each tone in every microphone: by file time, then by the aligned clocks."""
    pairings = [p for p in alignment.pairings if p.method == "tones"]
    if not pairings:
        return
    count = max(len(p.matches) for p in pairings)
    for number in range(count):
        events = [p.matches[number] for p in pairings if number < len(p.matches)]
        to_reference = alignment.to_reference(events[0].source)
        at_ns = to_reference.forward(events[0].t_ns)
        which = "first" if number == 0 else "last" if number == count - 1 else f"number {number + 1}"
        yield Figure(
            f"The {which} tone, as the files have it",
            "seconds since each recording began",
            "",
            list(_tone_curves(alignment, sounds, at_ns, aligned=False)),
        )
        yield Figure(
            f"The {which} tone, aligned",
            f"milliseconds on the clock of {alignment.reference}",
            "",
            list(_tone_curves(alignment, sounds, at_ns, aligned=True)),
            "The tone's first milliseconds. What is left between the lines is the way of the sound: 2.9 ms a metre.",
            marks=(0.0,),
        )


def _tone_curves(alignment: Alignment, sounds: dict[str, Wave], at_ns: int, *, aligned: bool) -> Iterator[Curve]:
    before, after = (TONE_BEFORE_S, TONE_AFTER_S) if aligned else (0.5, 1.5)
    for number, (clock, sound) in enumerate(sounds.items()):
        to_reference = alignment.to_reference(clock)
        local_ns = to_reference.inverse(at_ns) - sound.t0_ns
        first = round((local_ns * 1e-9 - before) * sound.rate_hz)
        index = np.arange(max(first, 0), min(first + round((before + after) * sound.rate_hz), len(sound)))
        if len(index) < 2:
            continue
        y = sound.cut(int(index[0]), len(index))
        y = y / (np.abs(y).max() + 1e-9)
        if aligned:
            x = (to_reference.forward(sound.times_ns(index)) - at_ns) * 1e-6
        else:
            x = index / sound.rate_hz
        yield Curve(x, y * 0.45 - number, name=clock, colour=number % COLOURS)


def _peak_figures(alignment: Alignment, sounds: dict[str, Wave]) -> Iterator[Figure]:
    for p in alignment.pairings:
        if p.method != "audio" or p.source not in sounds or p.target not in sounds:
            continue
        a, b = sounds[p.source], sounds[p.target]
        best = max(p.matches, key=lambda m: m.score)
        u_ns = float(best.t_ns - a.t0_ns)
        line = Line(u_ns, float(best.offset_ns - b.t0_ns + a.t0_ns), _skew(p))
        lag_ns, height = phat.peak_shape(a, b, line, u_ns, round(p.evidence["window_samples"]))
        near = np.abs(lag_ns) < PEAK_MS * 1e6
        yield Figure(
            f"{p.source} → {p.target}",
            "milliseconds from the lag that was found",
            "height",
            [Curve(lag_ns[near] * 1e-6, height[near])],
            f"Best of {len(p.matches)} windows; the runner-up along another line reached "
            f"{100 * p.evidence['runner_up']:.0f} %.",
        )


def _skew(pairing: Pairing) -> float:
    first, last = pairing.matches[0], pairing.matches[-1]
    return (last.offset_ns - first.offset_ns) / max(last.t_ns - first.t_ns, 1)


def _residual_figures(alignment: Alignment) -> Iterator[Figure]:
    for m in alignment.maps:
        origin_ns, end_ns = m.pieces[0].start_ns, m.pieces[-1].stop_ns
        sigma = max(p.sigma_ns for p in m.pieces) * 1e-6
        edges = np.array([0.0, (end_ns - origin_ns) * 1e-9])
        curves = [Curve(edges, np.full(2, -sigma), "band", "± sigma of the map", 0, np.full(2, sigma))]
        own = [x for x in zip(alignment.pairings, alignment.residual_ns, strict=True) if x[0].source == m.source]
        for number, (p, left) in enumerate(own, start=1):
            t = np.array([x.t_ns - origin_ns for x in p.matches]) * 1e-9
            name = f"{p.method}, {p.target}"
            curves.append(Curve(t, np.array(left) * 1e-6, "points", name, number % COLOURS))
        yield Figure(m.source, "seconds since its recording began", "ms", curves)


def _truth_figures(alignment: Alignment, truth: dict[str, Any] | None) -> Iterator[Figure]:
    if truth is None:
        return
    for clock, (t_s, error_ms) in truth_curves_ms(alignment, truth).items():
        sigma = np.full(len(t_s), max(p.sigma_ns for p in alignment.to_reference(clock).pieces) * 1e-6)
        band = Curve(t_s, -sigma, "band", "± sigma", 0, sigma)
        curves = [band, Curve(t_s, error_ms, name="error of the map", colour=1)]
        yield Figure(clock, "seconds since its recording began", "ms", curves)


def _gaze_pictures(session: Session, alignment: Alignment) -> Iterator[str]:
    for gaze in alignment.gaze:
        rows = [r for r in read_rows(session.path(gaze.file)) if r.x_px is not None]
        if not rows:
            continue
        picked = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, GAZE_FRAMES).astype(int))]
        device = session.device(gaze.target)
        t_ns = demux.frame_times_ns(session, device)
        wanted = {int(np.argmin(np.abs(t_ns - r.t_ns))): r for r in picked}
        for index, _, image in demux.video_frames(session.path(device.file), pixels="rgb24"):
            row = wanted.pop(index, None)
            if row is not None:
                yield _picture(image, row.x_px or 0.0, row.y_px or 0.0, row.sigma_px or 0.0, row.t_ns, row.verdict)
            if not wanted:
                break


def _picture(image: np.ndarray, x: float, y: float, sigma: float, t_ns: int, verdict: str) -> str:
    canvas = np.ascontiguousarray(image[..., ::-1])
    centre = (round(x), round(y))
    radius = max(round(2 * sigma), 6)
    for colour, width in (((0, 0, 0), 4), ((60, 220, 255), 2)):
        cv2.circle(canvas, centre, radius, colour, width, cv2.LINE_AA)
        cv2.drawMarker(canvas, centre, colour, cv2.MARKER_CROSS, 10, width)
    small = cv2.resize(canvas, (480, round(480 * canvas.shape[0] / canvas.shape[1])), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    text = base64.b64encode(data.tobytes()).decode()
    caption = f"{t_ns * 1e-9:.2f} s · {verdict} · ± {sigma:.1f} px"
    return (
        f'<figure><img alt="gaze at {t_ns * 1e-9:.2f} s" src="data:image/jpeg;base64,{text}">'
        f"<figcaption><p>{escape(caption)}</p></figcaption></figure>"
    )
