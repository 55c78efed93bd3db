"""Other people's drivers read the same physical values from our chips as ours do.

A chip that fools nobody but its author proves nothing. So each is read, in a world that stands still, by a public
driver as it was published and then by our own; both must agree with each other and with the world, within what the
part resolves. Where public drivers are wrong, `test_disagreements.py` shows it.
AK9753 and ISL29125 have no driver on PyPI that reads them; `test_sensors.py` holds those to published vectors.
"""

from __future__ import annotations

import numpy as np
import pytest
from peers.adapter import BusioI2C, BusioUart, Smbus, peer

AIR = {
    "room": (21.5, 100_300.0, 41.0, 80_000.0),
    "hot and dry": (44.0, 95_100.0, 11.0, 1_500_000.0),
    "close": (30.0, 101_900.0, 83.0, 9_000.0),
}
HECTOPASCAL = 100.0


@pytest.mark.parametrize("air", AIR.values(), ids=AIR)
def test_bme680_pimoroni(bench, air):
    """Bosch's integer form against their floating-point form: they differ by a few Pa and 0.01 %."""
    it = bench("bme680", air)
    theirs = peer("bme680", it.clock).BME680(i2c_addr=it.address, i2c_device=Smbus(it.port))
    theirs.set_gas_heater_profile(320, 30)
    assert theirs.get_sensor_data()
    data = theirs.data
    assert data.heat_stable
    ours = it.ours()["field"][0]
    found = (data.temperature, data.pressure * HECTOPASCAL, data.humidity, data.gas_resistance)
    for values in (found, ours):
        assert values[0] == pytest.approx(air[0], abs=0.01)
        assert values[1] == pytest.approx(air[1], abs=8)
        assert values[2] == pytest.approx(air[2], abs=0.03)
        assert values[3] == pytest.approx(air[3], rel=0.01)
    assert found[3] == pytest.approx(ours[3], rel=1e-4)


@pytest.mark.parametrize("air", AIR.values(), ids=AIR)
def test_bme680_adafruit(bench, air):
    """Temperature, pressure and gas. Its humidity is among the disagreements."""
    it = bench("bme680", air)
    theirs = peer("adafruit_bme680", it.clock).Adafruit_BME680_I2C(BusioI2C(it.port), it.address)
    found = (theirs.temperature, theirs.pressure * HECTOPASCAL, theirs.gas)
    ours = it.ours()["field"][0]
    assert found[0] == pytest.approx(ours[0], abs=0.01)
    assert found[0] == pytest.approx(air[0], abs=0.01)
    assert found[1] == pytest.approx(ours[1], abs=8)
    assert found[2] == pytest.approx(ours[3], rel=1e-4)


def test_amg8833_adafruit(bench):
    """64 pixels, rows in the same order, some below zero; a thermistor below zero."""
    image = np.linspace(-19.0, 79.0, 64)
    it = bench("amg8833", [*image, -3.5])
    theirs = peer("adafruit_amg88xx", it.clock).AMG88XX(BusioI2C(it.port), addr=it.address)
    it.wait_s(0.5)  # it does not wait for a valid frame
    pixels, thermistor = np.array(theirs.pixels), theirs.temperature
    assert (pixels == it.ours_now()["pixels"]).all()
    ours = it.ours()
    for image_read in (pixels, ours["pixels"]):
        assert image_read == pytest.approx(image.reshape(8, 8), abs=0.9)  # 0.16 degC of noise in each
        assert np.abs(image_read - image.reshape(8, 8)).mean() < 0.25
    assert thermistor == ours["thermistor"][0, 0] == -3.5


ANGLE = 0.7
TURNED = (np.cos(ANGLE / 2), 0.0, 0.0, np.sin(ANGLE / 2))
BODY = (*TURNED, 0.5, -1.25, 0.75, 0.0, 0.0, 9.81, 12.0, -90.0, 250.0, 31.0)


@pytest.mark.parametrize("bus", ["i2c", "uart"])
def test_bno055_adafruit(bench, bus):
    """All within one step of the fusion, so that both see the very same numbers."""
    it = bench("bno055", BODY, bus=bus)
    module = peer("adafruit_bno055", it.clock)
    theirs = module.BNO055_I2C(BusioI2C(it.port)) if bus == "i2c" else module.BNO055_UART(BusioUart(it.port))
    it.wait_s(4)
    found = {
        "quaternion": theirs.quaternion,
        "linear": theirs.linear_acceleration,
        "gravity": theirs.gravity,
        "acceleration": theirs.acceleration,
        "magnetic": theirs.magnetic,
        "rotation": np.degrees(theirs.gyro),
    }
    ours = it.ours_now(raw=True)
    for track, values in found.items():
        assert values == pytest.approx(ours[track][0], abs=1e-5, rel=1e-5), track
    assert theirs.calibration_status == (3, 3, 3, 3)
    assert theirs.temperature == 31
    assert found["quaternion"] == pytest.approx(TURNED, abs=1e-3)
    assert found["linear"] == pytest.approx((0.5, -1.25, 0.75), abs=0.1)
    assert found["gravity"] == pytest.approx((0, 0, 9.81), abs=0.01)
    assert found["rotation"] == pytest.approx((12, -90, 250), abs=0.5)


@pytest.mark.parametrize("light", [(120.0, 0.15), (900.0, 0.6)])
def test_tsl2591_adafruit(bench, light):
    """The counts of both channels. What they make of them is among the disagreements."""
    it = bench("tsl2591", light)
    theirs = peer("adafruit_tsl2591", it.clock).TSL2591(BusioI2C(it.port))
    it.wait_s(0.5)
    full, infrared = theirs.raw_luminosity
    ours = it.ours(gain=25, integration_ms=100, auto_gain=False)["light"][0]
    ((our_full, our_infrared, gain, integration),) = it.counts
    assert (gain, integration) == (1, 0)
    for found, expected in ((full, our_full), (infrared, our_infrared)):
        assert found == pytest.approx(expected, abs=5, rel=0.01)  # 0.2 % of noise in each
    assert ours == pytest.approx(light, rel=0.05)


FIELD = (21.0, -7.5, -43.0, 29.0)
STRONG = (-1_900.0, 1_200.0, 3_100.0, -4.0)


@pytest.mark.parametrize(
    ("field", "gain", "resolution"), [(FIELD, 7, 0), (FIELD, 4, 1), (STRONG, 5, 0), (STRONG, 2, 2), (STRONG, 0, 3)]
)
def test_mlx90393_adafruit(bench, field, gain, resolution):
    """At several gains and resolutions: the formats and zeros of all four, of which the datasheet has one wrong."""
    it = bench("mlx90393", field)
    theirs = peer("adafruit_mlx90393", it.clock).MLX90393(
        BusioI2C(it.port), address=it.address, gain=gain, resolution=resolution
    )
    magnetic, degc = theirs.magnetic, theirs.temperature
    ours = it.ours(gain_sel=gain, res=resolution)["raw"][0]
    step = (0.150, 0.150, 0.242)[2] * (5, 4, 3, 2.5, 2, 5 / 3, 4 / 3, 1)[gain] * 2**resolution
    assert magnetic == pytest.approx(field[:3], abs=step + 1.5, rel=0.003)
    assert ours[:3] == pytest.approx(field[:3], abs=step + 3, rel=0.003)
    assert degc == pytest.approx(ours[3], abs=0.1)
    assert degc == pytest.approx(field[3], abs=0.1)
