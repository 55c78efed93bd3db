"""What runs on a kit: a recorder in a process of its own, and a small server that shows and steers it."""
