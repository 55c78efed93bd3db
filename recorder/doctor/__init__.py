"""`syncctl doctor`: is this machine fit to record, and what to do where it is not."""
