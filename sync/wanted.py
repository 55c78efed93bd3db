"""What the user asked for: which evidence and which devices to use, and what is known beforehand."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from firmware_host.errors import ConfigError, unknown_name
from recorder.session import Session
from sync.alignment import Match, Pairing, Recording
from sync.bursts import Sine
from sync.contradiction import PRIOR

PRIOR_SIGMA_S = 0.5
"""How far a prior is off where it does not say: what someone reads from two clocks on a wall."""
_PRIOR = re.compile(r"(?P<device>[^=]+)=(?P<offset>[^±]+?)(?:(?:±|\+-)(?P<sigma>.+))?")


@dataclass(frozen=True)
class Prior:
    """What the user knows: the recording of `device` began `offset_s` after that of the reference, give or take."""

    device: str
    offset_s: float
    sigma_s: float = PRIOR_SIGMA_S


def parsed_prior(text: str) -> Prior:
    """A prior as a user writes it: ``head=3.2``, ``head=3.2±0.1`` or ``head=3.2+-0.1``, in seconds.

    Raises:
        ConfigError: it is not of that form.
    """
    found = _PRIOR.fullmatch(text.strip())
    try:
        offset_s = float(found["offset"]) if found else math.nan
        sigma_s = float(found["sigma"]) if found and found["sigma"] else PRIOR_SIGMA_S
    except ValueError:
        offset_s = sigma_s = math.nan
    if found is None or not math.isfinite(offset_s) or not 0 < sigma_s < math.inf or abs(offset_s) > 1e8:
        raise ConfigError(f"'{text}' is no prior; write DEVICE=SECONDS or DEVICE=SECONDS±SECONDS, as in head=3.2±0.1")
    return Prior(found["device"].strip(), offset_s, sigma_s)


def parsed_sine(text: str) -> Sine:
    """Plain bursts as a user writes them: ``1000:1.0``, in hertz and seconds.

    Raises:
        ConfigError: it is not of that form, or no such burst can be found.
    """
    hz, _, length_s = text.partition(":")
    try:
        return Sine(float(hz), float(length_s))
    except ValueError as error:
        raise ConfigError(f"'{text}' is no sine burst; write HZ:SECONDS, as in 1000:1.0") from error


def chosen(session: Session, only: Collection[str], methods: Collection[str]) -> tuple[set[str], set[str]]:
    """The methods and the clocks that `only` leaves; all of them where it names none.

    Raises:
        ConfigError: neither a method nor a device.
    """
    clocks = {d.name: d.clock for d in session.devices}
    for name in only:
        if name not in methods and name not in clocks:
            raise ConfigError(unknown_name("device or kind of evidence", name, [*methods, *clocks]))
    return (
        {name for name in only if name in methods} or set(methods),
        {clocks[name] for name in only if name in clocks} or set(clocks.values()),
    )


def prior_pairings(
    session: Session, priors: Collection[Prior], found: Mapping[str, Recording], reference: str
) -> list[Pairing]:
    """What the user said as evidence between each device's clock and the reference's.

    Raises:
        ConfigError: two priors for one clock, or one for the reference.
        SessionError: no such device.
    """
    pairings: dict[str, Pairing] = {}
    for prior in priors:
        clock = session.device(prior.device).clock
        if clock == reference or clock in pairings:
            what = "is the reference's own" if clock == reference else "has a prior already"
            raise ConfigError(f"the clock of {prior.device} {what}; give one prior for every other device at most")
        spans = [found[c].span_ns if c in found else None for c in (clock, reference)]
        if spans[0] is None or spans[1] is None:
            raise ConfigError(
                f"when {prior.device} or the reference began is not known, so a prior for it says nothing"
            )
        (start_ns, _), (reference_ns, _) = spans[0], spans[1]
        offset_ns = reference_ns - start_ns + round(prior.offset_s * 1e9)
        match = Match(PRIOR, clock, reference, start_ns, offset_ns, prior.sigma_s * 1e9, 0.0)
        pairings[clock] = Pairing(PRIOR, clock, reference, "ok", "said by the user", (match,))
    return list(pairings.values())
