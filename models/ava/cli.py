"""``syncctl ava``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from recorder.terminal import emit, json_option

SHOWN = 5


@click.command()
@click.argument("truth", type=click.Path(path_type=Path))
@click.argument("detections", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="The label map, a .pbtxt file.")
@click.option("--excluded", type=click.Path(path_type=Path), help="A csv of frames that do not count.")
@click.option("--cap", type=click.IntRange(0), default=50, show_default=True, help="Rows kept of a frame; 0: all.")
@click.option("--page", type=click.Path(path_type=Path), help="Write figures as an HTML page.")
@json_option
def ava(
    truth: Path, detections: Path, labels: Path, excluded: Path | None, cap: int, page: Path | None, as_json: bool
) -> None:
    """Frame mAP of DETECTIONS against TRUTH, two csv files as AVA has them, exactly as its official script.

    The official script keeps the 50 best-scored rows of a frame; other published numbers keep all: --cap 0.

    \b
    Example:
      syncctl ava ava_val_v2.2.csv detections.csv --labels ava_action_list_v2.2.pbtxt --page ava.html
    """
    from models.ava import evaluate, read_excluded, read_label_map, read_rows
    from models.ava.breakdown import breakdowns
    from models.ava.figures import write_page

    frames = read_excluded(excluded) if excluded else frozenset()
    result = evaluate(read_rows(truth), read_rows(detections), read_label_map(labels), frames, cap)
    parts = breakdowns(result)
    if page:
        write_page(page, result, parts)
    document = result.document | {
        "by": {
            title: [{"name": p.name, "boxes": p.boxes, "map": p.mean if p.mean == p.mean else None} for p in some]
            for title, some in parts.items()
        }
    }
    emit(as_json, document, _lines(document))


def _lines(document: dict[str, Any]) -> list[str]:
    kept = f"the {document['cap']} best rows of each frame" if document["cap"] else "all rows"
    lines = [f"mAP {_percent(document['map'])} at overlap {document['iou']:g}, {kept}, {document['frames']} frames"]
    lines += [f"  {kind:20} {_percent(value)}" for kind, value in document["kinds"].items()]
    for title, parts in document["by"].items():
        lines.append(f"by {title}")
        lines += [f"  {p['name']:28} {_percent(p['map'])}  {p['boxes']} boxes" for p in parts if p["boxes"]]
    known = sorted((c for c in document["classes"] if c["ap"] is not None), key=lambda c: -c["ap"])
    for title, some in (("best", known[:SHOWN]), ("worst", known[SHOWN:][-SHOWN:])):
        lines += [f"{title} classes"] if some else []
        lines += [f"  {c['name']:40} {_percent(c['ap'])}  {c['boxes']} boxes" for c in some]
    lines += [f"left out: {count} {why}" for why, count in document["left_out"].items() if count]
    return lines


def _percent(value: float | None) -> str:
    return "no boxes" if value is None else f"{100 * value:5.2f}"
