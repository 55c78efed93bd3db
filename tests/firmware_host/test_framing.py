from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_host.framing import STATUS_NAMES, Data, Decoder, Status, read_request, write_request

payloads = st.binary(min_size=1, max_size=128)
no_headers = st.binary(max_size=200).map(lambda b: b.replace(b"\xbb", b"").replace(b"\xee", b""))

CASES = [
    (22, b"\xbb\x16" + bytes(range(22)), Data(bytes(range(22)))),
    (1, b"\xbb\x01\xa0", Data(b"\xa0")),
    (22, b"\xee\x07", Status(7)),
    (0, b"\xee\x01", Status(1)),
]


def frame(payload: bytes) -> bytes:
    return bytes((0xBB, len(payload))) + payload


def test_requests_are_what_the_datasheet_says():
    assert read_request(0x20, 22) == bytes.fromhex("aa012016")
    assert write_request(0x3D, b"\x0c") == bytes.fromhex("aa003d010c")


@pytest.mark.parametrize("n", [0, 129])
def test_a_request_for_an_impossible_length_is_refused(n):
    with pytest.raises(ValueError, match="1 to 128"):
        read_request(0, n)
    with pytest.raises(ValueError, match="1 to 128"):
        write_request(0, bytes(n))


@pytest.mark.parametrize(("expected", "raw", "reply"), CASES)
def test_replies_come_out_whole_and_byte_by_byte(expected, raw, reply):
    whole = Decoder(expected)
    whole.feed(raw + raw)
    assert [whole.take(), whole.take(), whole.take()] == [reply, reply, None]

    slow = Decoder(expected)
    for byte in raw[:-1]:
        slow.feed(bytes((byte,)))
        assert slow.take() is None
    slow.feed(raw[-1:])
    assert slow.take() == reply


@given(no_headers, payloads)
def test_a_reply_is_found_behind_noise(noise, payload):
    decoder = Decoder(len(payload))
    decoder.feed(noise + frame(payload))
    assert decoder.take() == Data(payload)


@given(payloads, payloads)
def test_a_late_reply_to_another_request_is_not_taken(late, payload):
    """The desynchronisation that public drivers suffer from: the answer to the request before."""
    assume(len(late) != len(payload))
    late = late.replace(b"\xbb", b"\x00").replace(b"\xee", b"\x00")
    decoder = Decoder(len(payload))
    decoder.feed(frame(late) + frame(payload))
    assert decoder.take() == Data(payload)


def test_a_million_random_bytes_harm_nothing_and_the_next_frames_are_found():
    rng = random.Random(7)
    decoder = Decoder(22)
    taken = 0
    for _ in range(1000):
        decoder.feed(rng.randbytes(1000))
        while (reply := decoder.take()) is not None:
            taken += 1
            assert reply.code in STATUS_NAMES if isinstance(reply, Status) else len(reply.payload) == 22
    assert taken > 0  # noise that looks like a reply cannot be told from one
    payload = bytes(22)
    decoder.feed(frame(payload) * 3)
    found = []
    while (reply := decoder.take()) is not None:
        found.append(reply)
    assert found[-2:] == [Data(payload)] * 2
