from __future__ import annotations

import json
import subprocess
import sys

CHILD = """
import gc, json, os, resource, sys
from firmware_host.realtime import become_real_time
if sys.argv[1] == "nobody":
    for limit in (resource.RLIMIT_RTPRIO, resource.RLIMIT_MEMLOCK):
        resource.setrlimit(limit, (0, 0))
    if os.getuid() == 0:
        os.setuid(65534)
notes = become_real_time()
fifo = os.sched_getscheduler(0) == os.SCHED_FIFO
locked = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmLck"))
print(json.dumps([notes, fifo, int(locked) > 0, gc.isenabled()]))
"""


def become(who):
    result = subprocess.run([sys.executable, "-c", CHILD, who], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_what_is_granted_is_in_force_and_what_is_refused_is_said():
    notes, fifo, locked, collects = become("me")
    assert fifo != any("real-time priority" in note for note in notes)
    assert locked != any("memory is not locked" in note for note in notes)
    assert not collects


def test_an_ordinary_user_gets_two_sentences_and_a_working_process():
    notes, fifo, locked, _ = become("nobody")
    assert (fifo, locked) == (False, False)
    assert len(notes) == 2
    assert "rtprio 50" in notes[0]
    assert "memlock unlimited" in notes[1]
