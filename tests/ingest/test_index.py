import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from planted import SIZE, all_frames, cut, number_in, painted

from firmware_host.errors import SessionError
from ingest.cache import Recipe, encode_video
from ingest.index import matroska_index, video_index
from ingest.mp4 import mp4_samples
from recorder.demux import container_frame_times_ns
from recorder.mux import write_mp4

GOPRO = Path(__file__).parents[2].parent / "shared" / "data" / "gopro"


def test_a_gop_is_a_second_of_the_kits_camera(sessions):
    index = video_index(sessions / "s-anna" / "kit-01.mkv")
    assert [(g.first_frame, g.frames) for g in index.gops] == [(0, 15), (15, 15), (30, 15), (45, 15)]
    assert index.end_frame == 60


def test_header_and_any_gops_bytes_hold_its_frames(sessions):
    path = sessions / "s-anna" / "kit-01.mkv"
    data, index = path.read_bytes(), video_index(path)
    for gop in index.gops:
        part = data[: index.header_stop] + data[gop.start : gop.stop]
        assert len(part) < len(data) * 0.6
        numbers = [number_in(image) for image in all_frames(part, SIZE)]
        assert set(range(gop.first_frame, gop.first_frame + gop.frames)) <= set(numbers)


@pytest.mark.parametrize("share", [0.35, 0.5, 0.77, 0.99])
def test_a_cut_file_keeps_every_frame_before_the_cut(sessions, tmp_path, share):
    path = cut(sessions / "s-anna" / "kit-01.mkv", tmp_path / "cut.mkv", share)
    whole = video_index(sessions / "s-anna" / "kit-01.mkv")
    index = video_index(path)
    assert 0 < index.end_frame <= whole.end_frame
    assert index.gops[:-1] == whole.gops[: len(index.gops) - 1]
    assert index.end_frame == len(all_frames(path, SIZE))


def test_clusters_that_do_not_say_their_length_are_walked(tmp_path, sessions, tool):
    live = tmp_path / "live.mkv"
    source = sessions / "s-anna" / "kit-01.mkv"
    command = [tool("ffmpeg"), "-v", "error", "-i", source, "-map", "0:v", "-c", "copy", "-f", "matroska", "-live", "1"]
    with live.open("wb") as out:
        subprocess.run([*command, "-"], stdout=out, check=True)
    index = video_index(live)
    assert [g.first_frame for g in index.gops] == [0, 15, 30, 45]
    assert index.end_frame == 60


def test_only_cluster_sized_reads(sessions):
    class Counting(io.BytesIO):
        largest = 0

        def read(self, size=-1):
            Counting.largest = max(Counting.largest, size)
            return super().read(size)

    data = (sessions / "s-anna" / "kit-01.mkv").read_bytes()
    matroska_index(Counting(data))
    assert 0 < Counting.largest < len(data) / 3


def check_mp4(path: Path) -> None:
    with path.open("rb") as file:
        samples = mp4_samples(file)
    np.testing.assert_array_equal(samples.times_ns(), container_frame_times_ns(path))


def test_mp4_times_are_the_demuxers(tmp_path):
    write_mp4(
        tmp_path / "a.mp4", (painted(n) for n in range(40)), fps=25, size=SIZE, sound=np.zeros(70_000, np.float32)
    )
    check_mp4(tmp_path / "a.mp4")
    gops = video_index(tmp_path / "a.mp4").gops
    assert [(g.first_frame, g.frames) for g in gops] == [(0, 25), (25, 15)]


@pytest.mark.parametrize(
    "options",
    [
        ["-bf", "3", "-g", "12"],
        ["-bf", "2", "-ss", "0.3"],
        ["-itsoffset", "0.4"],
        ["-movflags", "+faststart", "-g", "1"],
    ],
    ids=["b-frames", "edit list", "late start", "all keyframes"],
)
def test_mp4_of_other_makers(tmp_path, sessions, tool, options):
    path = tmp_path / "b.mp4"
    before = options if options[0] == "-itsoffset" else []
    after = [] if before else options
    subprocess.run(
        [
            tool("ffmpeg"),
            "-v",
            "error",
            *before,
            "-i",
            sessions / "s-anna" / "head.mp4",
            *after,
            "-c:v",
            "libx264",
            path,
        ],
        check=True,
    )
    check_mp4(path)


@pytest.mark.parametrize("name", ["karma.mp4", "max-heromode.mp4"])
def test_mp4_of_a_gopro(name):
    if not GOPRO.is_dir():
        pytest.skip("the shared recordings are not here")
    check_mp4(GOPRO / name)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"RIFF----WAVEfmt ", "neither Matroska nor MP4"),
        (b"\x1a\x45\xdf\xa3\x80", "cut in its header"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x10mdat12345678", "cut before it was closed"),
    ],
)
def test_what_cannot_be_indexed_is_named(tmp_path, data, said):
    path = tmp_path / "odd.bin"
    path.write_bytes(data)
    with pytest.raises(SessionError, match=said) as error:
        video_index(path)
    assert str(path) in str(error.value)


def test_a_film_that_is_cut_in_its_header_is_one_sentence_or_an_index(tmp_path):
    encode_video(tmp_path / "film.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(8)), (16, 16), 8, Recipe(gop=4))
    whole, named, path = (tmp_path / "film.mp4").read_bytes(), 0, tmp_path / "cut.mp4"
    moov = whole.index(b"moov") - 4
    for length in range(40, whole.index(b"mdat") - 4, 7):
        for box in (whole[moov : moov + 4], (length - moov).to_bytes(4, "big")):  # of its old length, of what is left
            path.write_bytes(whole[:moov] + box + whole[moov + 4 : length])
            try:
                video_index(path)  # what is behind the table of samples may be missing
            except SessionError as error:
                named += str(error).startswith(str(path))
    assert named > 100


def test_a_film_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"gone\.mkv cannot be read: No such file"):
        video_index(tmp_path / "gone.mkv")
