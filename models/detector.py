"""Persons in a picture, by a detector that the user brings as an ONNX file; OpenCV runs it.

It takes one picture, (1, 3, S, S) RGB in [0, 1], into which ours is fitted from the top left corner with its aspect
kept, the rest grey. What it gives is known by its shape, C being classes and N boxes:

    (1, 4 + C, N)        YOLOv8 and 11: centre, width and height in pixels of S, then a score for each class
    (1, N, 5 + C)        YOLOv5 and 7: the same with an objectness before the classes, which it multiplies
    (1, N, 6)            YOLOv10, N up to 1000: corners in pixels, score, class; nothing left to suppress
    (1, 1, N, 7)         SSD: picture, class, score, corners as fractions of S
    (N, 4), (N,), (N,)   TorchVision: corners in pixels, class, score

Of the first two the longer axis is N. A person is class 0 in YOLO's and 1 in the others' numbering of COCO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from firmware_host.errors import ConfigError
from models import boxes as boxing

GREY = (114, 114, 114)
ALIKE = 0.6
"""Overlap from which two boxes are one person."""
FEW = 1000
YOLO_PERSON, COCO_PERSON = 0, 1

Scored = tuple[np.ndarray, np.ndarray]
"""(N, 4) corners in pixels of S, and (N,) scores of being a person."""


class Detector:
    """A detector read from a file.

    Args:
        path: of the ONNX file.
        size: S, pixels of the side it takes.
        person: class that is a person; None for COCO's, by the form of the answer.
        sure: least score of a box.

    Raises:
        ConfigError: the file is gone or is no ONNX that OpenCV can run.
    """

    def __init__(self, path: Path, *, size: int = 640, person: int | None = None, sure: float = 0.3) -> None:
        self.path, self.size, self.person, self.sure = path, size, person, sure
        if not path.is_file():
            raise ConfigError(f"{path} does not exist; give a detector exported to ONNX")
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise ConfigError(f"{path} cannot be read as ONNX ({_said(error)}); export the detector again") from None

    def __call__(self, frame: np.ndarray) -> Scored:
        """The persons in a picture.

        Args:
            frame: (H, W, 3) uint8, RGB.

        Returns:
            boxes (N, 4) float64 x1, y1, x2, y2 in fractions of the picture, all with an area, and scores (N,) in
            [0, 1], the surest first.

        Raises:
            ConfigError: the file takes no such picture, or gives an answer of another form.
        """
        picture, scale = fitted(frame, self.size)
        boxes, scores = self._persons(self._answers(picture))
        height, width = frame.shape[:2]
        boxes = np.clip(boxes / scale / np.array([width, height, width, height]), 0, 1)
        kept = np.isfinite(scores) & (scores >= self.sure)
        boxes, scores = boxes[kept], np.clip(scores[kept], 0, 1)
        index, fine = boxing.suppressed(torch.from_numpy(boxes), torch.from_numpy(scores), ALIKE, len(scores))
        chosen = index[fine].numpy()
        return boxes[chosen], scores[chosen]

    def _answers(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        try:
            self._net.setInput(cv2.dnn.blobFromImage(picture, 1 / 255))
            names = self._net.getUnconnectedOutLayersNames()
            return dict(zip(names, self._net.forward(names), strict=True))
        except cv2.error as error:
            taken = f"1 x 3 x {self.size} x {self.size}"
            raise ConfigError(
                f"{self.path} does not take a picture of {taken} ({_said(error)}); give the --size it was exported with"
            ) from None

    def _persons(self, answers: dict[str, np.ndarray]) -> Scored:
        shapes = [answer.shape for answer in answers.values()]
        form = form_of(shapes)
        if form is None:
            told = ", ".join(" x ".join(map(str, shape)) for shape in shapes)
            raise ConfigError(
                f"{self.path} answers with {told}, which is no form of YOLO, SSD or TorchVision known here"
            )
        person = self.person if self.person is not None else YOLO_PERSON if form in YOLO else COCO_PERSON
        try:
            boxes, scores = form(answers, person, self.size)
        except IndexError:
            raise ConfigError(
                f"{self.path} has no class number {person}; give the --person it was trained with"
            ) from None
        return boxes.astype(np.float64), scores.astype(np.float64)


def fitted(frame: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """A picture (H, W, 3) in the top left corner of a grey square of `size`, and by how much it was scaled."""
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.copyMakeBorder(small, 0, size - h, 0, size - w, cv2.BORDER_CONSTANT, value=GREY), scale


Form = Callable[[dict[str, np.ndarray], int, int], Scored]


def form_of(shapes: Sequence[tuple[int, ...]]) -> Form | None:
    """How answers of these shapes are to be read; None where they are of no known form."""
    if len(shapes) == 3 and sum(len(s) == 2 and s[1] == 4 for s in shapes) == 1:
        return _torchvision
    if len(shapes) != 1:
        return None
    shape = shapes[0]
    if len(shape) == 4 and shape[:2] == (1, 1) and shape[3] == 7:
        return _ssd
    if len(shape) != 3 or shape[0] != 1:
        return None
    if shape[2] == 6 and shape[1] <= FEW:
        return _yolo_rows
    if shape[1] < shape[2]:
        return _yolo_by_class if shape[1] > 4 else None
    return _yolo_with_objectness if shape[2] > 5 else None


def _yolo_by_class(answers: dict[str, np.ndarray], person: int, _size: int) -> Scored:
    (found,) = answers.values()
    return _cornered(found[0, :4].T), found[0, 4:][person]


def _yolo_with_objectness(answers: dict[str, np.ndarray], person: int, _size: int) -> Scored:
    (found,) = answers.values()
    return _cornered(found[0, :, :4]), found[0, :, 4] * found[0, :, 5:].T[person]


def _yolo_rows(answers: dict[str, np.ndarray], person: int, _size: int) -> Scored:
    (found,) = answers.values()
    mine = found[0][np.rint(found[0, :, 5]) == person]
    return mine[:, :4], mine[:, 4]


def _ssd(answers: dict[str, np.ndarray], person: int, size: int) -> Scored:
    (found,) = answers.values()
    mine = found[0, 0][np.rint(found[0, 0, :, 1]) == person]
    return mine[:, 3:] * size, mine[:, 2]


def _torchvision(answers: dict[str, np.ndarray], person: int, _size: int) -> Scored:
    """By the outputs' names, or where these do not say by TorchVision's order: boxes, labels, scores."""
    boxes = next(answer for answer in answers.values() if answer.ndim == 2 and answer.shape[1] == 4)
    others = {name: answer.reshape(-1) for name, answer in answers.items() if answer is not boxes}
    labels, scores = others.values()
    if "score" in next(iter(others)):
        labels, scores = scores, labels
    mine = np.rint(labels) == person
    return boxes[mine], scores[mine]


YOLO = (_yolo_by_class, _yolo_with_objectness, _yolo_rows)


def _cornered(centred: np.ndarray) -> np.ndarray:
    """Centre, width and height to corners, (N, 4)."""
    return np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], axis=1)


def _said(error: cv2.error) -> str:
    """OpenCV's reason without its file and line."""
    return str(error.err or error).strip().splitlines()[0][:120]
