"""What a user can mend, as exceptions; what the world did (a NACK, a late slot) is data and never raised.

    SyncctlError
    |- ConfigError      the kit file, a flag or a plan asks for something impossible
    |- PortError        a bus or device cannot be opened (missing, no permission, busy)
    |- SessionError     a session folder, media file or dataset cannot be read as one
    |- EvidenceError    the signals do not support an answer (silence, flat correlation, too few matches)

Every message is one sentence that says what is wrong, where, and what to do. The front door prints it and
exits with status 1; ``-v`` adds the traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SyncctlError(Exception):
    """Root of everything that is raised on purpose."""


class ConfigError(SyncctlError, ValueError):
    """A configuration, flag or plan that cannot work."""


class PortError(SyncctlError, OSError):
    """A bus or device that cannot be opened."""


class SessionError(SyncctlError):
    """A session, media file or dataset that cannot be read as one."""


class EvidenceError(SyncctlError):
    """Signals that do not support an answer. A wrong offset given with confidence would be worse."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence for a name that does not exist, with the nearest one that does."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(choices)}"
    return f"unknown {kind} '{name}'; {hint}"
