"""`syncctl doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from firmware_host.errors import ConfigError
from recorder import durable
from recorder.terminal import emit, json_option, note

RECORD = "a recording made now"
CLAP_S = 30.0


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The kit: check that what it asks for is there.")
@click.option("--write-config", type=click.Path(path_type=Path), help="Write a kit file from what is found.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="On the disk that will be recorded to; the current folder by default.",
)
@click.option(
    "--clap",
    is_flag=False,
    flag_value=RECORD,
    metavar="[DIR]",
    help="Measure how much later the camera stamps than the microphone, from claps recorded now or in the session DIR, "
    "and keep it in the kit file.",
)
@json_option
def doctor(config: Path | None, write_config: Path | None, folder: Path, clap: str | None, as_json: bool) -> int:
    """Look whether this machine can record, and say what to do where it cannot.

    Every line is OK, WARN (it records, with a loss) or FAIL (it does not); the status is 1 where one fails.

    \b
    Examples:
      syncctl doctor
      syncctl doctor --config docs/kit.toml
      syncctl doctor --write-config kit.toml
      syncctl doctor --config kit.toml --clap
    """
    from recorder.config import read_kit
    from recorder.doctor.check import failed
    from recorder.doctor.examine import Doors, Report, examine_kit, examine_machine
    from recorder.doctor.machine import Machine
    from recorder.doctor.write import kit_text

    if config and write_config:
        raise click.UsageError("--write-config writes what is found, without a kit file; leave out --config")
    if write_config and write_config.exists():
        raise ConfigError(f"{write_config} exists; give a new name, or remove it")
    if clap:
        if not config:
            raise click.UsageError("--clap measures a kit and keeps the result in its file; give it with --config")
        result = _clap(config, None if clap == RECORD else Path(clap))
        told = (
            f"{result['latency_ms']} +- {result['latency_sigma_ms']} ms, from {result['claps']} claps; kept in {config}"
        )
        emit(as_json, result, [f"the camera stamps later than the microphone by {told}"])
        return 0
    machine, doors = Machine(), Doors()
    report: Report = (
        examine_kit(read_kit(config), machine, folder, doors) if config else examine_machine(machine, folder, doors)
    )
    if write_config:
        durable.write_bytes(write_config, kit_text(report).encode())
        note(f"wrote {write_config}")
    document = {"checks": [asdict(c) for c in report.checks], "failed": failed(report.checks)}
    if write_config:
        document["written"] = str(write_config)
    emit(as_json, document, [c.line() for c in report.checks])
    return int(failed(report.checks))


def _clap(config: Path, session: Path | None) -> dict[str, Any]:
    """Measure the camera's latency, from a recording made now unless a session is given, and keep it."""
    from recorder.clap import measure_clap
    from recorder.doctor.write import keep_latency

    if session is None:
        from recorder.run import record_kit

        note(f"recording {CLAP_S:g} s: switch a light and a click on together a dozen times, a second or two apart")
        with TemporaryDirectory() as scratch:
            nobody: dict[str, Any] = {"activity": None, "participant": None, "place": None}
            record_kit(Path(scratch) / "clap", config, duration_s=CLAP_S, **nobody)
            result = measure_clap(Path(scratch) / "clap")
    else:
        result = measure_clap(session)
    latency_ms, sigma_ms = round(result.latency_ns / 1e6, 3), round(result.sigma_ns / 1e6, 3)
    keep_latency(config, latency_ms, sigma_ms)
    return {"latency_ms": latency_ms, "latency_sigma_ms": sigma_ms, "claps": result.claps, "config": str(config)}
