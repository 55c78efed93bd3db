"""Clocks put together by movement: what a gyroscope felt against what a camera saw.

`turning` and `filmed` hold the two kinds of evidence; `flow` and `mirror` read movement from pictures, `imu` and
`sync.importers.gpmf` from sensors. `match_turning` (an IMU that is rigid with a camera, or with another IMU) and
`match_pattern` (a limb that a camera sees, in a mirror or across the room) return a `sync.alignment.Pairing` or raise
`EvidenceError`, as every method does.
"""
