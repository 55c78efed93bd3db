"""The second room: a session folder, written so that a power cut costs less than a second."""
