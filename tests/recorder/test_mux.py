"""What goes into a kit's file comes out of it, by our reader and by the ffmpeg command."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from probing import probe, stream_titles

from recorder.camera import H264Encoder
from recorder.demux import container_frame_times_ns, read_rows, read_sound_file, video_frames
from recorder.mux import EncodedFrame, MatroskaWriter, RowTrack, write_mp4

SIZE = (64, 48)
RNG = np.random.default_rng(0)


def frames(n: int) -> list[EncodedFrame]:
    encoder = H264Encoder(*SIZE, fps=30, bit_rate=200_000)
    picture = RNG.integers(0, 255, (SIZE[1] * 3 // 2, SIZE[0]), dtype=np.uint8)
    return [encoder.encode(np.roll(picture, k, 1), 5_000_000 + k * 33_333_333) for k in range(n)]


def write(path: Path, seconds: int = 2) -> dict[str, np.ndarray]:
    """A file with picture, sound and tracks of 1 to 8 channels of full 24-bit range."""
    tracks = [RowTrack(f"s{c}", 480 if c == 8 else 60, c, {"SENSOR": "s"}) for c in range(1, 9)]
    pictures = frames(seconds * 30)
    sent = {t.title: RNG.integers(-(2**23) + 1, 2**23, (seconds * t.rate_hz, t.channels), np.int32) for t in tracks}
    sound = RNG.integers(-(2**23) + 1, 2**23, seconds * 48_000, np.int32)
    writer = MatroskaWriter(path, tracks, first_frame=pictures[0], fps=30, sound_rate_hz=48_000)
    for k, frame in enumerate(pictures):
        writer.video(frame, frame.t_ns)
        for t in tracks:
            per = t.rate_hz // 30
            writer.rows(t.title, sent[t.title][k * per : (k + 1) * per])
        writer.sound(sound[k * 1600 : (k + 1) * 1600], 20_000_000)
    writer.close()
    return sent | {"microphone": sound}


def test_every_count_survives_for_one_to_eight_channels(tmp_path: Path):
    sent = write(tmp_path / "k.mkv")
    titles = [t for t in sent if t != "microphone"]
    got = read_rows(tmp_path / "k.mkv", titles)
    for title in titles:
        assert np.array_equal(got[title], sent[title]), title


def test_the_ffmpeg_command_reads_the_same_counts(tmp_path: Path):
    sent = write(tmp_path / "k.mkv", seconds=1)
    index = stream_titles(tmp_path / "k.mkv")["s8"]
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "k.mkv"), "-map", f"0:{index}", "-f", "s32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    assert np.array_equal(np.frombuffer(raw, "<i4").reshape(-1, 8) >> 8, sent["s8"])


def test_players_find_picture_and_microphone_by_default_and_no_sensor(tmp_path: Path):
    write(tmp_path / "k.mkv", seconds=1)
    streams = probe(tmp_path / "k.mkv")
    default = [s["tags"]["title"] for s in streams if s["disposition"]["default"]]
    assert default == ["camera", "microphone"]
    assert [s["codec_name"] for s in streams[:2]] == ["h264", "flac"]
    assert all(s.get("bits_per_raw_sample") == "24" for s in streams[1:])


def test_sound_keeps_its_place_and_its_value(tmp_path: Path):
    sent = write(tmp_path / "k.mkv", seconds=1)
    sound = read_sound_file(tmp_path / "k.mkv")
    assert abs(sound.t0_ns - 20_000_000) <= 1_000_000  # Matroska rounds to the millisecond
    assert np.allclose(sound.x, sent["microphone"] / 2**23, atol=1e-7)


@pytest.mark.parametrize("count", [2**23, -(2**23) - 1])
def test_a_count_wider_than_24_bits_is_refused(tmp_path: Path, count: int):
    writer = MatroskaWriter(tmp_path / "k.mkv", [RowTrack("s", 60, 1, {})])
    with pytest.raises(ValueError, match="24 bits"):
        writer.rows("s", np.array([[count]], np.int32))
    writer.close()


def test_sound_as_loud_as_it_can_be_is_recorded(tmp_path: Path):
    """A microphone that is shouted at gives both ends of its range."""
    writer = MatroskaWriter(tmp_path / "k.mkv", [RowTrack("s", 60, 1, {})], sound_rate_hz=48_000)
    loud = np.resize(np.array([-(2**23), 2**23 - 1], np.int32), 48_000)
    writer.sound(loud, 0)
    writer.close()
    x = read_sound_file(tmp_path / "k.mkv").x
    assert (x.min(), x.max()) == (-1.0, pytest.approx(1.0, abs=1e-6))


def test_a_file_cut_at_any_byte_gives_what_is_before_the_cut(tmp_path: Path):
    sent = write(tmp_path / "k.mkv", seconds=3)
    data = (tmp_path / "k.mkv").read_bytes()
    for share in (0.4, 0.71, 0.93):
        (tmp_path / "cut.mkv").write_bytes(data[: int(len(data) * share)])
        rows = read_rows(tmp_path / "cut.mkv", ["s1"])["s1"]
        assert len(rows) / 60 > 3 * share - 0.8
        assert np.array_equal(rows, sent["s1"][: len(rows)])


def test_every_second_begins_with_a_keyframe_and_its_headers():
    encoded = frames(61)
    assert [k for k, f in enumerate(encoded) if f.keyframe] == [0, 30, 60]
    for k in (0, 30, 60):
        nal_types = {encoded[k].data[i + 3] & 31 for i in _starts(encoded[k].data)}
        assert {7, 8, 5} <= nal_types


def _starts(data: bytes) -> list[int]:
    return [i for i in range(len(data) - 3) if data[i : i + 3] == b"\0\0\1"]


def test_an_mp4_holds_picture_and_sound_at_their_times(tmp_path: Path):
    """A click at a known sample and a flash at a known frame come back there, AAC delay and all."""
    fps, click, flash = 30, 24_000, 15
    sound = np.zeros(48_000, np.float32)
    sound[click : click + 48] = 0.9
    pictures = [np.full((48, 64, 3), 255 if k == flash else 16, np.uint8) for k in range(fps)]
    write_mp4(tmp_path / "m.mp4", pictures, fps=fps, size=SIZE, sound=sound)
    heard = read_sound_file(tmp_path / "m.mp4")
    loudest = heard.times_ns(np.array([np.abs(heard.x).argmax()]))[0]
    assert abs(loudest - click * 1e9 / 48_000) < 2_000_000
    times = container_frame_times_ns(tmp_path / "m.mp4")
    assert times.tolist() == [k * 10**9 // fps for k in range(fps)]
    bright = [t for _, t, image in video_frames(tmp_path / "m.mp4") if image.mean() > 128]
    assert bright == [times[flash]]
