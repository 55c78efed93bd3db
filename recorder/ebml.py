"""EBML (RFC 8794), the notation of Matroska: an id, a length, a body; again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Element(NamedTuple):
    """An id (with its marker bits, as specifications print it), its first byte, its body's first, the first after."""

    id: int
    start: int
    body: int
    stop: int


class Header(NamedTuple):
    """An id, the body's length (None where it says none), and the body's first byte."""

    id: int
    length: int | None
    body: int


def children(data: bytes) -> Iterator[Element]:
    """Each element that is whole, up to the first bytes that are none."""
    at = 0
    while (found := element_at(data, at)) is not None and found.stop <= len(data):
        yield found
        at = found.stop


def element_at(data: bytes, at: int) -> Element | None:
    """The element that begins at `at`; None where the bytes are none, end too soon, or say no length."""
    head = header_at(data, at)
    return None if head is None or head.length is None else Element(head.id, at, head.body, head.body + head.length)


def header_at(data: bytes, at: int) -> Header | None:
    """The head of the element that begins at `at`; None where the bytes are none or end too soon."""
    if at >= len(data) or data[at] < 0x10:
        return None
    length_at = at + 9 - data[at].bit_length()
    if length_at >= len(data) or not data[length_at]:
        return None
    length, used = number(data, length_at)
    body = length_at + used
    if body > len(data):
        return None
    unknown = length == (1 << 7 * used) - 1
    return Header(int.from_bytes(data[at:length_at], "big"), None if unknown else length, body)


def number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and the bytes it takes; the leading zeros of the first byte say how many."""
    used = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + used], "big") & ((1 << 7 * used) - 1), used


def written(element: int, body: bytes) -> bytes:
    """An element as bytes."""
    return id_bytes(element) + size(len(body), 1 if len(body) < 127 else 8) + body


def vint(value: int) -> bytes:
    """A number of variable length, in as few bytes as it needs."""
    return size(value, ((value + 1).bit_length() + 6) // 7)


def size(length: int, width: int) -> bytes:
    """A length in `width` bytes, the first of which says how many they are."""
    return (length | 1 << 7 * width).to_bytes(width, "big")


def id_bytes(element: int) -> bytes:
    """An id as it is written."""
    return element.to_bytes((element.bit_length() + 7) // 8, "big")


def uint(value: int) -> bytes:
    """An unsigned integer in as few bytes as it needs."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
