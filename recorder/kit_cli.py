"""`syncctl serve`, `service`, `kits`, `gather`, `redact`: a kit that runs by itself, and several of them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from recorder.terminal import emit, json_option, note

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--config", type=PATH, help="The kit: what it is made of (see docs/kit.toml).")
@click.option("--simulate", is_flag=True, help="Serve a simulated kit.")
@click.option("--name", help="With --simulate: the kit's name.", default="kit-01", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the simulated home.")
@click.option("--size", default="640x360", show_default=True, help="Pictures of the simulated camera, WIDTHxHEIGHT.")
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for the network.")
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="0 for any free one.")
@click.option("--token-file", type=PATH, help="File with the token that steers the kit; made where it is missing.")
@click.option("--host-name", "names", multiple=True, help="Another name by which browsers may ask this kit.")
def serve(folder: Path, config: Path | None, simulate: bool, token_file: Path | None, **options: Any) -> None:
    """Serve a status page and an API for this kit; sessions go into DIR.

    Without a token the kit can be watched and not steered. SYNCCTL_TOKEN gives one instead of --token-file. Ctrl-C
    ends; a recording that runs is sealed first.

    \b
    Examples:
      syncctl serve sessions --simulate --token-file ~/.config/syncctl/token
      syncctl serve sessions --config kit.toml --bind 0.0.0.0 --token-file ~/.config/syncctl/token
    """
    from recorder.recover import recover_all
    from recorder.serve.guard import read_token
    from recorder.serve.makers import hardware_kit, simulated_kit
    from recorder.serve.server import Settings, listen
    from recorder.serve.server import serve as run

    if simulate == bool(config):
        raise click.UsageError("give either --simulate or --config KIT.toml")
    folder.mkdir(parents=True, exist_ok=True)
    token = read_token(token_file) if token_file else os.environ.get("SYNCCTL_TOKEN") or None
    name, seed, size = options.pop("name"), options.pop("seed"), options.pop("size")
    about: dict[str, Any] = {}
    make_kit: Any
    if config is not None:
        from recorder.config import read_kit

        file = read_kit(config)
        name, make_kit = file.name, partial(hardware_kit, file)
        about = {"button": file.button.gpio if file.button else None, "led": file.led.gpio if file.led else None}
    else:
        from recorder.cli import size_of

        width, height = size_of(size)
        make_kit = simulated_kit(folder, name, seed, width, height)
    names, address = options.pop("names"), options.pop("bind")
    settings = Settings(folder, name, address, options.pop("port"), token, names=names, **about)
    line = listen(settings)
    recover_all(folder, note)
    port = line.getsockname()[1]
    shown = f"[{address}]" if ":" in address else "127.0.0.1" if address == "0.0.0.0" else address
    note(f"{name} at http://{shown}:{port}/ ({'steered with the token' if token else 'read-only: no token was given'})")
    run(settings, make_kit, line)


@click.group()
def service() -> None:
    """Run `syncctl serve` whenever this machine does.

    \b
    Example:
      syncctl service install sessions --config ~/kit.toml --bind 0.0.0.0 --token-file ~/.config/syncctl/token
    """


@service.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--config", type=PATH, required=True, help="The kit file.")
@click.option("--bind", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8600, show_default=True)
@click.option("--token-file", type=PATH, help="File with the token that steers the kit.")
@click.option("--dry-run", is_flag=True, help="Print the unit and write nothing.")
@json_option
def install(
    folder: Path, config: Path, bind: str, port: int, token_file: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Write a systemd user unit that serves this kit, and say how to enable it.

    \b
    Examples:
      syncctl service install sessions --config ~/kit.toml --token-file ~/.config/syncctl/token
      syncctl service install sessions --config ~/kit.toml --dry-run
    """
    from recorder.config import read_kit
    from recorder.service import install as write
    from recorder.service import unit, unit_path

    read_kit(config)  # a unit that cannot start is not worth having
    arguments = [str(folder.resolve()), "--config", str(config.resolve()), "--bind", bind, "--port", str(port)]
    arguments += ["--token-file", str(token_file.resolve())] if token_file else []
    text, path = unit(arguments), unit_path()
    if dry_run:
        emit(as_json, {"path": str(path), "unit": text}, [f"# {path}", text.rstrip()])
        return
    commands = write(text, path)
    emit(as_json, {"path": str(path), "commands": commands}, [f"wrote {path}; now:", *(f"  {c}" for c in commands)])
