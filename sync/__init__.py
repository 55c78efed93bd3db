"""The third room: every device on one clock, with a sigma, or a refusal."""
