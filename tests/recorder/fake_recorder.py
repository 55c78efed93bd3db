"""A recorder's process that records nothing: it answers orders as the real one does, at once."""

import time
from multiprocessing.connection import Connection

LIVE = {
    **{"bytes_written": 4096, "elapsed_s": 1.0, "frames": 30, "missed": 0, "has_camera": True, "has_microphone": True},
    **{"frame_age_s": 0.02, "sound_age_s": 0.02, "peak_db": -20.0, "rms_db": -40.0},
    "sensors": [
        {
            **{"name": "amg8833", "model": "amg8833", "rate_hz": 10.0, "age_s": 0.1, "flag": "FRESH", "missed": 0},
            **{"channel": "warmest", "value": 31.25, "unit": "degC", "spark": [30.0, None, 31.25, 31.0]},
            "heat": [20.0 + k / 8 for k in range(64)],
        }
    ],
}
ARM_S = {"quick": 0.0, "slow": 30.0, "deaf": 0.0, "crash": 0.0}


def recorder(conn: Connection, kind: str) -> None:
    """Obeys until it is told to end; `kind` is a key of `ARM_S`."""
    if kind == "crash":
        raise SystemExit(3)
    if conn.poll(ARM_S[kind]):  # told to end while arming
        conn.recv()
        return
    conn.send(("armed", ("bno055",) if kind == "deaf" else ()))
    started = None
    while True:
        if started is not None:
            conn.send(("snapshot", LIVE))
        if not conn.poll(0.02):
            continue
        try:
            order, value = conn.recv()
        except EOFError:
            return
        if order == "start":
            started = value
            value.folder.mkdir()
            (value.folder / "session.json").write_text('{"version": 1, "sealed": true, "receipt": {}}')
            (value.folder / "kit-01.mkv").write_bytes(bytes(range(256)) * 40)
            conn.send(("started", {"t0_ns": 0, "wall_ns": time.time_ns()}))
        elif order == "preview":
            conn.send(("preview", b"\xff\xd8 a picture \xff\xd9"))
        elif order in ("stop", "end"):
            conn.send(("done", ({}, ())))
            return
