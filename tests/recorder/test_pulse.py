"""The real sounddevice and PortAudio, hearing a tone through the null sink of a PulseAudio of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recorder.samples import read_sound
from recorder.session import open_session
from sync.tones import find

REPOSITORY = Path(__file__).parents[2]
TONE_HZ, TONE_S = 1234.5, 2.0


@pytest.fixture
def sound_server(tmp_path: Path, tool) -> Iterator[dict[str, str]]:
    """The environment in which a device `virtual` hears what is played; no D-Bus and no sound card needed."""
    for name in ("pulseaudio", "paplay"):
        tool(name)
    home = tmp_path / "home"
    home.mkdir()
    socket = home / "native"
    (home / "default.pa").write_text(
        f"load-module module-native-protocol-unix auth-anonymous=1 socket={socket}\n"
        "load-module module-null-sink sink_name=room rate=48000 channels=1 format=s16le\n"
    )
    (home / ".asoundrc").write_text(
        f'pcm.virtual {{ type pulse server "unix:{socket}" device "room.monitor" '
        'hint { show on description "what is played" } }\n'
        f'pcm.loudspeaker {{ type pulse server "unix:{socket}" device "room" '
        'hint { show on description "plays into the room" } }\n'
    )
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PULSE_SERVER": f"unix:{socket}"}
    environment |= {"PULSE_RUNTIME_PATH": str(home), "PYTHONPATH": str(REPOSITORY)}
    command = ["pulseaudio", "-n", "-F", home / "default.pa", "--daemonize=no", "--exit-idle-time=-1"]
    command += ["--use-pid-file=no", "--disable-shm=yes", "--log-level=error"]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not socket.exists() and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert socket.exists(), "PulseAudio did not start"
    yield environment
    server.terminate()
    server.wait(10)


def test_a_tone_played_into_the_room_is_found_in_the_recording(tmp_path: Path, sound_server: dict[str, str]):
    wave = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(TONE_S * 48_000)) / 48_000)
    soundfile.write(tmp_path / "tone.wav", wave, 48_000, subtype="PCM_16")
    command = [sys.executable, Path(__file__).with_name("hear.py"), tmp_path, "virtual", "6.5"]
    hearing = subprocess.Popen(command, env=sound_server, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert hearing.stdout.readline() == "begun\n", hearing.stderr.read()
    time.sleep(3)  # the stream has a backlog at first
    subprocess.run(
        ["paplay", "--latency-msec=300", "--device=room", tmp_path / "tone.wav"], env=sound_server, check=True
    )
    told, problems = hearing.communicate(timeout=60)
    assert hearing.returncode == 0, problems
    assert float(told.split()[1]) == 0 or 47_000 < float(told.split()[1]) < 49_000

    session = open_session(tmp_path)
    sound = read_sound(session, session.device("kit-01"))
    loud = np.flatnonzero(np.abs(sound.x) > 0.25)
    assert len(loud), "the tone is in the file"
    tone = sound.x[loud[0] : loud[-1] + 1].astype(np.float64)
    assert len(tone) / 48_000 == pytest.approx(TONE_S, abs=0.3), "all of it; a server on a busy machine stumbles"
    found_hz = [_pitch_hz(part) for part in np.array_split(tone, 8)]
    assert np.median(found_hz) == pytest.approx(TONE_HZ, abs=0.5), "at the rate it says"
    assert np.median(np.abs(tone)) == pytest.approx(0.5 / np.sqrt(2), abs=0.01), "as loud as it was"
    assert 4.5 < sound.duration_s < 6.7, "blocks of the first second look older than they are, and may be passed over"


def test_our_own_tone_sounds_and_is_heard(tmp_path: Path, sound_server: dict[str, str]):
    command = [sys.executable, Path(__file__).with_name("hear.py"), tmp_path, "virtual", "7.5"]
    hearing = subprocess.Popen(command, env=sound_server, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert hearing.stdout.readline() == "begun\n", hearing.stderr.read()
    time.sleep(2.5)
    sounding = [sys.executable, "-m", "syncctl", "tone", "end", "--speaker", "loudspeaker"]
    subprocess.run(sounding, env=sound_server, check=True, capture_output=True)
    assert hearing.wait(60) == 0, hearing.stderr.read()
    session = open_session(tmp_path)
    assert [t.kind for t in find(read_sound(session, session.device("kit-01")))] == ["end"]


def _pitch_hz(x: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 32 * len(x)))
    return float(np.argmax(spectrum)) * 48_000 / (32 * len(x))
