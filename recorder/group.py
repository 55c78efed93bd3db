"""Several kits as one: armed together, started at one agreed moment, stopped and fetched together.

Two phases, so that nothing begins unless everything can: every kit is armed and says what it lacks; only when all are
ready is a moment agreed on, far enough ahead for every answer to arrive. Each order names its session, so it can be
repeated when an answer was lost.
"""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from firmware_host.clock import SECOND_NS
from firmware_host.errors import PortError, SessionError
from recorder import durable
from recorder.gather import Gathered, gather
from recorder.session import MANIFEST

ANSWER_S = 5.0
ARM_S = 90.0
BEGIN_S = 30.0
SEAL_S = 120.0
POLL_S = 0.2
SLOWEST_BYTES_PER_S = 5e6
"""At which a kit with a bad card, busy recording, hashes a file."""
CHUNK = 1 << 20
SOONEST_S = 3.0
"""The nearest moment that can be agreed on: the sensors' start-up, and the way to the slowest kit."""
FETCHED = ".fetched"
BUSY = ("waiting", "recording", "stopping")

Result = TypeVar("Result")


class RefusedError(PortError):
    """A kit answered, and would not."""


@dataclass(frozen=True)
class Kit:
    """A kit by its address, ``host:port``, and the token that steers it."""

    name: str
    address: str
    token: str | None = None

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, wait_s: float = ANSWER_S
    ) -> dict[str, Any]:
        """One request and its JSON answer, for which it waits `wait_s`.

        Raises:
            PortError: the kit cannot be reached.
            RefusedError: it answered with an error.
        """
        line = self._line(wait_s)
        try:
            data = json.dumps(body).encode() if body is not None else None
            line.request(method, path, data, {**self._headers(), "Content-Type": "application/json"})
            answer = line.getresponse()
            document = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PortError(f"kit {self.name} ({self.address}) cannot be reached: {error or 'no answer'}") from error
        finally:
            line.close()
        if answer.status >= 400:
            raise RefusedError(f"kit {self.name}: {document.get('error', answer.reason)}")
        return dict(document)

    def download(self, path: str, place: Path, size: int) -> None:
        """Fetch a file, going on where an earlier try ended; the hash is the caller's to check."""
        have = place.stat().st_size if place.exists() else 0
        if have > size:
            place.unlink()
            have = 0
        if have == size:
            place.touch()
            return
        line = self._line()
        try:
            line.request("GET", path, headers={**self._headers(), "Range": f"bytes={have}-"})
            answer = line.getresponse()
            if answer.status not in (200, 206):
                raise RefusedError(f"kit {self.name}: {answer.status} {answer.reason} for {path}")
            with place.open("ab" if answer.status == 206 else "wb") as file:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, PortError):
                raise
            raise PortError(f"kit {self.name} went away during {path} ({error}); run the same command again") from error
        finally:
            line.close()

    def _line(self, wait_s: float = ANSWER_S) -> http.client.HTTPConnection:
        host, _, port = self.address.rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=wait_s)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True)
class Started:
    """What a common start came to: kit -> wall time of its tick 0, by its own clock, ns; kits that are not in it."""

    session: str
    at_ns: int
    began_ns: dict[str, int]
    clock_ms: dict[str, float]
    left_out: tuple[str, ...] = ()

    @property
    def spread_ms(self) -> float:
        """Between the first kit to begin and the last, each by its own clock."""
        return (max(self.began_ns.values()) - min(self.began_ns.values())) / 1e6

    def document(self) -> dict[str, Any]:
        """What `kits start --json` prints."""
        return {**self.__dict__, "left_out": list(self.left_out), "spread_ms": round(self.spread_ms, 3)}

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [f"{name}: records, its clock {off:+.1f} ms from this one's" for name, off in self.clock_ms.items()]
        lines += [f"left out: {text}" for text in self.left_out]
        return [*lines, f"session {self.session}, begun within {self.spread_ms:.3f} ms by the kits' own clocks"]


def each(kits: Sequence[Kit], work: Callable[[Kit], Result]) -> list[Result | PortError]:
    """`work` for all kits side by side; what it raised stands where its result would."""

    def tried(kit: Kit) -> Result | PortError:
        try:
            return work(kit)
        except PortError as error:
            return error

    with ThreadPoolExecutor(max(1, len(kits))) as pool:
        return list(pool.map(tried, kits))


def statuses(kits: Sequence[Kit]) -> list[dict[str, Any] | PortError]:
    """What every kit says of itself, with ``clock_ms``: how far its wall clock is past ours."""
    return each(kits, _status)


def start(
    kits: Sequence[Kit],
    session: str,
    order: dict[str, Any],
    *,
    sounds: bool = False,
    after_s: float = 5.0,
    allow_missing: bool = False,
) -> Started:
    """Begin one recording on all kits at one moment.

    Args:
        kits: all of them.
        session: its name on every kit.
        order: what `recorder.serve.orders.start_order` takes, without `session` and `at_ns`.
        sounds: the first kit sounds the tones, for all to hear.
        after_s: from all being ready to the beginning; at least `SOONEST_S`.
        allow_missing: go on without kits that cannot be reached and streams that give nothing.

    Raises:
        PortError: a kit cannot be reached, cannot be armed, or lacks a stream; names it, and every kit is given back.
    """
    asked = list(zip(kits, statuses(kits), strict=True))
    absent = [str(s) for _, s in asked if isinstance(s, PortError)]
    present = [(k, s) for k, s in asked if not isinstance(s, PortError)]
    if (absent and not allow_missing) or not present:
        raise PortError("; ".join(absent) or "no kit was named")
    here = [k for k, _ in present]
    clocks = {k.name: s["clock_ms"] for k, s in present}
    if all(s["session"] == session and s["state"] in ("waiting", "recording") for _, s in present):
        began = {k.name: s["started_ns"] or s["wall_ns"] for k, s in present}
        return Started(session, min(began.values()), began, clocks, tuple(absent))
    busy = [f"kit {k.name} is {s['state']} '{s['session']}'; stop it first" for k, s in present if s["state"] in BUSY]
    if busy:  # nothing was touched, so nothing is given back: a recording that runs goes on
        raise RefusedError("; ".join(busy))
    try:
        _raise_first(each(here, lambda k: _armed(k, allow_missing)))
        at_ns = time.time_ns() + round(max(after_s, SOONEST_S) * SECOND_NS)
        body = {**order, "session": session, "at_ns": at_ns, "allow_missing": allow_missing}
        _raise_first(each(here, lambda k: k.ask("POST", "/start", {**body, "tones": sounds and k is here[0]})))
        began = dict(zip((k.name for k in here), _raise_first(each(here, _began)), strict=True))
    except PortError:
        each(here, lambda k: k.ask("POST", "/stop", {}))
        raise
    return Started(session, at_ns, began, clocks, tuple(absent))


def stop(kits: Sequence[Kit]) -> dict[str, str]:
    """End what every kit records, and wait until it is sealed: kit -> session, or why not."""
    told = each(kits, _stopped)
    return {k.name: str(t) for k, t in zip(kits, told, strict=True)}


def fetch(kits: Sequence[Kit], session: str, root: Path, say: Callable[[str], None] = lambda _: None) -> Gathered:
    """Copy a session of every kit and gather them into one at `root`; can be interrupted and run again.

    Raises:
        PortError: a kit cannot be reached, or has no such session.
        SessionError: a file arrived other than it left, or `root` holds another session.
    """
    if (root / MANIFEST).exists():
        raise SessionError(f"{root} already holds a session; give another folder")
    folders = [root / FETCHED / kit.name for kit in kits]
    _raise_first(each(kits, lambda k: _fetch_kit(k, session, root / FETCHED / k.name, say)))
    gathered = gather(root, folders)
    shutil.rmtree(root / FETCHED)
    return gathered


def _fetch_kit(kit: Kit, session: str, folder: Path, say: Callable[[str], None]) -> None:
    base = f"/sessions/{quote(session, safe='')}"
    known = kit.ask("GET", base)
    if known["recording"]:
        raise RefusedError(f"kit {kit.name} still records '{session}'; stop it first")
    for file in sorted(known["files"], key=lambda f: f["path"] == MANIFEST):
        name = str(file["path"])
        place = folder / name
        if not place.resolve().is_relative_to(folder.resolve()):
            raise SessionError(f"kit {kit.name} names a file outside its session: {name}")
        if place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.part")
        kit.download(f"{base}/files/{quote(name)}", part, file["bytes"])
        hashed_s = ANSWER_S + file["bytes"] / SLOWEST_BYTES_PER_S
        wanted = kit.ask("GET", f"{base}/sha256/{quote(name)}", wait_s=hashed_s)["sha256"]
        if durable.sha256(part) != wanted:
            part.unlink()
            raise SessionError(f"{name} of kit {kit.name} arrived other than it left; run the same command again")
        part.replace(place)
        say(f"{kit.name}: {name}, {file['bytes']} bytes")


def _status(kit: Kit) -> dict[str, Any]:
    before = time.time_ns()
    answer = kit.ask("GET", "/status")
    middle = (before + time.time_ns()) // 2
    return {**answer, "clock_ms": round((answer["wall_ns"] - middle) / 1e6, 2)}


def _armed(kit: Kit, allow_missing: bool) -> None:
    """Arm a kit and wait until it is. Raises PortError with what it lacks."""
    kit.ask("POST", "/arm", {})
    now = _until(kit, ARM_S, lambda s: s["state"] != "arming")
    if now["state"] != "armed":
        raise RefusedError(f"kit {kit.name} cannot be armed: {now['error'] or 'it is ' + now['state']}")
    if now["missing"] and not allow_missing:
        raise RefusedError(
            f"kit {kit.name} gets nothing from {', '.join(now['missing'])}; mend it, or use --allow-missing"
        )


def _began(kit: Kit) -> int:
    now = _until(kit, BEGIN_S, lambda s: s["started_ns"] is not None or s["state"] == "idle")
    if now["started_ns"] is None:
        raise RefusedError(f"kit {kit.name} did not begin: {now['error'] or 'it was stopped'}")
    return int(now["started_ns"])


def _stopped(kit: Kit) -> str:
    session = kit.ask("POST", "/stop", {})["session"]
    now = _until(kit, SEAL_S, lambda s: s["state"] == "idle")
    return f"{session}" if not now["error"] else f"{session} ({now['error']})"


def _until(kit: Kit, seconds: float, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while not done(now := kit.ask("GET", "/status")):
        if time.monotonic() > deadline:
            raise RefusedError(f"kit {kit.name} is {now['state']} after {seconds:.0f} s; look at its page")
        time.sleep(POLL_S)
    return now


def _raise_first(results: Sequence[Result | PortError]) -> list[Result]:
    """All results, or an error that tells everything that went wrong."""
    wrong = [str(r) for r in results if isinstance(r, PortError)]
    if wrong:
        raise PortError("; ".join(wrong))
    return [r for r in results if not isinstance(r, PortError)]
