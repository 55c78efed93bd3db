"""A sensor's way to its registers: an address on an I2C bus, or BNO055 frames on a UART."""

from __future__ import annotations

from typing import Protocol

from firmware_host import framing
from firmware_host.clock import Clock
from firmware_host.driver import MILLISECOND_NS, UART_TIMEOUT_NS, Transfer
from firmware_host.ports import BusFault, I2CPort, SerialPort
from firmware_host.spec import Flag

_RESEND_AFTER_NS = 2 * MILLISECOND_NS


class Link(Protocol):
    """Runs one transfer and returns what was read, ``b""`` for a write. Raises BusFault."""

    def __call__(self, transfer: Transfer) -> bytes: ...


class I2CLink:
    """The chip at one address."""

    def __init__(self, port: I2CPort, address: int) -> None:
        self._port = port
        self._address = address

    def __call__(self, transfer: Transfer) -> bytes:
        message = bytes((transfer.register,)) + transfer.data
        if transfer.read:
            return self._port.write_read(self._address, message, transfer.read)
        self._port.write(self._address, message)
        return b""


class UartLink:
    """A BNO055 alone on its line.

    A chip busy with fusion refuses with a status now and then; the request is repeated once, after a pause in
    which nobody else wants the line. Everything together ends within `UART_TIMEOUT_NS`.
    """

    def __init__(self, port: SerialPort, clock: Clock) -> None:
        self._port = port
        self._clock = clock

    def __call__(self, transfer: Transfer) -> bytes:
        deadline_ns = self._clock.now_ns() + UART_TIMEOUT_NS
        reply = self._exchange(transfer, deadline_ns)
        if reply == framing.Status(framing.STATUS_BUSY):
            self._clock.sleep_until_ns(self._clock.now_ns() + _RESEND_AFTER_NS)
            reply = self._exchange(transfer, deadline_ns)
        if isinstance(reply, framing.Data):
            return reply.payload
        if reply.code == framing.STATUS_OK and not transfer.read:
            return b""
        raise BusFault(Flag.NACK, f"the BNO055 answered '{framing.STATUS_NAMES[reply.code]}'")

    def _exchange(self, transfer: Transfer, deadline_ns: int) -> framing.Data | framing.Status:
        if transfer.read:
            request = framing.read_request(transfer.register, transfer.read)
        else:
            request = framing.write_request(transfer.register, transfer.data)
        decoder = framing.Decoder(transfer.read)
        self._port.reset_input()
        self._port.write(request)  # in one call: the chip gives up on a request that comes in pieces
        while True:
            left_ns = deadline_ns - self._clock.now_ns()
            received = self._port.read(left_ns) if left_ns > 0 else b""
            if not received:
                raise BusFault(Flag.TIMEOUT, "no reply on the serial line")
            decoder.feed(received)
            reply = decoder.take()
            if reply is not None:
                return reply
