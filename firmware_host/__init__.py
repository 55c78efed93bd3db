"""The first room: buses, clocks, sensors. A kit goes in, readings come out."""
