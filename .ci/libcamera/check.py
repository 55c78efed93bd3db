"""What `record.py` left behind, looked at from outside, with this machine's PyAV: frames, times, SPS and PPS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import numpy as np

from recorder.demux import read_rows, video_frames
from recorder.log import read_log

SECOND_NS = 1_000_000_000
FPS, SECONDS = 30, 4.0


def check(out: Path) -> str:
    """One line about a recording that is as it should be; AssertionError for one that is not."""
    media, facts = out / "kit-01.mkv", json.loads((out / "facts.json").read_text())
    times, handed = np.array(facts["times_ns"]), np.array(facts["handed_ns"])
    counters, restarted = facts["counters"], facts["restarted_at"]

    shown = list(video_frames(media))
    assert len(shown) == len(times) == counters["camera.frames"], "every frame handed over decodes"
    assert counters["camera.made"] == counters["camera.encoded"] == len(times), "none was lost on the way"
    assert len(times) > 0.8 * FPS * SECONDS, f"{len(times)} frames in {SECONDS} s"
    assert {image.shape for _, _, image in shown} == {(720, 1280)}
    assert np.std(shown[0][2]) > 20, "there is a picture in the picture"

    age_s = (handed - times) / SECOND_NS
    assert age_s.min() > 0, "no frame is handed over before it was taken: the stamps are on CLOCK_MONOTONIC"
    assert np.median(age_s) < 0.5
    assert (np.diff(times) > 0).all()
    timing = read_rows(media, ["camera.timing"])["camera.timing"]
    kept = times[0] + timing[:, 0].astype(np.int64) * SECOND_NS + timing[:, 1].astype(np.int64) * 1000
    assert np.abs(kept - times).max() < 1000, "the timing track has each frame's time to the microsecond"
    containers = np.array([t for _, t, _ in shown]) + facts["t0_ns"]
    assert np.abs(containers - times).max() < 2_000_000, "players show it at its time, to Matroska's millisecond"

    with av.open(str(media)) as container:
        video = container.streams.video[0]
        assert video.codec_context.extradata[:1] == b"\x01", "SPS and PPS are in the header (avcC)"
        keys = [i for i, p in enumerate(p for p in container.demux(video) if p.size) if p.is_keyframe]
    assert keys[:3] == [0, FPS, restarted] or keys[:2] == [0, FPS], f"a keyframe each second, {keys}"
    assert restarted in keys, "after its restart the camera began with a keyframe"
    assert not [e for e in read_log(out / "kit-01.log.jsonl") if e["type"] == "changed"], "its SPS and PPS are the same"

    assert facts["previews"] > 0
    with av.open(str(out / "preview.jpg")) as container:
        (preview,) = container.decode(video=0)
    assert (preview.width, preview.height) == (320, 180)
    return (
        f"picamera2 {facts['picamera2']}: {len(times)} frames made, encoded and decoded, {len(keys)} keyframes, "
        f"one restart, median age {np.median(age_s) * 1e3:.0f} ms"
    )


if __name__ == "__main__":
    print(check(Path(sys.argv[1])))
