"""Gaze of an eye tracker on the frames of the camera on the head.

`table` is what comes in and goes out; `features` finds and follows what both cameras see, `pairs` keeps it alive from
frame to frame; `rig` is the two cameras rigid on one head, `depth` the place of the gaze on its line there; `plane` is
the plain homography; `carry` puts them together, and `films` does so for two files.
"""

from sync.gaze.table import VERDICTS, Gaze, Row, read_gaze, read_rows, write_rows

__all__ = ["VERDICTS", "Gaze", "Row", "read_gaze", "read_rows", "write_rows"]
