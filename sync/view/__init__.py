"""`syncctl view`: a session as a page that plays everything in step, straight from the session's own files.

`blocks` finds where the packets of a kit's Matroska file lie, `mp4` writes the table that makes a player read them
there, `content` says what a session has to show and when, `curves` thins it to a screen's width, and `server` hands
it out on loopback. Nothing is encoded again, and nothing is written.
"""
