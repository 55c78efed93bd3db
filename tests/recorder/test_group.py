"""Several kits as one: begun together or not at all, fetched whole or not at all."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from fake_recorder import recorder
from served import TOKEN, Running

from firmware_host.errors import PortError, SessionError
from recorder.gather import gather
from recorder.group import ANSWER_S, Kit, _fetch_kit, each, fetch, start, statuses, stop
from recorder.protocol import write_rows
from recorder.session import Device, Session, Stream, open_session


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    monkeypatch.setattr("recorder.serve.keeper.child", recorder)
    running: list[Running] = []

    def serving(name: str, kind: str = "quick") -> Kit:
        running.append(Running(tmp_path / name, name, kind))
        return running[-1].kit

    yield serving
    for each_one in running:
        each_one.close()


def states(kits: list[Kit]) -> list[str]:
    return [s["state"] for s in statuses(kits) if isinstance(s, dict)]


def test_all_begin_at_the_moment_that_was_agreed_on_and_end_together(serve):
    kits = [serve("kit-01"), serve("kit-02")]
    began = start(kits, "dinner", {"activity": "eat_dinner"}, sounds=True)
    assert set(began.began_ns) == {"kit-01", "kit-02"}
    assert began.at_ns > time.time_ns() - 60_000_000_000
    deadline = time.monotonic() + 10
    while states(kits) != ["recording", "recording"]:
        assert time.monotonic() < deadline
    again = start(kits, "dinner", {"activity": "eat_dinner"}, sounds=True)
    assert again.began_ns == began.began_ns, "an order whose answer was lost can be given again"
    with pytest.raises(PortError, match="kit-01"):
        start(kits, "supper", {})
    assert states(kits) == ["recording", "recording"], "who is refused must not end what runs"
    assert stop(kits) == {"kit-01": "dinner", "kit-02": "dinner"}


def test_a_kit_that_cannot_be_reached_is_named_and_nothing_begins(serve):
    here, gone = serve("kit-01"), Kit("kit-09", "127.0.0.1:9", TOKEN)
    with pytest.raises(PortError, match="kit-09"):
        start([here, gone], "dinner", {})
    assert states([here]) == ["idle"]
    began = start([here, gone], "dinner", {}, allow_missing=True)
    assert list(began.began_ns) == ["kit-01"]
    assert "kit-09" in began.left_out[0]


def test_a_stream_that_is_missing_is_named_and_every_kit_is_given_back(serve):
    kits = [serve("kit-01"), serve("kit-02", "deaf")]
    with pytest.raises(PortError, match="kit-02 gets nothing from bno055"):
        start(kits, "dinner", {})
    deadline = time.monotonic() + 10
    while states(kits) != ["idle", "idle"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_kit_whose_recorder_fails_is_named(serve):
    with pytest.raises(PortError, match="kit-02 cannot be armed"):
        start([serve("kit-01"), serve("kit-02", "crash")], "dinner", {})


def test_a_wrong_token_is_refused_by_name(serve):
    kit = serve("kit-01")
    with pytest.raises(PortError, match=r"kit-01.*token"):
        start([Kit("kit-01", kit.address, "wrong")], "dinner", {})


def planted(root: Path, name: str, clock_ns: int, event_ns: int, sealed: bool = True) -> Path:
    """A session of one kit whose clock is `clock_ns` behind wall time."""
    root.mkdir(parents=True)
    stream = Stream("bme680.field", "sensor", 0, 60.0)
    device = Device(name, "kit", "third", name, f"{name}.mkv", (stream,), log=f"{name}.log.jsonl")
    (root / device.file).write_bytes(name.encode() * 1000)
    entries = [{"type": "clock", "monotonic_ns": t, "realtime_ns": t + clock_ns, "raw_ns": t} for t in range(3)]
    (root / f"{name}.log.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    (root / "labels").mkdir()
    write_rows(
        root / "labels" / "recorded.csv",
        [
            ("activity", 5, 9, "eat_dinner", "p01", "110101"),
            ("event", event_ns, event_ns, f"bell of {root.name}", "", ""),
        ],
    )
    session = Session(
        root, root.name, (device,), participants=("p01",), activity="eat_dinner", sealed=sealed,
        counters={name: {"ticks": 60}}, receipt={"devices": {name: {"ticks": 60}}},
    )  # fmt: skip
    session.save()
    return root


def test_a_fetch_is_resumed_verified_and_gathered(serve, tmp_path: Path):
    kits = [serve("kit-01"), serve("kit-02")]
    for kit in kits:
        planted(tmp_path / kit.name / "dinner", kit.name, 10**9, 7)
    part = tmp_path / "dinner" / ".fetched" / "kit-01" / ".kit-01.mkv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"kit-01" * 300)  # an earlier try came so far
    said: list[str] = []
    fetch(kits, "dinner", tmp_path / "dinner", said.append)
    session = open_session(tmp_path / "dinner")
    assert [d.name for d in session.devices] == ["kit-01", "kit-02"]
    for kit in kits:
        assert (tmp_path / "dinner" / f"{kit.name}.mkv").read_bytes() == kit.name.encode() * 1000
    assert not (tmp_path / "dinner" / ".fetched").exists()
    with pytest.raises(SessionError, match="already holds"):
        fetch(kits, "dinner", tmp_path / "dinner")


def test_a_part_that_is_not_the_beginning_of_the_file_is_found_by_its_hash(serve, tmp_path: Path):
    kit = serve("kit-01")
    planted(tmp_path / "kit-01" / "dinner", "kit-01", 10**9, 7)
    part = tmp_path / "dinner" / ".fetched" / "kit-01" / ".kit-01.mkv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"another file" * 20)
    with pytest.raises(SessionError, match="other than it left"):
        fetch([kit], "dinner", tmp_path / "dinner")
    fetch([kit], "dinner", tmp_path / "dinner")
    assert open_session(tmp_path / "dinner").sealed


def test_a_kit_is_given_time_to_hash_a_long_film(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    waits_s = {}

    def ask(kit: Kit, method: str, path: str, body: object = None, wait_s: float = ANSWER_S) -> dict:  # noqa: ARG001
        waits_s[path] = wait_s
        return {"recording": False, "sha256": "", "files": [{"path": "kit-01.mkv", "bytes": 4_000_000_000}]}

    monkeypatch.setattr(Kit, "ask", ask)
    monkeypatch.setattr(Kit, "download", lambda kit, path, place, size: place.touch())  # noqa: ARG005
    with pytest.raises(SessionError, match="other than it left"):
        _fetch_kit(Kit("kit-01", "x:1"), "dinner", tmp_path, print)
    assert waits_s["/sessions/dinner"] < 10
    assert waits_s["/sessions/dinner/sha256/kit-01.mkv"] > 300  # an hour's film at 10 MB/s


def test_a_session_that_a_kit_does_not_have_is_named(serve, tmp_path: Path):
    kits = [serve("kit-01"), serve("kit-02")]
    planted(tmp_path / "kit-01" / "dinner", "kit-01", 10**9, 7)
    with pytest.raises(PortError, match="kit-02: there is no session"):
        fetch(kits, "dinner", tmp_path / "dinner")


def test_two_kits_of_one_name_get_apart_and_their_events_come_to_the_reference_clock(tmp_path: Path):
    first = planted(tmp_path / "a", "kit-01", clock_ns=1_000, event_ns=50)
    second = planted(tmp_path / "b", "kit-01", clock_ns=1_400, event_ns=50)
    third = planted(tmp_path / "c", "kit-01", clock_ns=1_300, event_ns=50)
    gathered = gather(tmp_path / "both", [first, second, third])
    assert gathered.renamed == {"b/kit-01": "kit-01-2", "c/kit-01": "kit-01-3"}
    session = open_session(tmp_path / "both")
    other = session.device("kit-01-2")
    assert (other.clock, other.file, other.log) == ("kit-01-2", "kit-01-2.mkv", "kit-01-2.log.jsonl")
    assert session.counters["kit-01-2"] == session.receipt["devices"]["kit-01-2"] == {"ticks": 60}
    assert session.path(other.file).read_bytes() == (second / "kit-01.mkv").read_bytes()
    from ingest.labels import read_labels

    labels = {(r["value"], r["t0_ns"]) for r in read_labels(session.path("labels"), "both")}
    assert labels == {("eat_dinner", 5), ("bell of a", 50), ("bell of b", 450), ("bell of c", 350)}


def test_what_was_imported_into_a_later_session_comes_along_with_its_folders(tmp_path: Path):
    sessions = [planted(tmp_path / name, f"kit-{name}", 0, 5) for name in "ab"]
    for root in sessions:
        for place in ("head/GX01.MP4", "head/GX02.MP4", "head.tables/gyroscope.npz"):
            (root / place).parent.mkdir(exist_ok=True)
            (root / place).write_text(f"{place} of {root.name}")
        (root / "head.ffconcat").write_text("ffconcat version 1.0\nfile head/GX01.MP4\nfile head/GX02.MP4\n")
        session = open_session(root)
        head = Device("head", "gopro", "ego", "head", "head.ffconcat", (Stream("gyroscope", "series", 0, 200.0),))
        replace(session, devices=(*session.devices, head)).save()
    gather(tmp_path / "both", sessions)
    there = tmp_path / "both"
    assert open_session(there).device("head-2").file == "head-2.ffconcat"
    for name, of in (("head", "a"), ("head-2", "b")):
        listed = (there / f"{name}.ffconcat").read_text().splitlines()[1:]
        assert [(there / line.split()[1]).read_text() for line in listed] == [
            f"head/GX0{k}.MP4 of {of}" for k in (1, 2)
        ]
        assert (there / f"{name}.tables" / "gyroscope.npz").read_text() == f"head.tables/gyroscope.npz of {of}"


def test_an_interrupted_session_is_not_gathered_before_it_is_recovered(tmp_path: Path):
    first = planted(tmp_path / "a", "kit-01", 0, 5)
    with pytest.raises(SessionError, match="syncctl recover"):
        gather(tmp_path / "both", [first, planted(tmp_path / "b", "kit-02", 0, 5, sealed=False)])
    assert not (tmp_path / "both").exists()


def test_what_one_kit_raises_does_not_hide_what_another_says():
    def work(kit: Kit) -> str:
        if kit.name == "b":
            raise PortError("b is away")
        return kit.name

    told = each([Kit(n, "x:1") for n in "abc"], work)
    assert [str(t) for t in told] == ["a", "b is away", "c"]
