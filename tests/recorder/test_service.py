"""The systemd unit, and the datagrams by which a process says that it is well."""

import configparser
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from recorder.service import install, notify, unit, unit_path, watchdog_s


def test_the_unit_restarts_is_watched_and_starts_what_was_asked(tmp_path: Path):
    text = unit(["/home/pi/my sessions", "--config", "/home/pi/kit 100%.toml"], python="/opt/venv/bin/python")
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str
    parsed.read_string(text)
    service = parsed["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert int(service["WatchdogSec"]) > 0
    assert service["ExecStart"].startswith("/opt/venv/bin/python -m syncctl serve '/home/pi/my sessions'")
    assert "100%%.toml" in service["ExecStart"], "systemd reads a single % as a specifier"
    commands = install(text, tmp_path / "systemd" / "user" / "syncctl.service")
    assert (tmp_path / "systemd" / "user" / "syncctl.service").read_text() == text
    assert any("enable --now" in c for c in commands)
    assert any("enable-linger" in c for c in commands)


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    path = tmp_path / "syncctl.service"
    path.write_text(unit(["/tmp", "--config", "/tmp/kit.toml"]))
    result = subprocess.run(["systemd-analyze", "verify", "--user", path], capture_output=True, text=True, check=False)
    assert "Unknown" not in result.stderr, result.stderr


def test_the_unit_goes_where_systemd_looks(tmp_path: Path):
    assert unit_path(tmp_path) == tmp_path / ".config/systemd/user/syncctl.service"


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_over_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool):
    address = f"\0syncctl-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(address)
        line.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        assert notify("READY=1")
        assert line.recv(100) == b"READY=1"


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_s() == 30
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_s() is None


def test_a_dry_run_prints_the_unit_and_writes_nothing(tmp_path: Path, run_syncctl):
    kit = tmp_path / "kit.toml"
    kit.write_text('name = "kit-01"\nrole = "third"\n[button]\ngpio = 17\n[led]\ngpio = 27\n')
    result = run_syncctl("service", "install", tmp_path / "sessions", "--config", kit, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert f"--config {kit}" in result.stdout
    assert not (tmp_path / "sessions").exists()
