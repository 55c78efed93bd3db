"""Records the virtual camera with `recorder.camera.PiCamera`: in the root that `.ci/picamera2` builds.

The camera is stopped and started again half way, as the recorder's watch does it. What was handed over goes into
OUT/kit-01.mkv through the recorder's own writer, and what is to be compared with it into OUT/facts.json.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from pathlib import Path

import virtual_pi

virtual_pi.install()

from recorder.camera import FrameReceipt, PiCamera  # noqa: E402
from recorder.mux import EncodedFrame  # noqa: E402
from recorder.watch import Notice  # noqa: E402
from recorder.writer import KitLayout, KitWriter  # noqa: E402

SECONDS = 4.0
SIZE, FPS = (1280, 720), 30


def main(out: Path) -> None:
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    camera = PiCamera(*SIZE, FPS, 4_000_000)
    t0_ns = time.monotonic_ns()
    writer = KitWriter(KitLayout("kit-01", (), size=SIZE, fps=FPS), out / "kit-01.mkv", out / "kit-01.log.jsonl", t0_ns)
    facts: dict = {"t0_ns": t0_ns, "times_ns": [], "handed_ns": [], "previews": 0, "restarted_at": 0}
    for part in range(2):
        if part:
            facts["restarted_at"] = len(facts["times_ns"])
            writer.notice(Notice("camera", "reopened", time.monotonic_ns()))
        camera.start(lambda item: inbox.put((time.monotonic_ns(), item)))
        until_s = time.monotonic() + SECONDS / 2
        while time.monotonic() < until_s:
            facts["previews"] += bool(camera.preview())
            time.sleep(0.05)
        camera.stop()
        while not inbox.empty():
            handed_ns, item = inbox.get()
            if isinstance(item, EncodedFrame):
                writer.video(item)
                facts["times_ns"].append(item.t_ns)
                facts["handed_ns"].append(handed_ns)
            elif isinstance(item, FrameReceipt):
                writer.receipt(item)
    (out / "preview.jpg").write_bytes(camera.preview() or b"")
    writer.close()
    from importlib.metadata import version

    facts |= {"counters": dict(writer.counters), "picamera2": version("picamera2")}
    (out / "facts.json").write_text(json.dumps(facts))


main(Path(sys.argv[1]))
