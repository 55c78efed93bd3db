from __future__ import annotations

import random
from itertools import pairwise

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


def drain(decoder: Decoder) -> list[Data | Status]:
    """Every reply that it can give now."""
    return list(iter(decoder.take, None))


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("expected", [0, 1, 22, 128])
@pytest.mark.parametrize("seed", [7, 8])
def test_a_million_random_bytes_split_at_random_harm_nothing_and_the_next_frames_are_found(expected, seed):
    rng = random.Random(seed)
    noise, at = rng.randbytes(1_000_000), 0
    decoder, taken = Decoder(expected), []
    while at < len(noise):
        n = rng.choice((1, 2, 3, 7, 24, 130, 4096))
        decoder.feed(noise[at : at + n])
        taken += drain(decoder)
        at += n
    # Noise that looks like a reply cannot be told from one: EE and one of ten codes, once in 6,554 places.
    assert 0 < len(taken) < 1000
    assert all(r.code in STATUS_NAMES if isinstance(r, Status) else len(r.payload) == expected for r in taken)
    reply = Status(1) if expected == 0 else Data(bytes(expected))
    decoder.feed((b"\xee\x01" if expected == 0 else frame(bytes(expected))) * 3)
    assert drain(decoder)[-2:] == [reply] * 2  # what noise had begun costs one at most


@given(st.binary(max_size=600), st.lists(st.integers(0, 2000), max_size=30), payloads)
def test_any_bytes_in_any_pieces_harm_nothing_and_the_next_but_one_frame_is_found(noise, cuts, payload):
    payload = payload.replace(b"\xbb", b"\x00").replace(b"\xee", b"\x00")
    decoder, found = Decoder(len(payload)), []
    for piece in in_pieces(noise + frame(payload) * 2, cuts):
        decoder.feed(piece)
        found += drain(decoder)
    assert found[-1] == Data(payload)


@given(st.binary(max_size=400), st.lists(st.integers(0, 2000), max_size=30), st.integers(0, 128))
def test_where_the_line_cuts_its_pieces_does_not_matter(data, cuts, expected):
    whole, cut, found = Decoder(expected), Decoder(expected), []
    whole.feed(data)
    for piece in in_pieces(data, cuts):
        cut.feed(piece)
        found += drain(cut)
    assert found == drain(whole)


def test_a_decoder_that_is_fed_noise_forgets_it():
    """Or a line that babbles would fill the memory."""
    decoder = Decoder(22)
    for _ in range(1000):
        decoder.feed(b"\xbb\x15" * 50)
        assert decoder.take() is None
    assert len(decoder._buffer) < 24
