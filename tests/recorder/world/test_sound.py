"""Sound: it takes its way, walls weaken it, rooms prolong it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate, welch

from recorder.tone import tone
from recorder.world import MICROPHONES, World, WorldPlan
from recorder.world.acoustics import SPEED_M_S, Acoustics, mirrored, reflected, tail
from recorder.world.house import LIVING
from recorder.world.noises import clip, speech
from recorder.world.plan import RATE_HZ
from recorder.world.scene import SPEAKER
from recorder.world.sound import HEIGHT_M, Source, listen
from tests.recorder.world.conftest import PLAN

NOTHING = Acoustics(0.0, 0.0)
WALLS, ROOMS = Acoustics(0.0, 33.0), Acoustics(0.4, 0.0)


@pytest.fixture(scope="module")
def dry(world: World) -> dict[str, np.ndarray]:
    """What microphones would hear in a house without reflections."""
    return {name: world.sound(name, NOTHING) for name in MICROPHONES}


@pytest.mark.parametrize("microphone", MICROPHONES)
@pytest.mark.parametrize("kind", ["start", "end"])
def test_tones_arrive_after_their_way(world: World, dry: dict[str, np.ndarray], microphone: str, kind: str) -> None:
    sound = dry[microphone]
    assert sound.shape == (round(PLAN.duration_s * RATE_HZ),)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() < 1.0
    sent = world.tone_times_ns[kind]
    begin = round(sent * 1e-9 * RATE_HZ) - 2400
    wave = tone(kind, RATE_HZ)
    lag = correlate(sound[begin : begin + len(wave) + 9600], wave, "valid", "fft")
    peak = int(lag.argmax())
    a, b, c = lag[peak - 1 : peak + 2]
    arrival = (begin + peak + 0.5 * (a - c) / (a - 2 * b + c)) / RATE_HZ
    distance = np.linalg.norm(world.microphone_at(microphone, np.array([sent / 1e9 + 0.5]))[0] - SPEAKER)
    assert abs(arrival - sent / 1e9 - distance / 343.0) < 1e-4
    assert abs(distance - world.tone_distance_m(microphone)) < 0.07


def test_the_wearer_stands_alike_at_both_tones() -> None:
    for seed in range(6):
        world = World(WorldPlan(duration_s=20.0, seed=seed))
        at = {kind: world.microphone_at("kit-02", np.linspace(t, t + 1, 5)) for kind, t in world.plan.tone_s.items()}
        assert np.linalg.norm(at["end"].mean(axis=0) - at["start"].mean(axis=0)) < 0.05
        assert max(np.ptp(track, axis=0).max() for track in at.values()) < 0.03
        assert 0.55 < np.linalg.norm(at["start"][0] - SPEAKER) < 0.95


@pytest.mark.parametrize("microphone", MICROPHONES)
def test_contacts_are_heard(world: World, heard: dict[str, np.ndarray], microphone: str) -> None:
    sound = heard[microphone].astype(float)
    louder = []
    for noise in world.noises:
        if noise.kind == "contact":
            n = round(noise.t * RATE_HZ)
            power = [np.mean(np.diff(sound[a : a + 1000]) ** 2) for a in (n - 1500, n + 200)]
            louder.append(power[1] / power[0])
    assert np.median(louder) > 4


@pytest.mark.parametrize("microphone", MICROPHONES)
def test_no_microphone_is_overdriven(heard: dict[str, np.ndarray], microphone: str) -> None:
    assert 0.02 < np.abs(heard[microphone]).max() < 0.95


@pytest.mark.parametrize("decay_s", [0.2, 0.4, 0.8])
def test_a_room_rings_as_long_and_as_loud_as_sabine_says(world: World, decay_s: float) -> None:
    room, how = world.home.house.rooms[LIVING], Acoustics(decay_s)
    late = tail(room, HEIGHT_M, how, np.random.default_rng(0)).astype(float)
    left = np.cumsum(late[::-1] ** 2)[::-1]
    level = 10 * np.log10(left / left[0])
    fallen = [np.argmax(level < drop) / RATE_HZ for drop in (-5.0, -35.0)]
    assert 2 * (fallen[1] - fallen[0]) == pytest.approx(decay_s, rel=0.08)
    volume = room.floor_m2 * HEIGHT_M
    begin = np.argmax(late != 0) / RATE_HZ
    whole = 16 * np.pi * decay_s / (0.161 * volume) * np.exp(-begin * 6 * np.log(10) / decay_s)
    assert left[0] == pytest.approx(whole, rel=0.05)
    assert reflected(room, HEIGHT_M, NOTHING) == 0 < reflected(room, HEIGHT_M, how) < 1


def test_images_are_as_far_behind_the_wall_as_the_sound_is_before_it(world: World) -> None:
    room, at = world.home.house.rooms["kitchen"], np.array([*world.home.house.rooms["kitchen"].middle + 0.3, 1.0])
    for image in mirrored(room, HEIGHT_M, at):
        half = (image + at) / 2
        edges = [half[0] - room.low[0], half[0] - room.high[0], half[1] - room.low[1], half[1] - room.high[1]]
        assert min(np.abs([*edges, half[2], half[2] - HEIGHT_M])) < 1e-9
        assert np.count_nonzero(image - at) == 1


def click_from(world: World, at: np.ndarray, how: Acoustics, microphone: np.ndarray) -> np.ndarray:
    """(N,) what a microphone that stands still hears of white noise of half a second, without its own noise."""
    wave = np.random.default_rng(3).standard_normal(RATE_HZ // 2).astype(np.float32) * np.float32(0.05)
    plan = WorldPlan(duration_s=6.0, seed=1)
    path = lambda t: np.tile(microphone, (len(t), 1))  # noqa: E731
    parts = ([Source(wave, 1.0, at, 1.0)], [])
    with_it, without = (listen(plan, world.home.house, how, "kit-01", path, around) for around in parts)
    return with_it - without


@pytest.mark.parametrize("far_m", [0.2, 2.0, 5.0])
def test_no_echo_is_before_its_sound(world: World, far_m: float) -> None:
    at = np.array([-2.2, -1.0, 1.2])
    microphone = at + [0.9 * far_m, 0.4 * far_m, 0.0]
    echoes = np.abs(click_from(world, at, ROOMS, microphone) - click_from(world, at, NOTHING, microphone))
    arrives = round((1.0 + np.linalg.norm(microphone - at) / SPEED_M_S) * RATE_HZ)
    assert echoes[: arrives - 1].max() < 1e-6
    assert echoes[arrives : arrives + 2400].max() > 1e-3


def test_walls_take_loudness_and_the_treble_first(world: World) -> None:
    house = world.home.house
    door = next(d for d in house.doorways if d.near == LIVING)
    at = np.array([*door.ahead(1.0), 1.2])
    beside, before = (np.array([*door.ahead(-0.8, aside), 1.2]) for aside in (-1.7, 0.0))
    open_db, shut_db = [], []
    for microphone, levels in ((before, open_db), (beside, shut_db)):
        far = np.linalg.norm(microphone - at)
        for how in (NOTHING, WALLS):
            hz, power = welch(
                click_from(world, at, how, microphone)[RATE_HZ : 2 * RATE_HZ] * far, RATE_HZ, nperseg=4096
            )
            levels.append([10 * np.log10(power[(hz > a) & (hz < 2 * a)].mean()) for a in (250, 4000)])
    assert open_db[0] == pytest.approx(open_db[1], abs=0.1), "a doorway is no wall"
    assert open_db[0] == pytest.approx(shut_db[0], abs=0.3), "nor is a wall of 0 dB"
    dull, bright = np.subtract(shut_db[0], shut_db[1])
    assert 5 < dull < bright - 3 < 33


def test_a_sound_next_door_comes_through_the_doorway(world: World) -> None:
    """Round the doorpost is longer than through the wall, and that is when the most of it arrives."""
    house = world.home.house
    door = next(d for d in house.doorways if d.near == LIVING)
    at, microphone = np.array([*door.ahead(0.9, 0.9), 1.2]), np.array([*door.ahead(-0.9, 0.9), 1.2])
    post = np.array([*door.ahead(0.06, 0.45), 1.2])
    heard = click_from(world, at, WALLS, microphone)
    wave = np.random.default_rng(3).standard_normal(RATE_HZ // 2)
    lag = np.abs(correlate(heard, wave, "valid", "fft")).argmax() - RATE_HZ
    round_m = np.linalg.norm(at - post) + np.linalg.norm(microphone - post)
    assert lag / RATE_HZ * SPEED_M_S == pytest.approx(round_m, abs=0.05)
    first = np.abs(heard) > 1e-4
    assert np.argmax(first) / RATE_HZ - 1.0 > np.linalg.norm(at - microphone) / SPEED_M_S - 1e-3


def test_a_room_s_reverberation_is_quieter_next_door(world: World) -> None:
    house = world.home.house
    door = next(d for d in house.doorways if d.near == LIVING)
    at = np.array([*house.rooms[door.far].middle, 1.2])
    inside, outside = (np.array([*door.ahead(far, 0.4), 1.2]) for far in (1.5, -2.0))
    after = slice(round(1.56 * RATE_HZ), round(1.8 * RATE_HZ))  # the wave is over, its echoes are not
    loud, soft = (np.sqrt(np.mean(click_from(world, at, ROOMS, m)[after] ** 2)) for m in (inside, outside))
    assert 3 < 20 * np.log10(loud / soft) < 30


@pytest.mark.parametrize("seed", range(4))
def test_speech_is_voiced_syllables_and_no_burst_of_noise(seed: int) -> None:
    wave = speech(np.random.default_rng(seed))
    assert np.array_equal(wave, clip("speech", np.random.default_rng(seed)))
    assert np.abs(wave).max() == pytest.approx(0.06)
    assert 0.3 < len(wave) / RATE_HZ < 1.1
    assert np.abs(wave[[0, -1]]).max() < 1e-3, "it begins and ends without a click"
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    assert spectrum[(hz > 200) & (hz < 3500)].sum() > 0.95 * spectrum.sum()
    loud = wave[np.argmax(np.convolve(wave**2, np.ones(2400), "valid")) :][:2400]
    repeats = correlate(loud, loud, "full")[len(loud) - 1 :] / np.sum(loud**2)
    pitch = slice(RATE_HZ // 260, RATE_HZ // 75)
    assert repeats[pitch].max() > 0.3
