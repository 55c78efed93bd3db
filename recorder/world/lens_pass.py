"""A picture through a lens, drawn by GL: the straight picture as a texture on a net that is bent as the lens bends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recorder.world.optics import Optics


class LensPass:
    """Bends pictures of one size in the GL context that is current now, and whenever it is used."""

    def __init__(self, optics: Optics) -> None:
        from OpenGL import GL

        self._gl: Any = GL
        self._width, self._height = optics.size
        rows, columns = optics.corners.shape[:2]
        first = (np.arange(columns - 1) + columns * np.arange(rows - 1)[:, None]).reshape(-1, 1)
        self._cells = (first + [0, 1, columns + 1, columns]).astype(np.uint32)
        self._net = np.ascontiguousarray(self._shares(optics.corners) * 2 - 1, np.float32)
        self._texture = GL.glGenTextures(1)
        GL.glBindTexture(GL.GL_TEXTURE_2D, self._texture)
        for name in (GL.GL_TEXTURE_MIN_FILTER, GL.GL_TEXTURE_MAG_FILTER):
            GL.glTexParameteri(GL.GL_TEXTURE_2D, name, GL.GL_LINEAR)
        for name in (GL.GL_TEXTURE_WRAP_S, GL.GL_TEXTURE_WRAP_T):
            GL.glTexParameteri(GL.GL_TEXTURE_2D, name, GL.GL_CLAMP_TO_EDGE)
        size = (self._width, self._height)
        GL.glTexImage2D(GL.GL_TEXTURE_2D, 0, GL.GL_RGB8, *size, 0, GL.GL_RGB, GL.GL_UNSIGNED_BYTE, None)
        self._ready = GL.glGenLists(1)
        GL.glNewList(self._ready, GL.GL_COMPILE)
        self._set_up()
        GL.glEndList()

    def _shares(self, px: np.ndarray) -> np.ndarray:
        """(..., 2) px as shares of the picture, from the left and from below."""
        share = (px + 0.5) / [self._width, self._height]
        return np.asarray(share * [1, -1] + [0, 1])

    def _set_up(self) -> None:
        gl = self._gl
        for what in (
            *(gl.GL_LIGHTING, gl.GL_DEPTH_TEST, gl.GL_STENCIL_TEST, gl.GL_SCISSOR_TEST, gl.GL_CULL_FACE, gl.GL_FOG),
            *(gl.GL_TEXTURE_GEN_S, gl.GL_TEXTURE_GEN_T, gl.GL_TEXTURE_GEN_R, gl.GL_TEXTURE_CUBE_MAP, gl.GL_NORMALIZE),
        ):
            gl.glDisable(what)
        for what in (gl.GL_TEXTURE_2D, gl.GL_BLEND):
            gl.glEnable(what)
        gl.glBindTexture(gl.GL_TEXTURE_2D, self._texture)
        gl.glTexEnvi(gl.GL_TEXTURE_ENV, gl.GL_TEXTURE_ENV_MODE, gl.GL_REPLACE)
        gl.glPolygonMode(gl.GL_FRONT_AND_BACK, gl.GL_FILL)
        gl.glBlendFunc(gl.GL_CONSTANT_ALPHA, gl.GL_ONE)
        gl.glViewport(0, 0, self._width, self._height)
        for mode in (gl.GL_TEXTURE, gl.GL_PROJECTION, gl.GL_MODELVIEW):
            gl.glMatrixMode(mode)
            gl.glLoadIdentity()
        gl.glClearColor(0, 0, 0, 1)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT)

    def draw(self, straight: np.ndarray, sources: Sequence[np.ndarray]) -> None:
        """Draw a straight picture (H, W, 3) uint8, the lowest row first, where `sources` say; the mean of all."""
        gl = self._gl
        gl.glPushAttrib(gl.GL_ALL_ATTRIB_BITS)
        gl.glPushClientAttrib(gl.GL_CLIENT_ALL_ATTRIB_BITS)
        gl.glCallList(self._ready)
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
        size = (self._width, self._height)
        gl.glTexSubImage2D(gl.GL_TEXTURE_2D, 0, 0, 0, *size, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, straight)
        gl.glBlendColor(0, 0, 0, 1 / len(sources))
        for array in (gl.GL_NORMAL_ARRAY, gl.GL_COLOR_ARRAY):
            gl.glDisableClientState(array)
        for array in (gl.GL_VERTEX_ARRAY, gl.GL_TEXTURE_COORD_ARRAY):
            gl.glEnableClientState(array)
        gl.glVertexPointer(2, gl.GL_FLOAT, 0, self._net)
        for source in sources:
            at = np.ascontiguousarray(self._shares(source), np.float32)
            gl.glTexCoordPointer(2, gl.GL_FLOAT, 0, at)
            gl.glDrawElements(gl.GL_QUADS, self._cells.size, gl.GL_UNSIGNED_INT, self._cells)
        gl.glPopClientAttrib()
        gl.glPopAttrib()
