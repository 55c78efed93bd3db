"""A recording that somebody conducts: by the protocol of the paper, with labels from what happened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from firmware_host.clock import SECOND_NS, TICK_HZ
from recorder.activities import Task
from recorder.config import read_kit
from recorder.microphone import SoundDeviceSpeaker
from recorder.observed import observed
from recorder.protocol import Conductor, write_labels
from recorder.record import LiveKit
from recorder.run import Done, forget, interruptible, live_kit, new_session, record_all, seal
from recorder.session import Session
from recorder.status import Snapshot


def record_task(folder: Path, config: Path, task: Task) -> Done:
    """Record hardware until the task's time has passed or Ctrl-C, which lets the end tone sound first.

    A tone sounds through the kit file's `[speaker]`, or through the default one where it has none.

    Raises:
        ConfigError: the kit file cannot work.
        PortError: a bus, camera or microphone cannot be opened.
        SessionError: the folder already holds a session.
    """
    file = read_kit(config)
    session = session_of(folder, task)
    kit = live_kit(file)
    task = replace(task, tones=task.tones or (file.speaker is not None and task.activity is not None))
    speaker = SoundDeviceSpeaker((file.speaker.device or None) if file.speaker else None) if task.tones else None
    with interruptible() as asked:
        conductor = Conductor(task, kit.t0_ns, speaker, asked)
        return record_conducted(session, kit, conductor, lambda _: None)


def session_of(folder: Path, task: Task) -> Session:
    """A session of a task, that is to be recorded into `folder`."""
    activity = task.activity.name if task.activity else None
    return new_session(folder, [task.participant] if task.participant else [], task.place, activity)


def record_conducted(session: Session, kit: LiveKit, conductor: Conductor, sink: Callable[[Snapshot], None]) -> Done:
    """Record a kit until its conductor ends it; seal it, and write the labels.

    What was ended before its first tick leaves no folder.
    """
    seconds = conductor.task.duration_s
    ticks = {kit.layout.name: round(seconds * TICK_HZ)} if seconds else {}
    done = seal(session, record_all(session, [kit], ticks, conductor.stop, observed(conductor, sink)))
    device = done.session.device(kit.layout.name)
    recorded = int(done.session.receipt["devices"][device.name]["ticks"])
    if not recorded:
        forget(done.session, done.session.devices)
        with suppress(OSError):
            session.root.rmdir()  # only where it is empty
    elif device.log is not None:
        end_ns = kit.t0_ns + recorded * SECOND_NS // TICK_HZ
        write_labels(session.root, session.path(device.log), kit.t0_ns, end_ns)
    return done
