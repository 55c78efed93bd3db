from pathlib import Path

import pytest

from recorder.log import KitLog, being_written, read_log
from recorder.session import Device, Session, Stream, open_session


def test_a_cut_recordings_streams_take_their_times_from_the_log(tmp_path: Path):
    log = KitLog(tmp_path / "k.jsonl")
    log.write("stream", name="camera", t0_ns=111)
    log.write("settings", sensor="bme680", values={"calibration": {"t1": 3}})
    for second in range(8):
        log.write("sound", sample=second * 48_000, t_ns=5_000 + round(second * 1e9 * (1 - 50e-6)))
    log.close()
    with (tmp_path / "k.jsonl").open("a") as file:
        file.write('{"type":"sound","sam')  # what a power cut leaves
    streams = (Stream("camera", "video", 0, 30.0), Stream("microphone", "audio", 0, 48_000.0))
    kit = Device("k", "kit", "third", "k", "k.mkv", streams, log="k.jsonl")
    Session(tmp_path, "cut", (kit,)).save()
    camera, microphone = open_session(tmp_path).devices[0].streams
    assert camera.t0_ns == 111
    assert abs(microphone.rate_hz - 48_000 * (1 + 50e-6)) < 0.01
    assert abs(microphone.t0_ns - 5_000) < 1_000
    assert open_session(tmp_path).devices[0].settings == {"bme680": {"calibration": {"t1": 3}}}


def test_a_missing_log_is_an_empty_one(tmp_path: Path):
    assert list(read_log(tmp_path / "none.jsonl")) == []


def test_a_log_is_locked_while_it_is_written_and_no_longer(tmp_path: Path):
    path = tmp_path / "k.jsonl"
    assert not being_written(path)
    log = KitLog(path)
    assert being_written(path)
    with pytest.raises(BlockingIOError):
        KitLog(path)
    log.close()
    assert not being_written(path)
