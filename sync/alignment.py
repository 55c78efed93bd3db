"""What a method says, and what the fusion makes of it.

One sign, everywhere: an offset is **what to add to a source time to get the target time of the same event**.
A method is a function of two `Recording`s that returns a `Pairing` or raises `EvidenceError`; a `Pairing`
holds `Match`es, and each match says which of its errors it shares with others. That is all the fusion needs,
so it knows nothing of tones or correlations, and a new method changes nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from recorder import durable
from recorder.series import Sound
from recorder.wall import WallReading
from sync.certainty import CameraDelay, Certainty, Silence
from sync.waveform import Wave

if TYPE_CHECKING:
    from sync.motion.mirror import Moving
    from sync.motion.turning import Turning

VERSION = 1
FILE = "alignment.json"
SPEED_OF_SOUND_M_S = 343.0
MAX_SKEW_PPM = 500.0
"""Beyond the worst crystal in any device seen; a larger drift is a wrong match."""


@dataclass(frozen=True)
class Recording:
    """What the devices of one clock have to offer as evidence. What is large is read when a method asks for it.

    Attributes:
        clock: name of its clock.
        sound: its microphone, None where it has none.
        wearer: who wears it, None for a fixed device.
        tone_distance_m: noted distance from the tones' speaker to its microphone.
        wall: what a kit noted of its wall clock, by time; empty for anything else.
        turned: part of the body that something is on -> reads how that turned. Raises SessionError.
        moved: limb -> reads how fast its IMU turned; ``seen`` -> how fast what a camera saw moved. Raises SessionError.
        span_ns: first and last time of all that was recorded, ns; None where nobody knows.
    """

    clock: str
    sound: Sound | Wave | None
    wearer: str | None = None
    tone_distance_m: float | None = None
    wall: tuple[WallReading, ...] = ()
    turned: Mapping[str, Callable[[], Turning]] = field(default_factory=dict)
    moved: Mapping[str, Callable[[], Moving]] = field(default_factory=dict)
    span_ns: tuple[int, int] | None = None

    def heard(self) -> Sound | Wave:
        """Its sound.

        Raises:
            EvidenceError: it recorded none.
        """
        if self.sound is None:
            raise EvidenceError(f"{self.clock} recorded no sound")
        return self.sound


@dataclass(frozen=True)
class Match:
    """One piece of evidence: the same event on two clocks.

    Attributes:
        method: key of `sync.align.METHODS`.
        source: clock of `t_ns`.
        target: the other clock.
        t_ns: time of the event, ns on `source`.
        offset_ns: what to add to `t_ns` to get the event's time on `target`.
        sigma_ns: standard error of `offset_ns` that is this match's own.
        score: in [0, 1].
        shared: errors it shares with other matches: name and signed standard deviation in ns, positive where
            the error makes `offset_ns` larger.
        piece: number of the stretch it belongs to; stretches are separated by lost samples.
    """

    method: str
    source: str
    target: str
    t_ns: int
    offset_ns: int
    sigma_ns: float
    score: float
    shared: tuple[tuple[str, float], ...] = ()
    piece: int = 0


@dataclass(frozen=True)
class Pairing:
    """What one method says about two clocks.

    Attributes:
        verdict: ``ok`` or ``coarse`` (right within its large sigma); ``excluded`` where other evidence contradicts it.
            A refusal is an `EvidenceError`.
        reason: why it is coarse, or what to mind; empty where nothing is.
        matches: by time; one a window, one a tone.
        evidence: numbers that support it, for people: windows tried and used, runner-up, longest silence.
        breaks_ns: where one stretch of matches ends and the next begins, ns on `source`; empty where none was lost.
    """

    method: str
    source: str
    target: str
    verdict: str
    reason: str
    matches: tuple[Match, ...]
    evidence: dict[str, float] = field(default_factory=dict)
    breaks_ns: tuple[int, ...] = ()

    @property
    def score(self) -> float:
        """Mean score of the matches, in [0, 1]."""
        return sum(m.score for m in self.matches) / len(self.matches)


Method = Callable[[Recording, Recording], Pairing]


@dataclass(frozen=True)
class Refusal:
    """A device or pair that was not aligned, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class GazeMap:
    """Where the gaze of one eye tracker was written in another camera's pixels.

    Attributes:
        source: device of the scene camera and gaze.
        target: device whose frames are the rows of `file`.
        file: CSV relative to the session folder: ``t_s, x_px, y_px, sigma_px, verdict``.
        verdicts: how many rows have each verdict.
    """

    source: str
    target: str
    file: str
    verdicts: dict[str, int]


@dataclass(frozen=True)
class Alignment:
    """Every clock of a session in terms of one.

    Attributes:
        reference: name of the reference clock.
        maps: one per aligned clock but the reference, source = the clock, target = the reference.
        pairings: the evidence.
        residual_ns: per pairing, what is left of each of its matches after the fusion, ns, in order.
        refused: what could not be aligned.
        warnings: sentences to read first.
        gaze: gaze tables that were made.
        certainty: one per map.
        excluded: evidence that was left out; its verdict is ``excluded`` and its reason says why.
        silent: what was compared without an answer.
        cameras: one per device with pictures.
    """

    reference: str
    maps: tuple[ClockMap, ...]
    pairings: tuple[Pairing, ...]
    residual_ns: tuple[tuple[int, ...], ...]
    refused: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    gaze: tuple[GazeMap, ...] = ()
    certainty: tuple[Certainty, ...] = ()
    excluded: tuple[Pairing, ...] = ()
    silent: tuple[Silence, ...] = ()
    cameras: tuple[CameraDelay, ...] = ()

    def sigma_ns(self, clock: str, t_ns: np.ndarray) -> np.ndarray:
        """Standard error of the map of `clock` at (N,) int64 times of it: (N,) float64 ns; 0 for the reference.

        Raises:
            EvidenceError: that clock was not aligned.
        """
        known = next((c for c in self.certainty if c.clock == clock), None)
        if known is None:
            largest = max(p.sigma_ns for p in self.to_reference(clock).pieces)
            return np.full(len(t_ns), largest)
        origin = known.t_ns[0]
        return np.interp(t_ns - origin, np.array(known.t_ns) - origin, known.sigma_ns)

    def to_reference(self, clock: str) -> ClockMap:
        """The map from `clock` to the reference; identity for the reference itself.

        Raises:
            EvidenceError: that clock was not aligned.
        """
        if clock == self.reference:
            return ClockMap.affine(clock, clock)
        for found in self.maps:
            if found.source == clock:
                return found
        raise EvidenceError(f"{clock} is not aligned to {self.reference}; read the refusals in {FILE}")

    def to_json(self) -> dict[str, Any]:
        """The document of `alignment.json`."""
        return {
            "version": VERSION,
            "reference": self.reference,
            "maps": [m.to_json() for m in self.maps],
            "evidence": [
                {**asdict(p), "score": round(p.score, 4), "residual_ns": list(r)}
                for p, r in zip(self.pairings, self.residual_ns, strict=True)
            ],
            "refused": [asdict(r) for r in self.refused],
            "warnings": list(self.warnings),
            "gaze": [asdict(g) for g in self.gaze],
            "certainty": [asdict(c) for c in self.certainty],
            "excluded": [{**asdict(p), "score": round(p.score, 4)} for p in self.excluded],
            "silent": [asdict(s) for s in self.silent],
            "cameras": [asdict(c) for c in self.cameras],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Alignment:
        """The inverse of `to_json`."""
        return cls(
            reference=value["reference"],
            maps=tuple(ClockMap.from_json(m) for m in value["maps"]),
            pairings=tuple(_pairing(e) for e in value["evidence"]),
            residual_ns=tuple(tuple(e["residual_ns"]) for e in value["evidence"]),
            refused=tuple(Refusal(**r) for r in value["refused"]),
            warnings=tuple(value["warnings"]),
            gaze=tuple(GazeMap(**g) for g in value["gaze"]),
            certainty=tuple(Certainty.from_json(c) for c in value.get("certainty", ())),
            excluded=tuple(_pairing(e) for e in value.get("excluded", ())),
            silent=tuple(Silence(**s) for s in value.get("silent", ())),
            cameras=tuple(CameraDelay(**c) for c in value.get("cameras", ())),
        )

    def save(self, root: Path) -> Path:
        """Write `alignment.json` into a session folder, whole or not at all."""
        durable.write_json(root / FILE, self.to_json())
        return root / FILE


def load(root: Path) -> Alignment:
    """Read the alignment of a session folder.

    Raises:
        SessionError: there is none, or it is not of this version.
    """
    path = root / FILE
    if not path.is_file():
        raise SessionError(f"{root} is not aligned yet; run `syncctl align {root}`")
    try:
        document = json.loads(path.read_text())
        if document["version"] != VERSION:
            raise SessionError(f"{path} has version {document['version']}; run `syncctl align {root}` again")
        return Alignment.from_json(document)
    except (ValueError, KeyError, TypeError) as error:
        raise SessionError(f"{path} is damaged ({error}); run `syncctl align {root}` again") from error


def _pairing(value: dict[str, Any]) -> Pairing:
    fields = {k: v for k, v in value.items() if k not in {"score", "residual_ns"}}
    matches = tuple(Match(**{**m, "shared": tuple(map(tuple, m["shared"]))}) for m in fields.pop("matches"))
    return Pairing(matches=matches, breaks_ns=tuple(fields.pop("breaks_ns", ())), **fields)
