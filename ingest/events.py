"""What the sensors of a room say happened, as labels: lights and air that changed, and when somebody was there.

They stand in the table of labels beside what people wrote, with the kit's name and chip as their source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ingest.labels.label import Label, in_order
from ingest.labels.table import by_time, row
from ingest.targets.presence import presence
from ingest.targets.surroundings import air_events, light_events
from recorder.series import Series
from recorder.session import Device

PRESENCE, SOMEBODY = "presence", "somebody"
ROOM = "third"
"""Role of the devices that stand in a room."""
CURRENTS = ("ir1", "ir2", "ir3", "ir4")


def room_labels(
    session: str, devices: Iterable[Device], series: Mapping[tuple[str, str], Series]
) -> list[dict[str, Any]]:
    """Rows of the `labels` table: tier `environment` without length, tier `presence` from coming to going.

    Args:
        series: (device, stream) -> its samples on the reference clock.
    """
    rows = []
    for device in devices:
        for stream in device.of_kind("sensor") if device.role == ROOM else ():
            found = series.get((device.name, stream.name))
            if found is not None and len(found.t_ns):
                source = f"{device.name}.{stream.sensor}"
                labels = in_order(_said(stream.model or "", found))
                rows += [{"session": session, "source": source, **row(label)} for label in labels]
    return by_time(rows)


def _said(model: str, series: Series) -> Iterator[Label]:
    channels = {name: series.x[:, i].astype(np.float64) for i, name in enumerate(series.channels)}
    if model == "tsl2591" and "illuminance" in channels:
        yield from light_events(series.t_ns, channels["illuminance"])
    elif model == "bme680" and {"humidity", "temperature"} <= set(channels):
        yield from air_events(series.t_ns, channels["humidity"], channels["temperature"])
    elif model == "ak9753" and set(CURRENTS) <= set(channels):
        yield from _stays(series.t_ns, presence(np.column_stack([channels[c] for c in CURRENTS])))


def _stays(t_ns: np.ndarray, there: np.ndarray) -> Iterator[Label]:
    """From each coming to the reading that finds nobody, or to the last one."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]])))
    for come, gone in change.reshape(-1, 2).tolist():
        yield Label(PRESENCE, int(t_ns[come]), int(t_ns[min(gone, len(t_ns) - 1)]), SOMEBODY)
