"""Frames of the BNO055's UART protocol, without a UART.

    request to read    AA 01 register n                ->  BB n data...   or   EE status
    request to write   AA 00 register n data...        ->  EE status

Replies carry no checksum and no address, and a late reply looks like the answer to the next request. What
tells a reply from noise is therefore only its header and *the length that was asked for*: the decoder is made
for one request, takes nothing else for an answer, and throws away what cannot begin one. Source: Bosch
BST-BNO055-DS000 section 4.7.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_LENGTH = 128
"""Bytes that one request may carry or ask for."""

_REQUEST, _DATA, _STATUS = 0xAA, 0xBB, 0xEE
_WRITE, _READ = 0x00, 0x01

STATUS_OK = 0x01
STATUS_BUSY = 0x07
"""BUS_OVER_RUN_ERROR: the chip was busy with fusion. Happens in normal use; ask again."""

STATUS_NAMES = {
    0x01: "written",
    0x02: "read failed",
    0x03: "write failed",
    0x04: "no such register",
    0x05: "register is write-protected",
    0x06: "wrong start byte",
    0x07: "busy",
    0x08: "too long",
    0x09: "too short",
    0x0A: "request came too slowly",
}


@dataclass(frozen=True)
class Data:
    """The registers that were asked for."""

    payload: bytes


@dataclass(frozen=True)
class Status:
    """The chip's word on a write, or its refusal of a read; a key of `STATUS_NAMES`."""

    code: int


def read_request(register: int, n: int) -> bytes:
    """Ask for `n` bytes (1 to 128) from `register` on."""
    if not 1 <= n <= MAX_LENGTH:
        raise ValueError(f"a BNO055 frame holds 1 to {MAX_LENGTH} bytes, not {n}")
    return bytes((_REQUEST, _READ, register, n))


def write_request(register: int, data: bytes) -> bytes:
    """Write `data` (1 to 128 bytes) from `register` on."""
    if not 1 <= len(data) <= MAX_LENGTH:
        raise ValueError(f"a BNO055 frame holds 1 to {MAX_LENGTH} bytes, not {len(data)}")
    return bytes((_REQUEST, _WRITE, register, len(data))) + data


class Decoder:
    """Finds the replies to one kind of request in whatever the line delivers, in pieces of any size."""

    def __init__(self, expected: int) -> None:
        """`expected`: bytes that were asked for; 0 for a write, which is answered by a status alone."""
        self._expected = expected
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._buffer += data

    def take(self) -> Data | Status | None:
        """The next reply, or None until more has come."""
        buffer = self._buffer
        for at, byte in enumerate(buffer):
            if byte not in (_DATA, _STATUS):
                continue
            if at + 1 == len(buffer):
                self._drop(at)
                return None
            second = buffer[at + 1]
            if byte == _STATUS and second in STATUS_NAMES:
                del buffer[: at + 2]
                return Status(second)
            if byte == _DATA and second == self._expected != 0:
                end = at + 2 + second
                if end > len(buffer):
                    self._drop(at)
                    return None
                payload = bytes(buffer[at + 2 : end])
                del buffer[:end]
                return Data(payload)
        buffer.clear()
        return None

    def _drop(self, n: int) -> None:
        """Throw away what cannot begin a reply."""
        del self._buffer[:n]
