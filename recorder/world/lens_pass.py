"""A picture through a lens, drawn by GL: the straight picture as a texture on a net that is bent as the lens bends.

MuJoCo draws into that texture itself, so that the straight picture is neither read nor copied. A shader takes the mean
of an exposure's moments, between its first and its last, in one go: each further one costs a look into the texture.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder.world.optics import Net, Part

CORNER = """
#version 120
attribute vec2 place, begun, ended;
varying vec2 from, to;
void main() { gl_Position = vec4(place, 0.0, 1.0); from = begun; to = ended; }
"""
PIXEL = """
#version 120
uniform sampler2D straight;
varying vec2 from, to;
void main() { gl_FragColor = %s; }
"""
PLACE, BEGUN, ENDED = range(3)


class LensPass:
    """What MuJoCo draws to, and what looks at it through a lens, in the GL context that is current whenever it is used.

    MuJoCo's framebuffer is the one that is bound, before and after each call.
    """

    def __init__(self, framebuffer: int, size: tuple[int, int]) -> None:
        """For pictures of `size` (width, height), which MuJoCo draws in its `framebuffer`."""
        from OpenGL import GL
        from OpenGL.GL import shaders

        self._gl: Any = GL
        self._size, self._shape, self._framebuffer = size, (size[1], size[0]), framebuffer
        self._straight, seen = self._picture(), self._picture()
        self._attach(framebuffer, self._straight)
        self._own = GL.glGenFramebuffers(1)
        self._attach(self._own, seen)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, framebuffer)
        self._compiled: Any = shaders.compileShader
        self._programs: dict[int, int] = {}
        for parameter in (GL.GL_PACK_ALIGNMENT, GL.GL_UNPACK_ALIGNMENT):
            GL.glPixelStorei(parameter, 1)

    def _program(self, moments: int) -> int:
        """The shader for so many moments; one that counts them itself is a quarter slower."""
        if moments not in self._programs:
            gl = self._gl
            looks = (f"texture2D(straight, mix(from, to, {(k + 0.5) / moments:.6f}))" for k in range(moments))
            pixel = PIXEL % f"({' + '.join(looks)}) / {moments:.1f}"
            program = self._programs[moments] = gl.glCreateProgram()
            for text, stage in ((CORNER, gl.GL_VERTEX_SHADER), (pixel, gl.GL_FRAGMENT_SHADER)):
                gl.glAttachShader(program, self._compiled(text.strip(), stage))
            for number, name in ((PLACE, "place"), (BEGUN, "begun"), (ENDED, "ended")):
                gl.glBindAttribLocation(program, number, name)
            gl.glLinkProgram(program)
        return self._programs[moments]

    def _picture(self) -> int:
        """A texture of the pictures' size."""
        gl = self._gl
        texture = gl.glGenTextures(1)
        gl.glBindTexture(gl.GL_TEXTURE_2D, texture)
        for name in (gl.GL_TEXTURE_MIN_FILTER, gl.GL_TEXTURE_MAG_FILTER):
            gl.glTexParameteri(gl.GL_TEXTURE_2D, name, gl.GL_LINEAR)
        for name in (gl.GL_TEXTURE_WRAP_S, gl.GL_TEXTURE_WRAP_T):
            gl.glTexParameteri(gl.GL_TEXTURE_2D, name, gl.GL_CLAMP_TO_EDGE)
        gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, gl.GL_RGBA8, *self._size, 0, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, None)
        return int(texture)

    def _attach(self, framebuffer: int, texture: int) -> None:
        gl = self._gl
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, framebuffer)
        gl.glFramebufferTexture2D(gl.GL_FRAMEBUFFER, gl.GL_COLOR_ATTACHMENT0, gl.GL_TEXTURE_2D, texture, 0)

    def put(self, straight: np.ndarray) -> None:
        """Take a straight picture (H, W) uint32 of GL's RGBA, the lowest row first, for what was drawn."""
        gl = self._gl
        gl.glBindTexture(gl.GL_TEXTURE_2D, self._straight)
        gl.glTexSubImage2D(
            gl.GL_TEXTURE_2D, 0, 0, 0, *self._size, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, straight.view(np.uint8)
        )

    def take(self) -> np.ndarray:
        """(H, W) uint32 what was drawn, GL's RGBA, the lowest row first."""
        straight = np.empty(self._shape, np.uint32)
        octets = straight.view(np.uint8)  # what is not of the type that GL is told would be copied
        self._gl.glReadPixels(0, 0, *self._size, self._gl.GL_RGBA, self._gl.GL_UNSIGNED_BYTE, octets)
        return straight

    def seen(self, net: Net, part: Part | None = None) -> np.ndarray:
        """(h, w, 3) uint8 a part of what was drawn, or all of it, as the lens leaves it, the highest row first."""
        gl = self._gl
        x, y, width, height = part or (0, 0, *self._size)
        # What MuJoCo sets once and relies on is put back; the rest it sets for each picture.
        gl.glPushAttrib(gl.GL_ENABLE_BIT | gl.GL_VIEWPORT_BIT | gl.GL_SCISSOR_BIT)
        gl.glPushClientAttrib(gl.GL_CLIENT_VERTEX_ARRAY_BIT)
        for what in (gl.GL_DEPTH_TEST, gl.GL_STENCIL_TEST, gl.GL_CULL_FACE, gl.GL_BLEND):
            gl.glDisable(what)
        gl.glEnable(gl.GL_SCISSOR_TEST)
        gl.glScissor(x, y, width, height)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._own)
        gl.glViewport(0, 0, *self._size)
        gl.glUseProgram(self._program(net.moments))
        gl.glBindTexture(gl.GL_TEXTURE_2D, self._straight)
        for number, points in ((PLACE, net.places), (BEGUN, net.begun), (ENDED, net.ended)):
            gl.glEnableVertexAttribArray(number)
            gl.glVertexAttribPointer(number, 2, gl.GL_FLOAT, False, 0, points)
        gl.glDrawElements(gl.GL_QUADS, net.cells.size, gl.GL_UNSIGNED_INT, net.cells)
        gl.glUseProgram(0)
        gl.glPopClientAttrib()
        gl.glPopAttrib()
        picture = np.empty((height, width, 3), np.uint8)
        gl.glReadPixels(x, y, width, height, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, picture)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._framebuffer)
        return picture
