"""The chips that syncctl can read. A new one is one file, one test, one line here (docs/how-to/add-a-sensor.md)."""

from __future__ import annotations

from firmware_host.driver import SensorSpec
from firmware_host.sensors import ak9753, amg8833, bme680, bno055, isl29125, mlx90393, tsl2591

SENSORS: dict[str, SensorSpec] = {
    "ak9753": ak9753.SPEC,
    "amg8833": amg8833.SPEC,
    "bme680": bme680.SPEC,
    "bno055": bno055.SPEC,
    "isl29125": isl29125.SPEC,
    "mlx90393": mlx90393.SPEC,
    "tsl2591": tsl2591.SPEC,
}
