"""`syncctl view` as a process: it says where, serves, and ends with Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from firmware_host.errors import SessionError
from recorder.session import Session
from sync.cli import view

pytest.importorskip("starlette")


def test_it_serves_until_it_is_interrupted(planted: Session):
    command = [sys.executable, "-m", "syncctl", "view", str(planted.root), "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            told = process.stderr.readline()
            while "http" not in told and process.poll() is None:
                told = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", told)
            assert address, told
            with urllib.request.urlopen(address[0] + "session", timeout=20) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_folder_that_is_no_session_is_said(tmp_path):
    result = CliRunner().invoke(view, [str(tmp_path), "--no-browser"])
    assert isinstance(result.exception, SessionError)
    assert "not a session" in str(result.exception)
