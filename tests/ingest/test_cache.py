from fractions import Fraction

import av
import numpy as np
import pytest
from planted import SIZE, all_frames, cut, number_in

from firmware_host.errors import SessionError
from ingest import cache
from ingest.cache import FrameReader, Recipe, write_video_cache
from ingest.film import MP4, Video
from ingest.index import video_index

SMALL = (64, 36)


@pytest.fixture
def reader():
    reader = FrameReader()
    yield reader
    reader.close()


def random_clips(end: int, count: int = 25, seed: int = 0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    clips = []
    for _ in range(count):
        step = int(random.integers(1, 7))
        start = int(random.integers(0, end - 4 * step))
        clips.append([start + i * step for i in range(5)])
    return clips


@pytest.mark.parametrize("file", ["kit-01.mkv", "head.mp4"])
def test_clips_of_a_recording_are_the_frames_of_a_full_decode(sessions, reader, file):
    path = sessions / "s-ben" / file
    every = all_frames(path, SMALL)
    video = Video(path, video_index(path))
    for frames in random_clips(len(every)):
        np.testing.assert_array_equal(reader.read(video, frames, SMALL), every[frames])
        np.testing.assert_array_equal(reader.planes(video, frames, SMALL), every[frames].transpose(0, 3, 1, 2))


def test_clips_of_a_cut_recording_are_the_frames_of_a_full_decode(sessions, reader, tmp_path):
    path = cut(sessions / "s-ben" / "kit-01.mkv", tmp_path / "cut.mkv", 0.7)
    every = all_frames(path, SMALL)
    video = Video(path, video_index(path))
    assert len(every) == video.index.end_frame
    for frames in random_clips(len(every)):
        np.testing.assert_array_equal(reader.read(video, frames, SMALL), every[frames])


def test_the_cache_holds_the_same_frames_by_the_same_numbers(sessions, reader, tmp_path):
    for file in ("kit-01.mkv", "head.mp4"):
        size = write_video_cache(sessions / "s-ben" / file, tmp_path / "small" / f"{file}.mp4", Recipe(64))
        assert size == (64, 64)
        small = tmp_path / "small" / f"{file}.mp4"
        every = all_frames(small, size)
        assert [number_in(image) for image in every] == list(range(video_index(sessions / "s-ben" / file).end_frame))
        for frames in random_clips(len(every)):
            np.testing.assert_array_equal(reader.read(Video(small, MP4), frames, size), every[frames])
        assert {g.frames for g in video_index(small).gops[:-1]} == {16}


def test_the_cache_is_the_same_bytes_every_time(sessions, tmp_path):
    for name in "ab":
        write_video_cache(sessions / "s-ben" / "head.mp4", tmp_path / f"{name}.mp4", Recipe(64))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_another_recipe_has_another_name():
    assert Recipe(128).name == Recipe(128).name
    assert len({Recipe(128).name, Recipe(96).name, Recipe(128, gop=8).name, Recipe(128, crf=20).name}) == 4


@pytest.mark.parametrize(
    ("size", "small"),
    [((1920, 1080), (128, 128)), ((1080, 1920), (128, 128)), ((101, 90), (100, 90)), ((640, 100), (128, 100))],
)
def test_pictures_are_squeezed_to_a_square_and_nothing_is_enlarged(size, small):
    assert Recipe(128).size(*size) == small


def test_players_show_a_copy_in_its_originals_shape(sessions, tmp_path):
    write_video_cache(sessions / "s-ben" / "head.mp4", tmp_path / "a.mp4", Recipe(64))
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].display_aspect_ratio == Fraction(*SIZE)


def test_frames_that_are_not_there_are_refused(sessions, reader, tmp_path):
    for file in ("kit-01.mkv", "head.mp4"):
        path = sessions / "s-ben" / file
        video = Video(path, video_index(path))
        with pytest.raises(SessionError, match=file):
            reader.read(video, [video.index.end_frame], SMALL)
    with pytest.raises(SessionError, match="gone"):
        reader.read(Video(tmp_path / "gone.mp4", MP4), [0], SMALL)


def test_a_film_is_opened_once_and_few_stay_open(sessions, reader, monkeypatch):
    opened = []
    plain = cache.open_film
    monkeypatch.setattr(cache, "open_film", lambda video: (opened.append(video.path.parent.name), plain(video))[1])
    monkeypatch.setattr(cache, "OPEN_FILMS", 2)
    for name in ("anna", "ben", "anna", "carl", "anna", "ben"):
        path = sessions / f"s-{name}" / "head.mp4"
        assert number_in(reader.read(Video(path, MP4), [37], SIZE)[0]) == 37
    assert opened == ["s-anna", "s-ben", "s-carl", "s-ben"]
    monkeypatch.setattr(cache, "OPEN_PIXELS", SIZE[0] * SIZE[1])
    for name in ("ben", "anna", "ben"):
        reader.read(Video(sessions / f"s-{name}" / "head.mp4", MP4), [5], SIZE)
    assert opened[4:] == ["s-anna", "s-ben"]
