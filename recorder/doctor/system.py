"""The machine below the sensors: clock, power, disk, permissions, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from recorder.doctor.check import FAIL, OK, WARN, Check
from recorder.doctor.machine import Machine

CLOCK_OFFSET_S = 0.05
"""Beyond this, kits that start at an agreed time do not start together."""
HOT_DEGC = 80.0
SLOWEST_WRITE_S = 1.0
SPEED_MARGIN = 4.0
REALTIME_PRIORITY = 50
_THROTTLED_PATH = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_NOW = {0: "under-voltage", 1: "a capped frequency", 2: "throttling", 3: "the soft temperature limit"}
_POWER = "use the board's own power supply and a short, thick cable; cool the board where it is hot"


def check_clock(machine: Machine) -> Check:
    """Whether the wall clock is set by somebody: chrony, or whoever systemd knows."""
    tracking = machine.run("chronyc", "-c", "tracking")
    fields = tracking.split(",") if tracking else []
    if len(fields) >= 14:
        offset_s = float(fields[4])
        if fields[13].startswith("Not"):
            return Check(
                "clock", WARN, "chrony is not synchronised", "wait, or check the network and `chronyc sources`"
            )
        text = f"chrony follows {fields[1] or fields[0]}, {abs(offset_s) * 1000:.2f} ms off"
        if abs(offset_s) > CLOCK_OFFSET_S:
            return Check("clock", WARN, text, "`chronyc makestep` sets it")
        return Check("clock", OK, text)
    answer = machine.run("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    if answer == "yes":
        return Check("clock", OK, "synchronised, by how much nobody says; chrony would")
    said = "is not synchronised" if answer == "no" else "has nobody who says that he sets it"
    return Check("clock", WARN, f"the wall clock {said}", "`sudo apt-get install chrony`; recording goes on without")


def check_ptp(machine: Machine) -> Check | None:
    """The offset from a PTP master; None where there is no PTP."""
    answer = machine.run("pmc", "-u", "-b", "0", "GET CURRENT_DATA_SET")
    found = re.search(r"offsetFromMaster\s+(-?[\d.]+)", answer or "")
    if found is None:
        return None
    offset_us = float(found[1]) / 1000
    if abs(offset_us) > 1000:
        return Check(
            "ptp", WARN, f"{offset_us:.0f} us from the master", "check `ptp4l` and that the network card stamps"
        )
    return Check("ptp", OK, f"{offset_us:.1f} us from the master")


def check_power(machine: Machine) -> Check:
    """Under-voltage and throttling, now and since boot."""
    told = machine.run("vcgencmd", "get_throttled") or machine.read(_THROTTLED_PATH)
    if told is None:
        return _voltage_alarm(machine)
    bits = int(told.split("=")[-1], 16)
    now = [name for bit, name in _NOW.items() if bits >> bit & 1]
    before = [name for bit, name in _NOW.items() if bits >> bit + 16 & 1]
    if now:
        return Check("power", FAIL, f"the board reports {', '.join(now)} now", _POWER)
    if before:
        return Check("power", WARN, f"the board reported {', '.join(before)} since it was switched on", _POWER)
    return Check("power", OK, "no under-voltage and no throttling since the board was switched on")


def _voltage_alarm(machine: Machine) -> Check:
    """What the kernel's own driver says where there is no vcgencmd."""
    for path in machine.paths("/sys/class/hwmon/*/name"):
        if machine.read(path) == "rpi_volt":
            if machine.read(f"{path.rsplit('/', 1)[0]}/in0_lcrit_alarm") == "1":
                return Check("power", FAIL, "the board reports under-voltage", _POWER)
            return Check("power", OK, "no under-voltage")
    return Check("power", OK, "this board does not report on its power")


def check_heat(machine: Machine) -> Check:
    """The processor's temperature."""
    millidegrees = machine.read("/sys/class/thermal/thermal_zone0/temp")
    if millidegrees is None or not millidegrees.lstrip("-").isdigit():
        return Check("temperature", OK, "this board has no thermometer")
    degrees = int(millidegrees) / 1000
    if degrees > HOT_DEGC:
        return Check(
            "temperature", WARN, f"{degrees:.0f} degC", "it slows down at 80 to 85; give it air or a heat sink"
        )
    return Check("temperature", OK, f"{degrees:.0f} degC")


def check_disk_speed(machine: Machine, folder: Path, needed: float) -> Check:
    """Write and wait for the disk. `needed`: bytes per second that the kit will write."""
    try:
        speed, slowest_s = machine.write_speed(folder)
    except OSError as error:
        return Check(
            "disk speed", FAIL, f"{folder} cannot be written ({error.strerror})", "check the card and its mount"
        )
    text = f"{speed / 1e6:.1f} MB/s, the slowest MB took {slowest_s * 1000:.0f} ms; {needed / 1e6:.2f} MB/s are needed"
    if speed < needed:
        return Check("disk speed", FAIL, text, "use a faster card, or lower the camera's bit_rate")
    if speed < SPEED_MARGIN * needed or slowest_s > SLOWEST_WRITE_S:
        return Check("disk speed", WARN, text, "a worn or slow card; use one of class A1 or better")
    return Check("disk speed", OK, text)


def check_disk_room(machine: Machine, folder: Path, needed: float, warn_minutes: float, stop_minutes: float) -> Check:
    """How long the disk lasts at the configured rates."""
    minutes = machine.free_bytes(folder) / max(needed, 1.0) / 60
    text = f"{minutes:.0f} minutes at {needed / 1e6:.2f} MB/s"
    if minutes < stop_minutes:
        return Check("disk room", FAIL, text, "free some: a recording would end at once")
    if minutes < warn_minutes:
        return Check("disk room", WARN, text, "fetch and remove old sessions")
    return Check("disk room", OK, text)


def check_permissions(machine: Machine, needed: set[str], wished: set[str]) -> Check:
    """Groups of the user: those that the kit needs, and those that another kit would."""
    if machine.is_root():
        return Check("permissions", OK, "root may open everything")
    missing = sorted((needed | wished) - machine.groups())
    if not missing:
        return Check("permissions", OK, f"{machine.user()} is in {', '.join(sorted(needed | wished))}")
    remedy = f"`sudo usermod -aG {','.join(missing)} {machine.user()}`, then log in again"
    status = FAIL if needed & set(missing) else WARN
    return Check("permissions", status, f"{machine.user()} is not in {', '.join(missing)}", remedy)


def check_realtime(machine: Machine) -> Iterator[Check]:
    """Whether the 60 Hz loop may take a real-time priority and lock its memory."""
    root = machine.is_root()
    if root or machine.limit("RTPRIO") >= REALTIME_PRIORITY:
        yield Check("real time", OK, f"priority {REALTIME_PRIORITY} is permitted")
    else:
        remedy = f"add '{machine.user()} - rtprio {REALTIME_PRIORITY}' to /etc/security/limits.conf and log in again"
        yield Check("real time", WARN, "no real-time priority: slots may begin some milliseconds late", remedy)
    if root or machine.limit("MEMLOCK") == float("inf"):
        yield Check("locked memory", OK, "permitted")
    else:
        remedy = f"add '{machine.user()} - memlock unlimited' to /etc/security/limits.conf and log in again"
        yield Check("locked memory", WARN, "memory may be swapped out in mid-recording", remedy)


def check_versions(machine: Machine, needed: set[str]) -> Check:
    """Python and the packages that the kit needs."""
    names = {"numpy", "av", *needed}
    found = {name: machine.version(name) for name in sorted(names)}
    missing = [name for name, version in found.items() if version is None]
    text = f"Python {'.'.join(map(str, machine.python()))}, " + ", ".join(f"{n} {v}" for n, v in found.items() if v)
    if machine.python() < (3, 11):
        return Check("versions", FAIL, text, "syncctl needs Python 3.11 or newer")
    if missing:
        apt = "picamera2" in missing
        how = "`sudo apt-get install python3-picamera2`, and a virtual environment with --system-site-packages"
        pip = [m for m in missing if m != "picamera2"]
        remedy = " and ".join(([f"`pip install {' '.join(pip)}`"] if pip else []) + [how] * apt)
        return Check("versions", FAIL, f"{text}; missing: {', '.join(missing)}", remedy)
    return Check("versions", OK, text)
