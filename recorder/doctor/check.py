"""One line of a doctor's report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OK, WARN, FAIL = "OK", "WARN", "FAIL"


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well.

    Attributes:
        status: `OK`, `WARN` (it records, with the loss that the text says) or `FAIL` (it does not).
        remedy: a sentence with the command or the part to look at; empty where all is well.
    """

    name: str
    status: str
    text: str
    remedy: str = ""

    def line(self) -> str:
        """For people."""
        return f"{self.status:5}{self.name:16}{self.text}" + (f"; {self.remedy}" if self.remedy else "")


def failed(checks: Iterable[Check]) -> bool:
    """Whether one of them keeps a kit from recording."""
    return any(check.status == FAIL for check in checks)
