"""Three kits, each in processes of its own, steered by the commands a user types."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from abuse import TOKEN, ServedKit

from recorder.session import open_session

TOGETHER_NS = 20_000_000


@pytest.mark.slow
def test_three_kits_begin_together_end_and_come_home_as_one_session(tmp_path: Path, run_syncctl, monkeypatch):
    monkeypatch.setitem(os.environ, "SYNCCTL_TOKEN", TOKEN)
    names = ("kitchen", "hall", "bath")
    with ExitStack() as stack:
        served = {n: stack.enter_context(ServedKit(tmp_path / n, "160x96", n)) for n in names}
        hosts = [a for n, kit in served.items() for a in ("--host", f"{n}=127.0.0.1:{kit.port}")]
        alone = run_syncctl("kits", "start", *hosts, "--host", "attic=127.0.0.1:9", "--session", "never")
        assert alone.returncode == 1
        assert "attic" in alone.stderr
        begun = run_syncctl("kits", "start", *hosts, "--session", "dinner", "--at", "+4s", "--activity", "eat_dinner")
        assert begun.returncode == 0, begun.stderr
        for kit in served.values():
            kit.until("recording")
            while kit.until("recording")["live"]["elapsed_s"] < 3:  # the first keyframe may come a second late
                pass
        ended = run_syncctl("kits", "stop", *hosts)
        assert ended.returncode == 0, ended.stderr
        t0_ns = [_tick_0(kit.sessions / "dinner", n) for n, kit in served.items()]
        assert max(t0_ns) - min(t0_ns) < TOGETHER_NS, "all three have this machine's clock"
        fetched = run_syncctl("kits", "fetch", "dinner", tmp_path / "dinner", *hosts, "--json")
        assert fetched.returncode == 0, fetched.stderr
    assert {d.name for d in open_session(tmp_path / "dinner").devices} == set(names)
    report = json.loads(run_syncctl("inspect", tmp_path / "dinner", "--json").stdout)
    assert report["complete"]
    assert not any((kit.sessions / "never").exists() for kit in served.values())


def _tick_0(folder: Path, name: str) -> int:
    return open_session(folder).device(name).stream("bme680.timing").t0_ns
