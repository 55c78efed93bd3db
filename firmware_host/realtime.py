"""What a process can ask of Linux so that it wakes up when it said it would."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys

_PRIORITY = 50
_SWITCH_INTERVAL_S = 0.0001
"""How long a lane that wakes up waits for another to give up the interpreter; the default is 5 ms."""
_LOCK_ALL_ONCE_TOUCHED = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT: without the last, every thread's whole stack would be resident."""


def become_real_time() -> list[str]:
    """Real-time priority for this thread and those it starts, locked memory, no garbage collection.

    Returns:
        A sentence for each wish that the system refused.
    """
    notes = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError as error:
        notes.append(
            f"no real-time priority ({error.strerror}), so slots may begin some milliseconds late; allow it "
            f"with 'rtprio {_PRIORITY}' in /etc/security/limits.conf"
        )
    refusal = _lock_memory()
    if refusal:
        notes.append(f"memory is not locked ({refusal}); allow it with 'memlock unlimited' in limits.conf")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.disable()
    return notes


def _lock_memory() -> str | None:
    """Keep this process out of the swap; the reason where that was not possible."""
    if os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return "with a limit, a later allocation would fail"
    libc = ctypes.CDLL(None, use_errno=True)
    return os.strerror(ctypes.get_errno()) if libc.mlockall(_LOCK_ALL_ONCE_TOUCHED) else None
