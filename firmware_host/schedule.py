"""The planner: which sensor has which slots of its lane, decided before anything is recorded.

A slot is a sixtieth of a second of a lane. A sensor of period p (in ticks, a divisor of 60) and phase a has the
slots k with k = a (mod p), so its samples are *exactly* even. Two sensors meet in a slot if and only if their
phases are equal modulo the greatest common divisor of their periods. With many rates no assignment keeps all
apart (a 20 Hz sensor beside three at 10, one at 5 and two at 2 Hz is such a case: the residues modulo 6 run
out), and then slots are shared, one group after the other, as long as the slot's worst case fills less than
four fifths of it. What is left is for Python, the kernel and the next deadline.

The search is depth first, the most frequent sensors first, and complete up to a number of steps that real
kits do not come near. First it looks for a plan without sharing, then for one with. It sees the sensors in an
order that it makes itself, so the order of the kit file does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil

from firmware_host.clock import TICK_HZ
from firmware_host.driver import SECOND_NS, Sensor, SensorSpec, bus_time_ns
from firmware_host.errors import ConfigError, unknown_name
from firmware_host.sensors import SENSORS
from firmware_host.spec import KitConfig, LaneConfig, SensorConfig

SLOT_NS = SECOND_NS // TICK_HZ
SHARE_LIMIT_NS = SLOT_NS * 80 // 100
STAGGER_NS = 400_000
"""Each lane begins this much after the one before: their threads share one interpreter, and lanes that began
together would wait for each other. The order is that of the lanes' names, so it is no accident."""
_STAGGERED = 10
_SEARCH_STEPS = 20_000
_BUSES = ("i2c", "uart")
_RATES = tuple(rate for rate in range(1, TICK_HZ + 1) if TICK_HZ % rate == 0)


@dataclass(frozen=True)
class Group:
    """One sensor's place on its lane.

    Attributes:
        sensor: its name in the kit.
        period: ticks from one reading to the next.
        phase: its slots are the ticks k with ``k % period == phase``.
        offset_ns: how long after its tick it begins: its lane's stagger, and what goes before it in its slots.
        busy_ns: worst-case bus time of one slot.
    """

    sensor: str
    period: int
    phase: int
    offset_ns: int
    busy_ns: int

    def due(self, tick: int) -> bool:
        """Whether it has the slot of `tick`."""
        return tick % self.period == self.phase


@dataclass(frozen=True)
class LanePlan:
    """The groups of one lane, by name."""

    lane: LaneConfig
    groups: tuple[Group, ...]

    def loads_ns(self) -> list[int]:
        """Worst-case bus time of each slot of the frame, (60,) ns."""
        return _loads(self.groups)

    def spare_ns(self, group: Group) -> int:
        """What is left of the fullest slot of `group` within the limit of a shared one."""
        loads = self.loads_ns()
        return SHARE_LIMIT_NS - max(loads[k] for k in range(group.phase, TICK_HZ, group.period))


@dataclass(frozen=True)
class Plan:
    """A kit and when each of its sensors is read."""

    kit: KitConfig
    lanes: tuple[LanePlan, ...]

    def group(self, sensor: str) -> Group:
        """The place of the sensor called so."""
        return next(g for lane in self.lanes for g in lane.groups if g.sensor == sensor)

    def table(self) -> str:
        """The plan as text, for a dry run."""
        lines = []
        for lane in self.lanes:
            loads = lane.loads_ns()
            lines.append(
                f"lane {lane.lane.name} ({lane.lane.device}): {sum(map(bool, loads))} of {TICK_HZ} slots, "
                f"{sum(loads) / SECOND_NS:.1%} of the time, fullest slot {max(loads, default=0) / 1e6:.2f} ms"
            )
            for g in sorted(lane.groups, key=lambda g: (g.period, g.phase, g.sensor)):
                lines.append(
                    f"  {g.sensor:<16} {TICK_HZ // g.period:>3} Hz  slots {g.phase} mod {g.period}, "
                    f"+{g.offset_ns / 1e6:.2f} ms, {g.busy_ns / 1e6:.2f} ms busy"
                )
        return "\n".join(lines)


def make_sensor(config: SensorConfig) -> Sensor:
    """A new driver for a sensor of a kit. Raises ConfigError."""
    return _spec(config).make(config.options)


def address_of(config: SensorConfig) -> int:
    """The I2C address a sensor is at. Raises ConfigError."""
    spec = _spec(config)
    address = spec.addresses[0] if config.address is None else config.address
    if address not in spec.addresses:
        known = " or ".join(f"{a:#04x}" for a in spec.addresses)
        raise ConfigError(f"{config.name}: a {config.model} cannot be at address {address:#04x}; it has {known}")
    return address


def plan(kit: KitConfig) -> Plan:
    """Give every sensor of a kit exactly even slots.

    Raises:
        ConfigError: a name is unknown or used twice, two chips answer to one address, a chip cannot be read
            so often, or a lane has no room; says which sensor does not fit and what would.
    """
    _check_names("lane", [lane.name for lane in kit.lanes])
    _check_names("sensor", [sensor.name for sensor in kit.sensors])
    lane_names = {lane.name for lane in kit.lanes}
    for sensor in kit.sensors:
        if sensor.lane not in lane_names:
            raise ConfigError(f"sensor '{sensor.name}': {unknown_name('lane', sensor.lane, lane_names)}")
    used: Counter[int] = Counter()
    lanes = []
    for i, lane in enumerate(sorted(kit.lanes, key=lambda lane: lane.name)):
        sensors = kit.on(lane)
        _check_wiring(lane, sensors)
        lead_ns = i % _STAGGERED * STAGGER_NS
        groups = tuple(replace(g, offset_ns=g.offset_ns + lead_ns) for g in _place(lane, sensors, used))
        lane_plan = LanePlan(lane, groups)
        used.update(k for g in lane_plan.groups for k in range(g.phase, TICK_HZ, g.period))
        lanes.append(lane_plan)
    return Plan(kit, tuple(lanes))


def _spec(config: SensorConfig) -> SensorSpec:
    if config.model not in SENSORS:
        raise ConfigError(f"sensor '{config.name}': {unknown_name('model', config.model, SENSORS)}")
    return SENSORS[config.model]


def _check_names(kind: str, names: list[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ConfigError(f"two {kind}s are called '{twice[0]}'; give each {kind} a name of its own")


def _check_wiring(lane: LaneConfig, sensors: tuple[SensorConfig, ...]) -> None:
    if lane.bus not in _BUSES:
        raise ConfigError(f"lane {lane.name}: {unknown_name('bus', lane.bus, _BUSES)}")
    for sensor in sensors:
        if lane.bus not in _spec(sensor).buses:
            raise ConfigError(f"{sensor.name}: a {sensor.model} has no {lane.bus}; put it on another kind of lane")
    if lane.bus == "uart":
        if len(sensors) > 1:
            names = ", ".join(sorted(s.name for s in sensors))
            raise ConfigError(f"lane {lane.name} has {names}; a UART carries one sensor, give each its own lane")
        return
    for sensor in sensors:
        channel = sensor.mux_channel
        if channel is not None and (lane.mux_address is None or not 0 <= channel <= 7):
            raise ConfigError(f"{sensor.name}: mux channel {channel} needs a lane with a mux and is 0 to 7")
    # A chip that is not behind the mux is heard on every channel, and so is the mux itself.
    answering = [("the mux", lane.mux_address, None), *((s.name, address_of(s), s.mux_channel) for s in sensors)]
    for (a, address, channel), (b, other_address, other_channel) in combinations(answering, 2):
        apart = None not in (channel, other_channel) and channel != other_channel
        if address == other_address and not apart:
            raise ConfigError(
                f"{a} and {b} both answer at {address:#04x} on {lane.name}; change the address of one, or move "
                "it to another lane or mux channel"
            )


@dataclass(frozen=True)
class _Wish:
    """A sensor that wants a phase."""

    name: str
    period: int
    busy_ns: int


def _wish(lane: LaneConfig, config: SensorConfig) -> _Wish:
    spec, sensor = _spec(config), make_sensor(config)
    rate = spec.rate_hz if config.rate_hz is None else config.rate_hz
    if rate not in _RATES:
        raise ConfigError(f"{config.name}: {rate} Hz does not divide {TICK_HZ}; choose one of {_rates(_RATES)}")
    period = TICK_HZ // rate
    if period * SECOND_NS // TICK_HZ < sensor.shortest_period_ns:
        slower = [r for r in _RATES if SECOND_NS // r >= sensor.shortest_period_ns]
        raise ConfigError(
            f"{config.name}: a {config.model} needs {sensor.shortest_period_ns / 1e6:.0f} ms for a reading and "
            f"cannot give {rate} Hz; choose at most {max(slower)} Hz"
        )
    behind_mux = config.mux_channel is not None
    busy_ns = sum(bus_time_ns(lane, t, spec.stretch_ns, behind_mux=behind_mux) for t in sensor.costliest)
    return _Wish(config.name, period, busy_ns)


def _place(lane: LaneConfig, sensors: tuple[SensorConfig, ...], used: Counter[int]) -> tuple[Group, ...]:
    """Find a place for every sensor of one lane. `used`: groups per slot on the lanes before."""
    wishes = sorted((_wish(lane, s) for s in sensors), key=lambda wish: (wish.period, -wish.busy_ns, wish.name))
    for limit_ns in (0, SHARE_LIMIT_NS):
        search = _Search(wishes, limit_ns, used)
        groups = search.run(0, [0] * TICK_HZ)
        if groups is not None:
            return tuple(sorted(groups, key=lambda g: g.sensor))
    raise ConfigError(_refusal(lane, wishes[search.deepest]))


class _Search:
    """Depth-first search for places. A slot may be shared if its last group ends within `limit_ns`."""

    def __init__(self, wishes: list[_Wish], limit_ns: int, used: Counter[int]) -> None:
        self._wishes = wishes
        self._limit_ns = limit_ns
        self._used = used
        self._steps = 0
        self.deepest = 0

    def run(self, depth: int, ends_ns: list[int]) -> list[Group] | None:
        """Places for the wishes from `depth` on. `ends_ns`: when the last group of each slot has ended."""
        if depth == len(self._wishes):
            return []
        self.deepest = max(self.deepest, depth)
        wish = self._wishes[depth]
        for phase, offset_ns in self._candidates(wish, ends_ns):
            self._steps += 1
            if self._steps > _SEARCH_STEPS:
                return None
            ends = ends_ns.copy()
            for k in range(phase, TICK_HZ, wish.period):
                ends[k] = offset_ns + wish.busy_ns
            rest = self.run(depth + 1, ends)
            if rest is not None:
                return [Group(wish.name, wish.period, phase, offset_ns, wish.busy_ns), *rest]
        return None

    def _candidates(self, wish: _Wish, ends_ns: list[int]) -> Iterator[tuple[int, int]]:
        """Phases and offsets it may have: fewest shared slots, least full, least done on other lanes first.

        The offset is the same in all its slots, so that its samples stay even where only some are shared.
        """
        ranked = []
        for phase in range(wish.period):
            slots = range(phase, TICK_HZ, wish.period)
            offset_ns = max(ends_ns[k] for k in slots)
            limit_ns = self._limit_ns if offset_ns else SHARE_LIMIT_NS
            if offset_ns + wish.busy_ns <= limit_ns:
                shared = sum(ends_ns[k] > 0 for k in slots)
                ranked.append((shared, offset_ns, sum(self._used[k] for k in slots), phase))
        yield from ((phase, offset_ns) for _, offset_ns, _, phase in sorted(ranked))


def _loads(groups: tuple[Group, ...]) -> list[int]:
    loads = [0] * TICK_HZ
    for g in groups:
        for k in range(g.phase, TICK_HZ, g.period):
            loads[k] += g.busy_ns
    return loads


def _refusal(lane: LaneConfig, wish: _Wish) -> str:
    remedies = ["put it on another lane", "lower a rate"]
    if lane.bus == "i2c" and lane.scl_hz < 400_000:
        remedies.insert(0, "run the bus at 400 kHz")
    return (
        f"{wish.name} does not fit on {lane.name} ({lane.scl_hz // 1000} kHz): {TICK_HZ // wish.period} Hz of "
        f"{ceil(wish.busy_ns / 1e5) / 10:.1f} ms each find no slots that stay within {SHARE_LIMIT_NS / 1e6:.1f} "
        f"of {SLOT_NS / 1e6:.1f} ms; {', or '.join(remedies)}"
    )


def _rates(rates: tuple[int, ...]) -> str:
    return ", ".join(map(str, rates))
