"""What the page shows: tables of arms, and what each is to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

TOP, MAP = ("top1", "top3", "map", "map_weighted"), ("map", "map_interaction", "map_own")
STREAM = {"ego": "head camera", "third": "room camera", "audio": "sound", "environment": "air and light",
          "thermal": "heat picture", "imu": "ten body sensors"}  # fmt: skip
TRIO, ROOM = "ego+third+audio", "audio+environment+thermal"
SENSORS = f"{ROOM}+imu"
EVERYTHING = f"ego+third+{SENSORS}"
NAMED = STREAM | {
    "ego+third": "both cameras",
    "ego+audio": "head camera and sound",
    "third+audio": "room camera and sound",
    TRIO: "cameras and sound",
    ROOM: "the room kit without its camera",
    SENSORS: "all sensors, no camera",
    EVERYTHING: "everything",
    "everybody": "",
}


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        name: what it is called.
        arm, read: of which run, and read by which streams.
        against: the (arm, read) that it should be better than; empty for none.
    """

    name: str
    arm: str
    read: str
    against: tuple[str, str] | tuple[()] = ()


@dataclass(frozen=True)
class Table:
    """A table and its figure.

    Attributes:
        key: of its figure's file.
        title, text: above it.
        suite: of its runs.
        rows, measures: lines and columns.
        shown: the measure of the figure, and of the column that compares.
    """

    key: str
    title: str
    text: str
    suite: str
    rows: tuple[Row, ...]
    measures: tuple[str, ...] = TOP
    shown: str = "top1"


def _rows(arms: dict[str, str], reads: tuple[str, ...], against: str) -> tuple[Row, ...]:
    """Each read by each arm, the latter compared with one of them."""
    return tuple(
        Row(f"{NAMED[read]}, {name}", arm, read, () if arm == against else (against, read))
        for read in reads
        for arm, name in arms.items()
    )


TABLES = (
    Table(
        "streams",
        "One stream, and several",
        "Every stream has a tower of its own, trained without the others (`alone`); several are read as the "
        "mean of what each "
        "says. The scene graph is the simulator's truth of who holds, touches and looks at what: how far "
        "perfect perception "
        "would go.",
        "ccau",
        (
            *(Row(name, "alone", read) for read, name in STREAM.items()),
            *(Row(NAMED[read], "alone", read) for read in ("ego+third", "ego+audio", "third+audio", TRIO)),
            Row("scene graph (truth)", "scene graph", "graph"),
        ),
    ),
    Table(
        "privacy",
        "Without a camera",
        "What the kit's sensors tell when no camera may be hung up, and what they add to one; trained alone, "
        "and trained "
        "together by alignment so that cameras teach at training time only. The gain of *everything* is over "
        "both cameras, that of the others "
        "over the same streams trained alone.",
        "ccau",
        tuple(
            Row(f"{NAMED[read]}, {name}", arm, read, against)
            for arm, name in (("alone", "alone"), ("cooperative, all streams", "cooperative"))
            for read, against in (
                (ROOM, ("alone", ROOM) if arm != "alone" else ()),
                ("imu", ("alone", "imu") if arm != "alone" else ()),
                (SENSORS, ("alone", SENSORS) if arm != "alone" else ()),
                ("ego+third", ("alone", "ego+third") if arm != "alone" else ()),
                (EVERYTHING, (arm, "ego+third")),
            )
        ),
    ),
    Table(
        "cooperation",
        "One, two, three modalities in training (HOMAGE, table 2)",
        "Trained together by cooperative alignment, used each by itself.",
        "ccau",
        tuple(
            Row(f"{NAMED[read]}, {name}", arm, read, () if arm == "alone" else ("alone", read))
            for read in ("ego", "third", "audio")
            for arm, name in (
                ("alone", "alone"),
                ("cooperative ego third", "the cameras together"),
                ("cooperative ego audio", "with head camera and sound together"),
                ("cooperative third audio", "with room camera and sound together"),
                ("cooperative", "all three together"),
                ("cooperative, all streams", "all six together"),
            )
            if not arm.startswith("cooperative ") or read in arm.split()
        ),
    ),
    Table(
        "attention",
        "Attention over the cells",
        "On, or the mean over the cells; the gain is over the latter.",
        "ccau",
        (
            *_rows(
                {"alone, no attention": "off, alone", "alone": "on, alone"}, ("ego", "third"), "alone, no attention"
            ),
            *_rows(
                {"cooperative, no attention": "off, cooperative", "cooperative": "on, cooperative"},
                ("ego", "third"),
                "cooperative, no attention",
            ),
        ),
    ),
    Table(
        "distillation",
        "Taught by answers instead (HOMAGE, knowledge distillation)",
        "The activity alone. Static: every stream in turn learns from the others, which were trained before "
        "and stay as they "
        "are; cooperative: all from all. Beside them the alignment of contexts.",
        "ccau",
        _rows(
            {
                "activity alone": "alone",
                "static distillation": "static",
                "cooperative distillation": "cooperative distillation",
                "activity, cooperative": "alignment",
            },
            ("ego", "third", "audio"),
            "activity alone",
        ),
        ("top1", "top3"),
    ),
    Table(
        "tasks",
        "Activity, atomic actions, both (HOMAGE, tables 3 and 4)",
        "Cameras and sound, read together.",
        "ccau",
        (
            Row("activity", "activity alone", TRIO),
            Row("activity, cooperative", "activity, cooperative", TRIO, ("activity alone", TRIO)),
            Row("atomic", "atomic alone", TRIO),
            Row("atomic, cooperative", "atomic, cooperative", TRIO),
            Row("both", "alone", TRIO, ("activity alone", TRIO)),
            Row("both, cooperative", "cooperative", TRIO, ("activity alone", TRIO)),
            Row("both, cooperative, learned weights", "cooperative, learned weights", TRIO, ("activity alone", TRIO)),
        ),
    ),
    Table(
        "foretelling",
        "Foretelling first (HOMAGE, appendix B)",
        "The cameras' towers start from random weights, or from having foretold the last three of eight blocks "
        "without labels; "
        "with everybody's labels, and with those of one training person; the gain is over the random start.",
        "ccau",
        tuple(
            Row(f"{NAMED[read]}, {name}", arm, read, against)
            for read in ("ego", "third", "ego+third")
            for arm, name, against in (
                ("alone", "random start", ()),
                ("foretelling first", "foretelling first", ("alone", read)),
                ("one person's labels", "one person's labels, random start", ()),
                (
                    "foretelling first, one person's labels",
                    "one person's labels, foretelling first",
                    ("one person's labels", read),
                ),
            )
        ),
    ),
    Table(
        "few",
        "From a few clips (HOMAGE, table 5)",
        "Three of the activities are kept out of training; a linear layer learns them from k clips each, on "
        "contexts that "
        "stay as they are.",
        "ccau",
        tuple(
            Row(f"{NAMED[read]}, {name}", arm, read)
            for read in ("ego", "third", "audio", TRIO)
            for arm, name in (("few, alone", "alone"), ("few, cooperative", "cooperative"))
        ),
        ("top1_1", "top1_5", "top1_10", "top1_20", "map_1", "map_5", "map_10", "map_20"),
        "top1_10",
    ),
    Table(
        "muscles",
        "What can you learn from your muscles: transfer",
        "Representations of the head camera, frozen and judged by five target tasks (tables 1, 2 and 4 of the paper). "
        "*trivial* looks at nothing: the commonest class, each pixel's mean.",
        "muscles",
        tuple(
            Row(arm, arm, "targets", () if arm == "random" else ("random", "targets"))
            for arm in (
                *("random", "MoCo", "vis/attn", "vis/move", "vis/move/attn", "ae", "ae/move/attn"),
                *("without torso", "without neck", "without arms", "without legs"),
            )
        ),
        (
            "scene mean_class_top1",
            "action mean_class_top1",
            "dynamics mean_class_top1",
            "walkable walkable_iou",
            "depth depth_rmse_log10",
        ),
        "dynamics mean_class_top1",
    ),
    Table(
        "gaze",
        "Movement from pictures, and from pictures and gaze",
        "Table 3 of the paper: accuracy of movement itself.",
        "muscles",
        (
            Row("pictures", "move", "targets"),
            Row("pictures and gaze", "move from gaze", "targets", ("move", "targets")),
        ),
        ("move_accuracy",),
        "move_accuracy",
    ),
    Table(
        "transformer",
        "Action Transformer beside the I3D head",
        "On true boxes. The I3D head sees the box alone; `interaction` are the classes that take two people, "
        "where context "
        "must decide.",
        "pairs",
        tuple(
            Row(arm, arm, "everybody", () if arm == "I3D head" else ("I3D head", "everybody"))
            for arm in (
                "I3D head",
                "Action Transformer",
                "Action Transformer, no location",
                "Action Transformer, all cells",
            )
        ),
        MAP,
        "map_interaction",
    ),
    Table(
        "graph",
        "HGRNN and what is left without its parts",
        "On true boxes and the same features.",
        "pairs",
        tuple(
            Row(arm, arm, "everybody", () if arm == "HGRNN" else ("HGRNN", "everybody"))
            for arm in (
                "HGRNN",
                "HGRNN, scene only",
                "HGRNN, graph only",
                "HGRNN, neither",
                "HGRNN, one iteration",
                "HGRNN, one second around",
            )
        ),
        MAP,
        "map",
    ),
    Table(
        "tracks",
        "LART: one moment, one track, both",
        "Bodies of two people at home, from the simulator's truth, in 96 homes of twelve participants that "
        "nobody recorded "
        "(motion is a function there, so nothing need be drawn); 2.5 s at 10 Hz.",
        "homes",
        (
            Row("one track, one moment", "one track, one moment", "everybody"),
            Row("one track", "one track", "everybody", ("one track, one moment", "everybody")),
            Row("both tracks", "both tracks", "everybody", ("one track", "everybody")),
        ),
        MAP,
        "map_interaction",
    ),
    Table(
        "worn",
        "LART: a body from ten sensors",
        "The wearer's body from the simulator's truth, and from the ten BNO055 that the wearer wore.",
        "worn",
        (
            Row("truth", "body from truth", "everybody"),
            Row("truth, no place", "body from truth, no place", "everybody", ("body from truth", "everybody")),
            Row("ten sensors", "body from ten sensors", "everybody", ("body from truth, no place", "everybody")),
        ),
        ("map",),
        "map",
    ),
)
