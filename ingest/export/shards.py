"""WebDataset: tar files of clips that any machine streams. The clips are cut for good, with this length and stride.

A sample is what the batch contract gives: `KEY.ego.0.jpg`, `KEY.ego.1.jpg`... for pictures, `KEY.gaze.npy` and so on
for arrays and their masks, and `KEY.json` with session, split, participant and time.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ingest.anchors import anchors
from ingest.ask import KINDS, Ask
from ingest.cache import FrameReader
from ingest.opened import Dataset
from ingest.splits import SPLITS
from ingest.view import SessionView
from recorder import durable

CLIPS_A_SHARD = 1000
QUALITY = 95
ASKED = tuple(k for k in KINDS if k != "features")


def write_shards(dataset: Dataset, names: list[str], out: Path, size: int) -> list[str]:
    """Write `SPLIT-000000.tar` and on, a second of a session a clip.

    Returns:
        sentences about what was left out.
    """
    ask, reader = Ask(ASKED, size=size), FrameReader()
    left_out = []
    for split in SPLITS:
        held = [name for name in dataset.sessions(split) if name in names]
        samples: list[tuple[str, dict[str, bytes]]] = []
        shard = 0
        for name in held:
            view = SessionView(dataset, name, ask)
            starts, whom = anchors(dataset.rows, name, ask)
            if not len(starts):
                left_out.append(f"{name}: it is shorter than a clip")
            for number, (t0_ns, who) in enumerate(zip(starts.tolist(), whom.tolist(), strict=True)):
                told = {"session": name, "split": split, "participant": view.focus, "t_ns": t0_ns}
                samples.append((f"{name}-{number:06d}", _files(view.clip(reader, t0_ns, who), told)))
                if len(samples) == CLIPS_A_SHARD:
                    _write(out / f"{split}-{shard:06d}.tar", samples)
                    samples, shard = [], shard + 1
        if samples:
            _write(out / f"{split}-{shard:06d}.tar", samples)
    reader.close()
    return left_out


def _files(arrays: dict[str, np.ndarray], told: dict[str, Any]) -> dict[str, bytes]:
    files = {"json": json.dumps(told).encode()}
    for key, value in arrays.items():
        if key in ("ego", "third"):
            for k, picture in enumerate(value.transpose(0, 2, 3, 1)):
                bgr = np.ascontiguousarray(picture[..., ::-1])
                _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
                files[f"{key}.{k}.jpg"] = data.tobytes()
            continue
        packed = io.BytesIO()
        np.save(packed, value)
        files[f"{key}.npy"] = packed.getvalue()
    return files


def _write(path: Path, samples: list[tuple[str, dict[str, bytes]]]) -> None:
    with durable.replacing(path) as scratch, tarfile.open(scratch, "w") as tar:
        for key, files in samples:
            for suffix, data in files.items():
                entry = tarfile.TarInfo(f"{key.replace('.', '_')}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
