"""What each clock of a session has to offer as evidence, and which clocks are worth comparing by what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from itertools import combinations

from firmware_host.clock import SECOND_NS, TICK_HZ
from firmware_host.errors import SessionError
from recorder.samples import frame_times_ns
from recorder.session import Device, Session
from sync import network
from sync.alignment import Recording
from sync.certainty import CameraDelay
from sync.filmed import filmed
from sync.importers.found import SERIES
from sync.motion.flow import camera_turning
from sync.motion.imu import QUATERNION, ROTATION, turnings
from sync.motion.mirror import Moving, felt, seen
from sync.motion.turning import Turning
from sync.waveform import Wave, recorded

UNMEASURED_NS = 20_000_000
"""Standard deviation of a camera's latency against its microphone where nobody measured it: cameras stamp the beginning
of an exposure or the end of a read-out, up to 30 ms apart, and drivers of microphones are late by up to 20 ms."""
HEAD_ROLES, ON_THE_HEAD = ("ego", "eye"), ("neck", "head")
"""Devices worn on the head; and a kit's IMUs that turn with it (the paper's sits on the back of the head)."""
SEEN = "seen"
"""The key of what a camera saw, among the limbs in `Recording.moved`."""
GYROSCOPES = ("gyroscope", "imu")
"""Streams that importers make of a camera's or an eye tracker's own sensor."""


def recordings(session: Session, methods: Iterable[str]) -> tuple[dict[str, Recording], dict[str, str]]:
    """What there is for some methods, and for a clock whose sound cannot be read, why.

    Args:
        methods: keys of `sync.align.METHODS`; what none of them needs is not read.
    """
    wanted = set(methods)
    found: dict[str, Recording] = {}
    mute: dict[str, str] = {}
    for device in session.devices:
        known = found.get(device.clock) or Recording(device.clock, None, device.wearer, device.tone_distance_m)
        if known.sound is None and wanted & {"tones", "audio"} and device.of_kind("audio"):
            try:
                sound = recorded(session, device)
                known = replace(known, sound=sound, wearer=device.wearer, tone_distance_m=device.tone_distance_m)
                mute.pop(device.clock, None)
            except SessionError as error:
                mute.setdefault(device.clock, str(error))
        if not known.wall and device.log and "network" in wanted:
            known = replace(known, wall=network.readings(session.path(device.log)))
        turned = _turned(session, device) if wanted & {"turning", "pattern"} else {}
        moved = _moved(session, device, turned) if "pattern" in wanted else {}
        known = replace(known, turned={**turned, **known.turned}, moved={**moved, **known.moved})
        span_ns = known.span_ns or _span_ns(session, device, known.sound)
        found[device.clock] = replace(known, span_ns=span_ns)
    return found, mute


def _span_ns(session: Session, device: Device, sound: object) -> tuple[int, int] | None:
    """First and last time of a device's recording: of its sound, or its pictures, or a kit's count of ticks."""
    if isinstance(sound, Wave):
        return sound.t0_ns, sound.t0_ns + round(1e9 * sound.duration_s)
    try:
        times = frame_times_ns(session, device)
        if len(times):
            return int(times.min()), int(times.max())
    except SessionError:
        pass
    receipt = session.receipt.get("devices")
    counted = receipt.get(device.name) if isinstance(receipt, dict) else None
    ticks = counted.get("ticks") if isinstance(counted, dict) else None
    if isinstance(ticks, int) and device.streams:
        first = min(s.t0_ns for s in device.streams)
        return first, first + ticks * SECOND_NS // TICK_HZ
    return None


def _turned(session: Session, device: Device) -> dict[str, Callable[[], Turning]]:
    """Parts of the body, or names of sensors, that a device turned with: by its gyroscope, else by its pictures."""
    found: dict[str, Callable[[], Turning]] = {}
    if not device.wearer:
        return found
    by_stream = lru_cache(maxsize=1)(partial(turnings, session, device))
    gyroscopes = [s.name for s in device.of_kind(SERIES) if s.name in GYROSCOPES]
    if device.role in HEAD_ROLES and (gyroscopes or device.of_kind("video")):
        by_picture = lru_cache(maxsize=1)(partial(_camera_turned, session, device))
        found["head"] = partial(_one_of, by_stream, gyroscopes) if gyroscopes else by_picture
    for sensor in dict.fromkeys(s.sensor for s in device.of_kind("sensor") if s.model == "bno055"):
        names = [f"{sensor}.{track}" for track in (ROTATION, QUATERNION)]
        found["head" if sensor in ON_THE_HEAD else str(sensor)] = partial(_by_kit, by_stream, names, device)
    return found


def _moved(
    session: Session, device: Device, turned: Mapping[str, Callable[[], Turning]]
) -> dict[str, Callable[[], Moving]]:
    """Limbs of a body with IMUs; and what a camera sees that stands in the room, or is worn by someone at a mirror."""
    found: dict[str, Callable[[], Moving]] = {k: partial(_felt, reads) for k, reads in turned.items() if k != "head"}
    if device.of_kind("video") and device.role in ("third", "ego"):
        found[SEEN] = lru_cache(maxsize=1)(partial(_seen, session, device))
    return found


def _felt(reads: Callable[[], Turning]) -> Moving:
    return felt(reads())


def _seen(session: Session, device: Device) -> Moving:
    moving = seen(filmed(session, device))
    return replace(moving, late=(*moving.late, *_unmeasured(device)))


def _camera_turned(session: Session, device: Device) -> Turning:
    turning = camera_turning(filmed(session, device))
    return replace(turning, late=(*turning.late, *_unmeasured(device)))


def _unmeasured(device: Device) -> tuple[tuple[str, float], ...]:
    """The error that all pictures of a device share where nobody measured how late they are against its sound."""
    delay = camera_delay(device)
    if delay is None or delay.measured:
        return ()
    return ((f"camera of {device.name} against its sound", float(delay.sigma_ns)),)


def _by_kit(by_stream: Callable[[], Mapping[str, Turning]], names: list[str], device: Device) -> Turning:
    """A kit's sensors are stamped by its clock, and its map is for its sound: the same error as of its wall times.

    There it counts for a source, here a late time makes an offset smaller, hence the sign.
    """
    turning = _one_of(by_stream, names)
    if not device.of_kind("audio"):
        return turning
    return replace(turning, late=(*turning.late, (network.sound_error(device.clock), -network.DRIVER_NS)))


def _one_of(by_stream: Callable[[], Mapping[str, Turning]], names: list[str]) -> Turning:
    """The first of some streams' turnings that is there."""
    known = by_stream()
    name = next((n for n in names if n in known), None)
    if name is None:
        raise SessionError(f"the recording holds nothing of {names[0]} that says how it turned")
    return known[name]


def camera_delay(device: Device) -> CameraDelay | None:
    """What is known of how late a device's pictures are against its sound; None where it has not both."""
    if not device.of_kind("audio") or not device.of_kind("video"):
        return None
    video = device.of_kind("video")[0]
    if video.latency_ns is None:
        return CameraDelay(device.name, 0, UNMEASURED_NS, False)
    return CameraDelay(device.name, video.latency_ns, video.latency_sigma_ns or 0, True)


def comparisons(found: Mapping[str, Recording], anchor: str, method: str) -> list[tuple[str, str]]:
    """The clocks to compare by a method, as (source, target).

    Sound: every clock with the reference, and those that one person wears with each other. Wall times: every kit with
    the reference. Turning: what one person wears on one part of the body. Patterns: a body with IMUs and a camera that
    may see it. Where the reference has nothing to offer, the first clock that has stands in for it.
    """
    able = [c for c in sorted(found, key=lambda c: (c != anchor, c)) if _offers(found[c], method)]
    if len(able) < 2:
        return []
    hub, rest = able[0], able[1:]
    worn = [(a, b) for a, b in combinations(sorted(able), 2) if found[a].wearer and found[a].wearer == found[b].wearer]
    if method == "turning":
        return [(a, b) for a, b in worn if set(found[a].turned) & set(found[b].turned)]
    if method == "pattern":
        return [(a, b) for a in able for b in able if a != b and _watched(found[a], found[b])]
    together = [(a, b) for a, b in worn if hub not in (a, b)] if method in ("tones", "audio") else []
    return [(c, hub) for c in rest] + together


def _offers(recording: Recording, method: str) -> bool:
    """Whether it is worth asking; a method that is not named here is asked, and refuses for itself."""
    offered = {
        "tones": recording.sound is not None,
        "audio": recording.sound is not None,
        "network": any(r.keeper is not None for r in recording.wall),
        "turning": bool(recording.turned),
        "pattern": bool(recording.moved),
    }
    return offered.get(method, True)


def _watched(body: Recording, camera: Recording) -> bool:
    """Whether a camera may see a body with IMUs on its limbs: it stands in the room, or its wearer is at a mirror."""
    return bool(set(body.moved) - {SEEN}) and SEEN in camera.moved and camera.wearer in (None, body.wearer)
