"""Records what is heard for a while, as a kit does: `python hear.py FOLDER DEVICE SECONDS`. Says when it has begun."""

import queue
import sys
import time
from pathlib import Path

from recorder.microphone import WARM_UP_S, SoundDeviceMicrophone
from recorder.session import Device, Session
from recorder.writer import KitLayout, KitWriter


def main(folder: Path, device: str, seconds: float) -> None:
    layout = KitLayout("kit-01", (), sound_hz=48_000, warm_up_s=WARM_UP_S)
    heard: queue.SimpleQueue = queue.SimpleQueue()
    microphone = SoundDeviceMicrophone(device, 48_000)
    microphone.start(heard.put)
    writer = KitWriter(layout, folder / "kit-01.mkv", folder / "kit-01.log.jsonl", time.monotonic_ns())
    print("begun", flush=True)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        writer.sound(heard.get(timeout=5))
        writer.advance(max(0, round((time.monotonic_ns() - writer.t0_ns) * 60 / 1e9)))
    microphone.stop()
    fit = writer.close()
    print(writer.counters["microphone.overflows"], fit.rate_hz if fit else 0, flush=True)
    kit = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", writer.streams(fit), log="kit-01.log.jsonl")
    Session(folder, "s", (kit,), sealed=True, counters={"kit-01": dict(writer.counters)}).save()


main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
