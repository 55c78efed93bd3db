"""Gaze of an eye tracker on the frames of the camera on the head.

`table` is what comes in and goes out; `pairs` a head frame with the scene frames around it; `features` what two
pictures show alike; `rig` the two cameras rigid on one head, `stereo` what is near the gaze by it, `depth` the place of
the gaze on its line; `plane` the plain homography; `carry` puts them together, and `films` does so for two files.
"""

from sync.gaze.table import VERDICTS, Gaze, Row, read_gaze, read_rows, write_rows

__all__ = ["VERDICTS", "Gaze", "Row", "read_gaze", "read_rows", "write_rows"]
