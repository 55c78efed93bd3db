"""Activities: what a participant is asked to do, and its place in the American Time Use Survey.

The protocol of HOMAGE (Rai et al., CVPR 2021, appendix A): the instruction is shown as text and names an activity
("make bed") and no steps; the participant begins after the start tone; the end tone sounds when the activity is
over. The kinds of activity were taken from the ATUS. Codes are of the ATUS activity lexicon (bls.gov/tus/lexicons.htm):
two digits each for tier 1, 2 and 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from firmware_host.errors import ConfigError

NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
CODE = re.compile(r"\d{2}(?:\d{2}){0,2}")


@dataclass(frozen=True)
class Activity:
    """Something to do.

    Attributes:
        name: value of the label: small letters, digits and underscores.
        instruction: shown to the participant.
        atus: 2, 4 or 6 digits, None where nobody coded it.
    """

    name: str
    instruction: str
    atus: str | None = None


@dataclass(frozen=True)
class Task:
    """What a recording is of: an activity (None where nobody said), who does it, and whether tones mark it."""

    activity: Activity | None = None
    participant: str | None = None
    place: str | None = None
    tones: bool = False
    duration_s: float | None = None


def _known(*rows: tuple[str, str, str]) -> dict[str, Activity]:
    return {name: Activity(name, instruction, atus) for name, instruction, atus in rows}


ACTIVITIES: dict[str, Activity] = _known(
    # named in the paper
    ("blow_dry_hair", "Blow-dry your hair.", "010201"),
    ("do_laundry", "Do the laundry.", "020102"),
    ("eat_dinner", "Eat dinner.", "110101"),
    ("handwash_dishes", "Wash the dishes by hand.", "020203"),
    ("make_bed", "Make the bed.", "020101"),
    ("pack_suitcase", "Pack the suitcase.", "020902"),
    # of the simulated home
    ("clean_up", "Clean up the room.", "020101"),
    ("make_tea", "Make yourself a cup of tea.", "020201"),
    ("put_away", "Put the things away.", "020104"),
    ("read_book", "Read a book.", "120312"),
    ("water_plants", "Water the plants.", "020501"),
    ("comb_hair", "Comb your hair.", "010201"),
    ("cook_meal", "Cook a meal.", "020201"),
    ("exercise", "Do some exercises.", "130136"),
    ("fold_clothes", "Fold the clothes.", "020102"),
    ("get_dressed", "Get dressed.", "010201"),
    ("iron_clothes", "Iron the clothes.", "020102"),
    ("make_phone_call", "Make a phone call.", "160101"),
    ("make_sandwich", "Make yourself a sandwich.", "020201"),
    ("set_table", "Set the table.", "020202"),
    ("unpack_shopping", "Unpack the shopping.", "020104"),
    ("use_tablet", "Use the tablet.", "120308"),
    ("wash_face", "Wash your face and hands.", "010201"),
    ("watch_tv", "Watch television.", "120303"),
)


def activity(name: str, *, instruction: str | None = None, atus: str | None = None) -> Activity:
    """The activity called `name`; one that is not in `ACTIVITIES` is asked for by its own name.

    Raises:
        ConfigError: a name or code that cannot be one.
    """
    if not NAME.fullmatch(name) or len(name) > 80:
        raise ConfigError(f"'{name}' cannot name an activity; use small letters, digits and underscores: make_bed")
    if atus is not None and not CODE.fullmatch(atus):
        raise ConfigError(f"'{atus}' is no ATUS code; give its 2, 4 or 6 digits, for example 020101")
    known = ACTIVITIES.get(name)
    spoken = name.replace("_", " ")
    return Activity(
        name,
        instruction or (known.instruction if known else f"{spoken[0].upper()}{spoken[1:]}."),
        atus or (known.atus if known else None),
    )
