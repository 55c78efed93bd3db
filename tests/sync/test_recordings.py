"""What is compared with what, and what a camera's unknown latency costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recorder.session import Device, Stream
from recorder.wall import WallReading
from sync import recordings as module
from sync.alignment import Recording
from sync.motion.turning import Turning
from sync.recordings import SEEN, UNMEASURED_NS, camera_delay, comparisons

KEPT = (WallReading(1, 2, 1, 0, "chrony", 10, 1),)
CAMERA, SOUND = Stream("camera", "video", 0, 30.0), Stream("microphone", "audio", 0, 48_000.0)


def home() -> dict[str, Recording]:
    """Two kits in rooms, a body kit, a head camera, an eye tracker without sound, and someone else's camera."""
    heard, read = object(), lambda: None
    return {
        "room": Recording("room", heard, wall=KEPT, moved={SEEN: read}),
        "desk": Recording("desk", heard, wall=KEPT),
        "body": Recording("body", heard, "p01", wall=KEPT, turned={"head": read, "rarmd": read}, moved={"rarmd": read}),
        "head": Recording("head", heard, "p01", turned={"head": read}, moved={SEEN: read}),
        "eye": Recording("eye", None, "p01", turned={"head": read}),
        "other": Recording("other", heard, "p02", turned={"head": read}, moved={SEEN: read}),
    }


@pytest.mark.parametrize("method", ["tones", "audio"])
def test_sounds_are_compared_with_the_reference_and_on_one_body(method):
    pairs = comparisons(home(), "room", method)
    assert pairs == [("body", "room"), ("desk", "room"), ("head", "room"), ("other", "room"), ("body", "head")]


def test_what_the_reference_has_not_is_compared_with_the_first_that_has():
    silent = home() | {"room": replace(home()["room"], sound=None, wall=())}
    assert ("head", "body") in comparisons(silent, "room", "audio")
    assert comparisons(silent, "room", "network") == [("desk", "body")]
    assert comparisons({"room": home()["room"]}, "room", "audio") == []


def test_a_method_that_nobody_has_heard_of_is_asked_of_every_clock_with_the_reference():
    assert {source for source, _ in comparisons(home(), "room", "smells")} == set(home()) - {"room"}
    assert {target for _, target in comparisons(home(), "room", "smells")} == {"room"}


def test_turning_is_compared_on_one_part_of_one_body():
    assert comparisons(home(), "room", "turning") == [("body", "eye"), ("body", "head"), ("eye", "head")]


def test_a_limb_is_looked_for_where_a_camera_may_see_it():
    assert comparisons(home(), "room", "pattern") == [("body", "room"), ("body", "head")]


def test_pictures_doubt_what_nobody_measured(monkeypatch):
    turned = Turning("head", np.arange(3), np.zeros((3, 3)), late=(("exposure", 4e6),))
    monkeypatch.setattr(module, "filmed", lambda *_: None)
    monkeypatch.setattr(module, "camera_turning", lambda _: turned)
    head = Device("head", "gopro", "ego", "head", "head.mp4", (CAMERA, SOUND), wearer="p01")
    clapped = replace(head, streams=(replace(CAMERA, latency_ns=5_000_000, latency_sigma_ns=800_000), SOUND))
    mute = replace(head, streams=(CAMERA,))
    unknown, measured, alone = (dict(module._camera_turned(None, d).late) for d in (head, clapped, mute))
    assert unknown == {"exposure": 4e6, "camera of head against its sound": UNMEASURED_NS}
    assert measured == alone == {"exposure": 4e6}
    assert camera_delay(mute) is None
    assert (camera_delay(clapped).latency_ns, camera_delay(clapped).measured) == (5_000_000, True)
