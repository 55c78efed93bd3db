"""A kit that serves, as it runs: in its own process, recording, among people who mean it no good."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from abuse import ServedKit, abuse


def test_abuse_gets_its_answers_and_ctrl_c_twice_seals_the_recording(tmp_path: Path, run_syncctl):
    with ServedKit(tmp_path, "160x96") as kit, ThreadPoolExecutor(1) as pool:
        assert kit.ask("POST", "/start", {"session": "dinner"})[0] in (200, 202)
        kit.until("recording")
        stop = threading.Event()
        abused = pool.submit(abuse, kit, stop)
        threading.Event().wait(6.0)
        stop.set()
        told = abused.result(60)
        kit.interrupt()
        kit.interrupt()
        assert kit.process.wait(60) == 0
        assert "Traceback" not in kit.said()
    assert set(told) >= {"crowd 503", "wrong token 401", "start twice 409", "traversal 404", "10 MB 413"}, told
    assert not [k for k in told if k.endswith((" 200", " 500"))]
    report = json.loads(run_syncctl("inspect", kit.sessions / "dinner", "--json").stdout)
    assert report["complete"]
    assert {s["device"] for s in report["streams"]} == {"kit-01"}
    assert min(s["duration_s"] for s in report["streams"]) > 5
