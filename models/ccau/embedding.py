"""Contexts of many clips laid out in the plane, so that one sees which activities lie together (figure 4)."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Sequence

import numpy as np

from firmware_host.errors import ConfigError

SIDE, MARGIN, DOT = 480, 16, 4


def tsne(context: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE (van der Maaten, Hinton, JMLR 2008) of (N, D): (N, 2) float32, the same for equal seeds.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ConfigError("t-SNE needs scikit-learn: pip install 'syncctl[figures]'") from error
    perplexity = min(30.0, max(1.0, (len(context) - 1) / 3))
    made = TSNE(n_components=2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(context)
    return np.asarray(made, np.float32)


def scatter(points: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> str:
    """Points as SVG, a colour for each class, hues in the order of `names` so that neighbours there look alike.

    Args:
        points: (N, 2).
        classes: (N,) int, index of `names`.
    """
    low, span = points.min(0), np.ptp(points, axis=0)
    places = MARGIN + (SIDE - 2 * MARGIN) * (points - low) / np.maximum(span, 1e-12)
    colours = [_colour(i, len(names)) for i in range(len(names))]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}" fill="{colours[c]}">'
        f"<title>{html.escape(names[c])}</title></circle>"
        for (x, y), c in zip(places.tolist(), classes.tolist(), strict=True)
    )
    legend = "".join(
        f'<text x="{SIDE + 12}" y="{MARGIN + 16 * i + 4}" fill="{colours[c]}">{html.escape(names[c])}</text>'
        for i, c in enumerate(np.unique(classes).tolist())
    )
    height = max(SIDE, 2 * MARGIN + 16 * len(np.unique(classes)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE + 180} {height}" width="{SIDE + 180}" '
        f'font-family="sans-serif" font-size="12">{dots}{legend}</svg>'
    )


def _colour(index: int, count: int) -> str:
    red, green, blue = colorsys.hsv_to_rgb(0.9 * index / max(count, 1), 0.75, 0.8)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
