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
    from recorder.serve.guard import read_token
    from recorder.serve.makers import hardware_kit, recover_interrupted, simulated_kit
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
    recover_interrupted(folder)
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
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for the network.")
@click.option("--port", type=click.IntRange(1, 65535), default=8600, show_default=True, help="Of the page and the API.")
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


HOSTS = click.option("--host", "hosts", multiple=True, metavar="[NAME=]HOST:PORT", help="A kit by its address; repeat.")
TOKEN = click.option("--token-file", type=PATH, help="File with the kits' token; or SYNCCTL_TOKEN.")


@click.group()
def kits() -> None:
    """List, start, stop and fetch several kits that run `syncctl serve`.

    Without --host the kits on the local network are meant.

    \b
    Example:
      syncctl kits start --session dinner --at +5s --activity eat_dinner --token-file token
    """


@kits.command("list")
@HOSTS
@json_option
def kits_list(hosts: tuple[str, ...], as_json: bool) -> None:
    """Say which kits there are and how they are.

    \b
    Example:
      syncctl kits list --host kitchen=192.168.1.20:8600 --host hall=192.168.1.21:8600
    """
    from recorder.group import statuses

    found = _kits(hosts, None)
    rows = []
    for kit, status in zip(found, statuses(found), strict=True):
        known = {"error": str(status)} if isinstance(status, Exception) else status
        keys = ("state", "session", "missing", "error", "clock_ms", "disk")
        rows.append({"name": kit.name, "address": kit.address, **{k: known.get(k) for k in keys}})
    lines = [f"{r['name']:16} {r['address']:22} {r['state'] or r['error']} {r['session'] or ''}" for r in rows]
    emit(as_json, {"kits": rows}, lines or ["no kit was found; is `syncctl serve --bind` running on the kits?"])


@kits.command("start")
@HOSTS
@TOKEN
@click.option("--session", help="Name of the session; by default the time and the activity.")
@click.option("--at", "after", default="+5s", show_default=True, metavar="+SECONDS", help="After all kits are ready.")
@click.option("--activity", help="What is done.")
@click.option("--participant", help="Who does it.")
@click.option("--place", help="Where.")
@click.option("--tone", "tones", is_flag=True, help="The first kit sounds the start and end tones.")
@click.option("--allow-missing", is_flag=True, help="Go on without kits and streams that are not there.")
@json_option
def kits_start(
    hosts: tuple[str, ...], token_file: Path | None, after: str, allow_missing: bool, as_json: bool, **about: Any
) -> None:
    """Arm all kits, and begin on all of them at one moment when all are ready.

    \b
    Example:
      syncctl kits start --session dinner --at +5s --activity eat_dinner --tone
    """
    from recorder.activities import Task, activity
    from recorder.group import start
    from recorder.serve.keeper import named

    found = _kits(hosts, token_file)
    order = {k: v for k, v in about.items() if k in ("activity", "participant", "place") and v}
    task = Task(activity(order["activity"]) if "activity" in order else None)
    session = about.pop("session") or named(task)
    began = start(found, session, order, sounds=about["tones"], after_s=_seconds(after), allow_missing=allow_missing)
    emit(as_json, began.document(), began.lines())


@kits.command("stop")
@HOSTS
@TOKEN
@json_option
def kits_stop(hosts: tuple[str, ...], token_file: Path | None, as_json: bool) -> None:
    """End the recording on all kits, and wait until each is sealed.

    \b
    Example:
      syncctl kits stop --token-file token
    """
    from recorder.group import stop

    told = stop(_kits(hosts, token_file))
    emit(as_json, {"kits": told}, [f"{name}: {text}" for name, text in told.items()])


@kits.command("fetch")
@click.argument("session")
@click.argument("folder", type=PATH, metavar="DIR")
@HOSTS
@TOKEN
@json_option
def kits_fetch(session: str, folder: Path, hosts: tuple[str, ...], token_file: Path | None, as_json: bool) -> None:
    """Copy SESSION from all kits into one session folder DIR; run it again where it was interrupted.

    \b
    Example:
      syncctl kits fetch dinner sessions/dinner --token-file token
    """
    from recorder.group import fetch

    gathered = fetch(_kits(hosts, token_file), session, folder, note)
    emit(as_json, gathered.document(), gathered.lines())


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("sources", type=PATH, metavar="KITDIR...", nargs=-1, required=True)
@json_option
def gather(folder: Path, sources: tuple[Path, ...], as_json: bool) -> None:
    """Copy the sessions in KITDIR... into one session DIR. The first one's kit gives the reference clock.

    \b
    Example:
      syncctl gather sessions/dinner card1/dinner card2/dinner
    """
    from recorder.gather import gather as put_together

    gathered = put_together(folder, sources)
    emit(as_json, gathered.document(), gathered.lines())


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--from", "from_s", type=float, required=True, metavar="S", help="Seconds after the first kit's start.")
@click.option("--to", "to_s", type=float, required=True, metavar="S", help="The same, of its end.")
@click.option("--audio", is_flag=True, help="Blank the sound.")
@click.option("--video", is_flag=True, help="Blank the pictures.")
@click.option("--sensors", is_flag=True, help="Blank the sensors' values.")
@click.option("--out", type=PATH, required=True, metavar="COPY", help="Folder of the copy, which must not exist.")
@json_option
def redact(folder: Path, out: Path, from_s: float, to_s: float, as_json: bool, **what: bool) -> None:
    """Copy the session DIR with a stretch of it blanked; every time stays as it is.

    Without --audio, --video or --sensors, sound and pictures are blanked and sensors kept. Pictures are blanked by
    whole groups (a second), sound by whole blocks (a tenth). DIR itself is not touched.

    \b
    Example:
      syncctl redact sessions/dinner --from 62 --to 75.5 --out sessions/dinner-shared
    """
    from recorder.redact import redact as blank

    if not any(what.values()):
        what |= {"audio": True, "video": True}
    done = blank(folder, out, from_s, to_s, **what)
    emit(as_json, done.document(), done.lines())


def _kits(hosts: tuple[str, ...], token_file: Path | None) -> list[Any]:
    """The kits that were named, or those on the network."""
    from recorder.advertise import find
    from recorder.group import Kit

    token = token_file.read_text().strip() if token_file else os.environ.get("SYNCCTL_TOKEN") or None
    if not hosts:
        return [Kit(name, address, token) for name, address in find().items()]
    kits = []
    for host in hosts:
        name, _, address = host.rpartition("=")
        if not address.rpartition(":")[2].isdigit():
            address += ":8600"
        kits.append(Kit(name or address, address, token))
    return kits


def _seconds(text: str) -> float:
    try:
        return float(text.removeprefix("+").removesuffix("s"))
    except ValueError as error:
        raise click.UsageError(f"--at {text} is not a number of seconds from now, for example +5s") from error
