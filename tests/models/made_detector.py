"""ONNX files of a detector that anybody can follow: as sure of a person in a cell as the cell is more red than blue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CELL, REACH = 16, 48
"""Side of a cell, and of the box around its middle, pixels."""
FORMS = ("yolov8", "yolov5", "yolov10", "ssd", "torchvision", "torchvision, other order")


def write_detector(path: Path, form: str, size: int) -> Path:
    """A detector that takes `size` pixels a side and answers in a form; the classes are red and green."""
    cells = (size // CELL) ** 2
    shape = [1, 3, cells]
    nodes = [
        _node("AveragePool", ["picture"], "pooled", kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        _node("Reshape", ["pooled", "shape"], "colours"),
        _node("Slice", ["colours", "first", "second", "axis"], "r"),  # (1, 1, N)
        _node("Slice", ["colours", "second", "third", "axis"], "g"),
        _node("Slice", ["colours", "third", "fourth", "axis"], "b"),
        _node("Sub", ["r", "b"], "red"),
        _node("Sub", ["g", "b"], "green"),
    ]
    numbers = {"shape": shape, "first": [0], "second": [1], "third": [2], "fourth": [3], "axis": [1]}
    known: dict[str, np.ndarray] = {name: np.array(value, np.int64) for name, value in numbers.items()}
    more, outputs = _answer(form, size, cells, known)
    graph = helper.make_graph(
        nodes + more,
        "cells",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in known.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def centres(size: int) -> np.ndarray:
    """(N, 2) x, y of the cells' middles, row by row, pixels."""
    along = np.arange(size // CELL) * CELL + CELL / 2
    y, x = np.meshgrid(along, along, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _answer(form: str, size: int, cells: int, known: dict[str, np.ndarray]) -> tuple[list, list]:
    middle = centres(size)
    corners = np.concatenate([middle - REACH / 2, middle + REACH / 2], axis=1)
    around = np.concatenate([middle, np.full_like(middle, REACH)], axis=1)
    number = TensorProto.FLOAT
    if form == "yolov8":
        known["where"] = around.T[None]
        return [_node("Concat", ["where", "red", "green"], "output0", axis=1)], [("output0", number, [1, 6, cells])]
    if form == "yolov5":
        known |= {"where": around.T[None], "half": np.full((1, 1, cells), 0.5, np.float32)}
        nodes = [_node("Concat", ["where", "half", "red", "green"], "tall", axis=1)]
        return [*nodes, _turned("tall", "output0")], [("output0", number, [1, cells, 7])]
    if form == "yolov10":
        known |= {"where": corners.T[None], "class": np.zeros((1, 1, cells), np.float32)}
        nodes = [_node("Concat", ["where", "red", "class"], "tall", axis=1)]
        return [*nodes, _turned("tall", "output0")], [("output0", number, [1, cells, 6])]
    if form == "ssd":
        known |= {"where": (corners / size).T[None], "front": np.ones((1, 2, cells), np.float32)}
        known |= {"four": np.array([1, 1, cells, 7], np.int64)}
        nodes = [_node("Concat", ["front", "red", "where"], "tall", axis=1), _turned("tall", "flat")]
        return [*nodes, _node("Reshape", ["flat", "four"], "found")], [("found", number, [1, 1, cells, 7])]
    known |= {"where": corners, "class": np.ones(cells, np.int64), "flat": np.array([cells], np.int64)}
    nodes = [_node("Identity", ["where"], "boxes"), _node("Identity", ["class"], "labels")]
    nodes.append(_node("Reshape", ["red", "flat"], "scores"))
    told = [("labels", TensorProto.INT64, [cells]), ("scores", number, [cells])]
    return nodes, [("boxes", number, [cells, 4]), *(told if form == "torchvision" else told[::-1])]


def _node(kind: str, inputs: list[str], output: str, **settings: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], **settings)


def _turned(tall: str, output: str) -> onnx.NodeProto:
    return _node("Transpose", [tall], output, perm=[0, 2, 1])
