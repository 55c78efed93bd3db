"""What takes too long for every change: `make soak`. Each script prints what it found and returns how many failed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))  # the helpers of the tests, by their names
