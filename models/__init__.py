"""The fifth room: five published systems, one training loop."""
