import pytest

from firmware_host.errors import SessionError
from ingest.cache import FrameReader
from ingest.film import Packet, Video, delay
from ingest.index import VideoIndex
from recorder.ebml import id_bytes, written
from recorder.matroska import EBML, SEGMENT, TRACKS

ENTRY, NUMBER, TYPE, ENCODINGS = 0xAE, 0xD7, 0x83, 0x6D80
VIDEO, SOUND = b"\1", b"\2"


@pytest.mark.parametrize(
    ("decoded", "late"),
    [
        ([0, 1, 2, 3], 0),
        ([0, 2, 1, 4, 3], 1),
        ([0, 4, 2, 1, 3, 8, 6, 5, 7], 2),
        ([-1, 1, 0, 3, 2], 1),
        ([7], 0),
    ],
)
def test_how_late_a_frame_may_come_out_of_its_decoder(decoded, late):
    assert delay([Packet(frame, False, b"") for frame in decoded]) == late


@pytest.mark.parametrize(
    ("track", "said"),
    [
        (written(TYPE, VIDEO) + written(ENCODINGS, b""), "compressed once more; remux it with"),
        (written(TYPE, SOUND), "names no video track"),
    ],
)
def test_a_header_whose_packets_cannot_be_read_is_refused(tmp_path, track, said):
    header = written(EBML, b"") + id_bytes(SEGMENT) + b"\1" + b"\xff" * 7
    header += written(TRACKS, written(ENTRY, written(NUMBER, b"\1") + track))
    (tmp_path / "odd.mkv").write_bytes(header)
    with pytest.raises(SessionError, match=said):
        FrameReader().read(Video(tmp_path / "odd.mkv", VideoIndex("matroska", len(header), ())), [0], (8, 8))
