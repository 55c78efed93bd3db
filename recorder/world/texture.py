"""Procedural textures: no two patches of a room look alike, so that feature matching has something to hold.

A repeating pattern would be worse than none (the ratio test throws repeated features away), so every brick,
plank, tile and motif has a tint and a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

Colour = tuple[float, float, float]


def fractal(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) noise of zero mean and unit deviation with detail at five scales."""
    total = np.zeros((height, width))
    for octave in range(5):
        step = 2**octave
        coarse = rng.standard_normal((height // step + 2, width // step + 2))
        layer = coarse.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
        layer = uniform_filter(layer, step) if octave else layer  # repeated and averaged: straight lines between
        total += 1.1**octave * layer
    return total / total.std()


def paint(image: np.ndarray) -> np.ndarray:
    """Float colours in [0, 1] as uint8."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _cells(
    rng: np.random.Generator, height: int, width: int, cell: tuple[int, int], stagger: float
) -> tuple[np.ndarray, np.ndarray]:
    """A brick-like partition: (height, width) random tint per cell, and whether a pixel lies on a joint."""
    ch, cw = cell
    rows = np.arange(height) // ch
    shift = (rng.random(height // ch + 1) * stagger * cw).astype(int)
    columns = (np.arange(width)[None, :] + shift[rows][:, None]) // cw
    tints = rng.standard_normal((height // ch + 1, width // cw + 3))
    joint = (np.arange(height) % ch < max(1, ch // 14))[:, None] | (
        (np.arange(width)[None, :] + shift[rows][:, None]) % cw < max(1, ch // 14)
    )
    return tints[rows[:, None], columns], joint


def _layered(rng: np.random.Generator, size: tuple[int, int], base: Colour, strength: float) -> np.ndarray:
    """A noisy coat of paint."""
    noise = fractal(rng, *size)
    return np.asarray(base) * (1 + strength * noise[..., None])


def bricks(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """A brick wall."""
    tint, joint = _cells(rng, *size, (size[0] // 20, size[0] // 8), 1.0)
    image = _layered(rng, size, base, 0.14) * (1 + 0.12 * tint[..., None])
    image[joint] = 0.72 + 0.05 * rng.standard_normal((int(joint.sum()), 1))
    return paint(image)


def planks(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """A wooden floor or board: planks along the width, each with its own tint and grain."""
    tint, joint = _cells(rng, *size, (max(8, size[0] // 12), size[1] // 2), 1.0)
    grain = gaussian_filter(rng.standard_normal(size), (0.8, 12), mode="wrap")
    image = _layered(rng, size, base, 0.14) * (1 + (0.13 * tint + 0.09 * grain / grain.std())[..., None])
    image[joint] *= 0.45
    return paint(image)


def tiles(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """Tiles in two colours, each tile a little different."""
    cell = size[0] // 10
    tint, joint = _cells(rng, *size, (cell, cell), 0.0)
    image = _layered(rng, size, base, 0.15) * (1 + 0.12 * np.sign(tint) + 0.07 * tint)[..., None]
    image[joint] = 0.85
    return paint(image)


def motifs(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """Wallpaper with discs, rings, diamonds and squares thrown over it, none twice the same."""
    image = _layered(rng, size, base, 0.15)
    for _ in range(30 + size[0] * size[1] // 1000):
        radius = (0.006 + 0.03 * rng.random() ** 2) * size[0]
        cy, cx = rng.random(2) * size
        y0, x0 = max(int(cy - radius), 0), max(int(cx - radius), 0)
        y, x = np.mgrid[y0 : int(cy + radius) + 1, x0 : int(cx + radius) + 1]
        window = image[y0 : int(cy + radius) + 1, x0 : int(cx + radius) + 1]
        y, x = y[: window.shape[0], : window.shape[1]], x[: window.shape[0], : window.shape[1]]
        dy, dx = np.abs(y - cy) / radius, np.abs(x - cx) / radius
        reach = (np.hypot(dx, dy), dx + dy, np.maximum(dx, dy), np.abs(np.hypot(dx, dy) - 0.7) + 0.7)
        inside = reach[int(rng.integers(4))] < 1
        window[inside] = 0.5 * window[inside] + 0.5 * rng.uniform(0.1, 1.0, 3)
    return paint(image)


def picture(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """A framed print: bands of colour, motifs and lines of 'text'."""
    height, width = size
    image = motifs(rng, size, base).astype(float) / 255
    for row in range(height // 2, height - height // 8, max(6, height // 18)):
        words = rng.random(width // 6) < 0.7
        image[row : row + max(2, height // 50), : 6 * len(words)][:, np.repeat(words, 6)] *= 0.25
    edge = max(3, height // 24)
    image[:edge], image[-edge:], image[:, :edge], image[:, -edge:] = (rng.uniform(0.1, 0.4, 3),) * 4
    return paint(image)


def paper(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """Wallpaper: small faint flowers thrown over a pale ground, none twice the same."""
    image = _layered(rng, size, base, 0.13)
    for _ in range(size[0] * size[1] // 330):
        radius = (0.005 + 0.016 * rng.random() ** 2) * size[0]
        cy, cx = rng.random(2) * size
        y0, x0 = max(int(cy - radius), 0), max(int(cx - radius), 0)
        y, x = np.mgrid[y0 : min(int(cy + radius) + 1, size[0]), x0 : min(int(cx + radius) + 1, size[1])]
        angle, away = np.arctan2(y - cy, x - cx), np.hypot(y - cy, x - cx) / radius
        petals = 0.65 + 0.35 * np.cos(rng.integers(3, 7) * angle + rng.uniform(0, 6.28))
        window = image[y0 : y0 + y.shape[0], x0 : x0 + y.shape[1]]
        window[away < petals] += rng.choice([-1, 1]) * rng.uniform(0.12, 0.34) + 0.03 * rng.standard_normal(3)
    return paint(image)


def stripes(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """Striped wallpaper with a little wear."""
    flowers = paper(rng, size, base).astype(float) / 255
    widths = rng.integers(size[1] // 60, size[1] // 20, size[1])
    tint = np.repeat(0.04 * rng.standard_normal(size[1]), widths)[: size[1]]
    return paint(flowers + tint[None, :, None])


def rug(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """A woven rug: nested borders round a field of motifs."""
    image = 0.7 * motifs(rng, size, base) / 255 + 0.3 * np.array(base)
    for k in range(4):
        inset, colour = 6 * k, np.clip(np.array(base) + rng.normal(0, 0.2, 3), 0.05, 0.95)
        for edge in (image[inset : inset + 4], image[-inset - 4 : size[0] - inset]):
            edge[:] = colour
        for edge in (image[:, inset : inset + 4], image[:, -inset - 4 : size[1] - inset]):
            edge[:] = colour
    return paint(image * (1 + 0.08 * rng.standard_normal(size)[..., None]))


def outside(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """What a window shows, as light as the day `base` (0 to 1): sky, hills and houses."""
    height, width = size
    down = np.linspace(0, 1, height)[:, None, None]
    image = (1 - down) * [0.55, 0.72, 0.95] + down * [0.92, 0.94, 0.96] + np.zeros((height, width, 1))
    hills = gaussian_filter(rng.standard_normal(width), width / 14, mode="wrap")
    line = height * (0.62 + 0.07 * hills / hills.std())
    image[np.arange(height)[:, None] > line] = [0.35, 0.48, 0.28]
    for _ in range(7):
        x, y, w, h = (
            rng.integers(0, width - 16),
            int(height * rng.uniform(0.52, 0.7)),
            rng.integers(8, 24),
            rng.integers(12, 40),
        )
        image[y : y + h, x : x + w] = rng.uniform(0.35, 0.8, 3)
        image[y + 3 : y + h : 6, x + 2 : x + w - 2 : 4] *= 0.6
    return paint((0.06 + 0.94 * np.array(base)) * image * (1 + 0.05 * rng.standard_normal(size)[..., None]))


def cloth(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """Woven cloth with stripes of uneven width."""
    stripes = np.repeat(rng.standard_normal(size[0]), rng.integers(2, 18, size[0]))[: size[0]]
    return paint(_layered(rng, size, base, 0.16) * (1 + 0.18 * np.sign(stripes))[:, None, None])


def plain(rng: np.random.Generator, size: tuple[int, int], base: Colour) -> np.ndarray:
    """Skin, china, plaster: nearly one colour."""
    return paint(_layered(rng, size, base, 0.05))


STYLES: dict[str, Callable[[np.random.Generator, tuple[int, int], Colour], np.ndarray]] = {
    "bricks": bricks,
    "planks": planks,
    "tiles": tiles,
    "motifs": motifs,
    "picture": picture,
    "paper": paper,
    "stripes": stripes,
    "rug": rug,
    "outside": outside,
    "cloth": cloth,
    "plain": plain,
}
