"""A recording of the simulated home: its kits live or on a simulated clock, its other devices beside them."""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from firmware_host.clock import SECOND_NS, TICK_HZ, FakeClock, MappedClock, MonotonicClock
from firmware_host.clockmap import ClockMap
from firmware_host.process import AcquisitionProcess, InlineAcquisition, Ports
from firmware_host.schedule import Plan
from firmware_host.schedule import plan as plan_kit
from firmware_host.simulate import BODY_KIT, ROOM_KIT, simulated_ports
from firmware_host.spec import KitConfig
from recorder import truth
from recorder.camera import H264Encoder, jpeg
from recorder.flaws import Flaws
from recorder.homeplan import BODY, FPS, SOUND_HZ, WALL_EPOCH_NS, HomePlan, plan_home
from recorder.microphone import BLOCK, SoundBlock
from recorder.mux import EncodedFrame
from recorder.paced import Paced
from recorder.preview import Preview
from recorder.record import KitRole, LiveKit, PlayedKit
from recorder.run import LEAD_S, Done, new_session, record_all, seal, sensor_layouts
from recorder.session import Session
from recorder.simulate import Prepared, imported_devices, prepare, world_of
from recorder.terminal import note, progress
from recorder.watch import with_notices
from recorder.world import ROOM_KITS, World, WorldPlan
from recorder.writer import KitLayout

FAKE_START_NS = 1_000 * SECOND_NS


def kits_of(plan: HomePlan) -> dict[str, KitConfig]:
    """The kits of a home by name: kit-01 in the room, kit-02 on the body, others in the room."""
    return {name: BODY_KIT if name == BODY else ROOM_KIT for name in plan.sample_ppm}


def _encoder(prepared: Prepared) -> H264Encoder:
    """A kit's."""
    world, flaws = prepared.plan.world, prepared.plan.flaws.camera
    return H264Encoder(world.width, world.height, FPS, round(flaws.kit_bits * world.width * world.height * FPS))


class PlayedCamera:
    """Plays rendered pictures at their times and encodes them, as a camera's own encoder would."""

    def __init__(self, prepared: Prepared, kit: str, to_world: ClockMap, clock: MonotonicClock | MappedClock) -> None:
        self._encoder = _encoder(prepared)
        pictures = ((t_ns, (picture, t_ns)) for t_ns, picture in prepared.timed_pictures(kit, to_world))
        self._paced = Paced(pictures, clock, "camera")
        self._preview = Preview(jpeg)

    def start(self, sink: Callable[[EncodedFrame], None]) -> None:
        def show(timed: tuple[np.ndarray, int]) -> None:
            sink(self._encoder.encode(*timed))
            self._preview.offer(lambda: timed[0])

        self._paced.start(show)

    def stop(self) -> None:
        self._paced.stop()

    def preview(self) -> bytes | None:
        return self._preview.jpeg()


class PlayedMicrophone:
    """Plays rendered sound; a block is there when its last sample is."""

    def __init__(self, blocks: Iterator[SoundBlock], clock: MonotonicClock | MappedClock) -> None:
        length_ns = BLOCK * SECOND_NS // SOUND_HZ
        self._paced = Paced(((b.t_ns + length_ns, b) for b in blocks), clock, "microphone")

    def start(self, sink: Callable[[SoundBlock], None]) -> None:
        self._paced.start(sink)

    def stop(self) -> None:
        self._paced.stop()


def simulated_plans() -> list[str]:
    """The bus plans of the two simulated kits, as tables."""
    kits = {"kit-01": ROOM_KIT, BODY: BODY_KIT}
    return [line for name, kit in kits.items() for line in (f"{name}:", *plan_kit(kit).table().splitlines(), "")]


def record_home(
    folder: Path,
    *,
    duration_s: float,
    fast: bool,
    seed: int,
    width: int = 640,
    height: int = 360,
    kits: int = 1,
    flaws: Flaws | None = None,
    activity: str | None = None,
    participant: str | None = None,
    place: str | None = None,
    people: int = 1,
    mirror: bool = False,
    truth_video: bool = False,
    workers: int | None = None,
) -> Done:
    """Record a session of the simulated home: `kits` in the room, one on the body, head camera and eye tracker.

    It is rendered in `workers` processes, or in as many as there are cores. With two `people` the participant has a
    guest; with `mirror` they begin with a pattern before a mirror. `truth_video` writes what each pixel shows and how
    far it is (`truth.write_video`).

    Raises:
        SessionError: the folder already holds a session.
        ConfigError: the home cannot be built or rendered.
    """
    world = WorldPlan(
        duration_s=duration_s,
        seed=seed,
        activity=activity,
        participant=participant or "p01",
        place=place or "r01",
        width=width,
        height=height,
        people=people,
        mirror=mirror,
    )
    plan = plan_home(world, kits, flaws)
    main_activity = _main_activity(world_of(plan.world))  # what cannot be is refused before the folder is touched
    session = new_session(folder, list(world.names), world.place, activity or main_activity)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        begun = time.monotonic()
        with progress("preparing the simulated home", 3 + kits) as advance:
            prepared = prepare(plan, Path(scratch), lambda _: advance(1), workers)
        prepared_s = round(time.monotonic() - begun, 1)
        note(f"prepared {duration_s:g} s of the simulated home in {prepared_s} s")
        prepared.deliver(folder)
        if truth_video:
            truth.write_video(folder, plan)
        return _record_prepared(session, prepared, fast, prepared_s)


def _main_activity(world: World) -> str | None:
    """What the person spends most of the session on."""
    activities = [label for label in world.labels() if label.tier == "activity"]
    return max(activities, key=lambda a: a.t1_ns - a.t0_ns).value if activities else None


def _record_prepared(session: Session, prepared: Prepared, fast: bool, prepared_s: float) -> Done:
    start_ns = FAKE_START_NS if fast else time.monotonic_ns() + round(LEAD_S * SECOND_NS)
    room = ClockMap.affine("kit-01", "world", origin_ns=start_ns)
    clocks = {"kit-01": room, **prepared.plan.clocks}
    truth.write(session.root, prepared.plan, clocks)
    head, eye = imported_devices(prepared.plan, prepared.distance_m)
    session = replace(session, devices=(head, eye))
    if fast:  # on a simulated clock it is the simulated day
        created = datetime.fromtimestamp(WALL_EPOCH_NS / SECOND_NS, UTC)
        session = replace(session, created=created.isoformat(timespec="seconds"))
    make = _played_kit if fast else _live_kit
    kits = [make(prepared, name, clocks, session.root) for name in kits_of(prepared.plan)]
    stop_ns = prepared.plan.stop_ns
    ticks = {k.layout.name: (stop_ns - prepared.plan.start_ns[k.layout.name]) * TICK_HZ // SECOND_NS for k in kits}
    recorded = record_all(session, kits, ticks)
    done = seal(session, recorded)
    return replace(done, prepared_s=prepared_s)


def _layout(prepared: Prepared, name: str, plan: Plan) -> KitLayout:
    world = prepared.plan.world
    size, fps = ((world.width, world.height), FPS) if name in ROOM_KITS else (None, None)
    return KitLayout(name, sensor_layouts(plan, kits_of(prepared.plan)[name]), size=size, fps=fps, sound_hz=SOUND_HZ)


def _role(prepared: Prepared, name: str) -> KitRole:
    distance_m = prepared.distance_m[name]
    if name in ROOM_KITS:
        view = 1 + prepared.plan.room_kits.index(name)
        return KitRole("third", view=f"v{view:03d}", tone_distance_m=distance_m)
    return KitRole("body", wearer=prepared.plan.world.participant, tone_distance_m=distance_m)


def _ports(prepared: Prepared, name: str, t0_ns: int, folder: Path, *, wire_time: bool) -> partial[Ports]:
    """Opens the kit's simulated buses, in whichever process the loop runs."""
    return partial(
        simulated_ports,
        kits_of(prepared.plan)[name],
        stimulus_path=prepared.stimulus(name),
        t0_ns=t0_ns,
        log_path=folder / f"{name}.chips.jsonl",
        seed=_noise_seed(prepared.plan.world.seed, name),
        wire_time=wire_time,
    )


def _noise_seed(seed: int, kit: str) -> int:
    """Of the noise of a kit's chips: two kits of the same chips are noisy each in its own way."""
    return seed if kit in ("kit-01", BODY) else seed ^ zlib.crc32(kit.encode())


def _live_kit(prepared: Prepared, name: str, clocks: dict[str, ClockMap], folder: Path) -> LiveKit:
    to_world, room = clocks[name], clocks["kit-01"].pieces[0]
    t0_ns = to_world.inverse(prepared.plan.start_ns[name])
    # The host's CLOCK_MONOTONIC is kit-01's clock, and world time plus a constant.
    since_ns = room.origin_ns - room.target_ns
    to_host = ClockMap(name, "kit-01", tuple(replace(p, target_ns=p.target_ns + since_ns) for p in to_world.pieces))
    clock = MappedClock(MonotonicClock(), to_host)
    plan = plan_kit(kits_of(prepared.plan)[name])
    ports = _ports(prepared, name, t0_ns, folder, wire_time=True)
    return LiveKit(
        layout=_layout(prepared, name, plan),
        about=_role(prepared, name),
        clock=clock,
        t0_ns=t0_ns,
        acquisition=AcquisitionProcess(plan, ports, partial(MappedClock, MonotonicClock(), to_host)),
        camera=PlayedCamera(prepared, name, to_world, clock) if name in ROOM_KITS else None,
        microphone=PlayedMicrophone(prepared.blocks(name, t0_ns), clock),
        clocks=lambda: prepared.plan.wall(name, to_world, clock.now_ns()),
    )


def _played_kit(prepared: Prepared, name: str, clocks: dict[str, ClockMap], folder: Path) -> PlayedKit:
    to_world = clocks[name]
    t0_ns = to_world.inverse(prepared.plan.start_ns[name])
    clock = FakeClock(t0_ns - round(LEAD_S * SECOND_NS))
    plan = plan_kit(kits_of(prepared.plan)[name])
    ports = _ports(prepared, name, t0_ns, folder, wire_time=False)
    kit = PlayedKit(
        layout=_layout(prepared, name, plan),
        about=_role(prepared, name),
        t0_ns=t0_ns,
        acquisition=InlineAcquisition(plan, ports, clock),
        blocks=with_notices(prepared.blocks(name, t0_ns), "microphone"),
        clocks=lambda: prepared.plan.wall(name, to_world, clock.now_ns()),
    )
    if name in ROOM_KITS:
        encoder = _encoder(prepared)
        frames = (encoder.encode(picture, t_ns) for t_ns, picture in prepared.timed_pictures(name, to_world))
        kit.frames = with_notices(frames, "camera")
    return kit
