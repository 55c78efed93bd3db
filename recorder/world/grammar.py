"""Activities as sentences of a small seeded grammar.

An activity is a list of phrases; a phrase is a list of atomic steps after which both hands are empty, so that a
session can stop after any of them. Activities share stations, things and verbs, so that neither the background nor
a thing in view tells the activity: what is done with what in which order does. Names follow the American Time Use
Survey's kinds of activity, as HOMAGE's do (Rai et al., CVPR 2021).
"""

from __future__ import annotations

import numpy as np

from recorder.world.plan import rng

# Steps are separated by ";", steps that go on together by "&". Steps: `get thing`, `go role`, `put thing`, `stow`,
# `lay thing in-thing`, `open`, `close`, `look_around`, and the verbs of `gestures`. Roles are stations drawn for
# each activity: A and B have boards, S is soft, C has a cupboard, M hangs before a mirror, T before a television or
# window. "x|y" is a choice. A phrase that begins with "?" is left out half of the time, with "~" it may change
# places with others of the kind.
GRAMMAR: dict[str, tuple[str, ...]] = {
    "make_tea": (
        "get cup; go A; put cup",
        "get kettle; press; pour kettle cup; put kettle",
        "?get spoon; stir spoon cup",
        "get cup; sip cup & watch; drink cup; put cup",
        "~?get bottle; pour bottle cup; put bottle",
        "~?get cloth; go A; wipe cloth",
    ),
    "clean_up": (
        "~get cloth; go A; wipe cloth; wipe cloth; shake cloth",
        "~get bowl|bottle|carton|plate; go B; put bowl|bottle|carton|plate",
        "~get cloth; go B; wipe cloth; bend; dust cloth",
        "?bend",
        "~go C; open; wipe_inside; close",
        "~get book|remote|phone; get cup|spoon; go A",
    ),
    "put_away": (
        "~get carton|bowl|book|bottle|plate; inspect carton|bowl|book|bottle|plate; go C; open; stow; close",
        "~?look_around",
        "~bend; get cup|can|iron; go A; put cup|can|iron",
        "~get book|bowl|cloth|towel; inspect book|bowl|cloth|towel; go B",
        "~get spoon; get knife; go C; open; stow; close",
        "~get shirt|remote|comb; lay shirt|remote|comb basket|suitcase; sort basket|suitcase",
    ),
    "read_book": (
        "get book; inspect book; go S; read book; go A; turn_page book; read book; put book",
        "~get cup; sip cup; put cup",
        "get book; go B; read book; turn_page book; go A; read book; go S; turn_page book",
        "~?press; look_around",
        "~?get phone; dial phone; put phone",
    ),
    "water_plants": (
        "get can; press; pour can plant; put can",
        "~bend; get plant; inspect plant; go A; put plant",
        "~get can; pour can plant; shake can; go B; put can",
        "~?look_around",
        "~get cloth; go plant; wipe cloth",
        "~?get knife; cut knife plant",
    ),
    "blow_dry_hair": (
        "?get towel; go M; rub_hair towel; put towel",
        "get dryer; press; go M; dry_hair dryer; go A; dry_hair dryer; put dryer",
        "get comb; go M; comb comb; put comb",
        "~?touch; look_in",
        "~get dryer; go M; dry_hair dryer & look_in; inspect dryer",
        "~?get towel; fold towel",
    ),
    "comb_hair": (
        "get comb; go M; comb comb & look_in; comb comb; put comb",
        "~?get dryer; go M; dry_hair dryer; put dryer",
        "~look_in; touch; scratch",
        "get comb; inspect comb; go A; comb comb; go M; comb comb",
        "~?get towel; wring towel; rub_hair towel",
    ),
    "do_laundry": (
        "get basket; go A; put basket",
        "get shirt; inspect shirt; lay shirt basket",
        "get towel; shake towel; lay towel basket",
        "go basket; sort basket",
        "~get bottle; go basket; pour bottle basket; put bottle",
        "get shirt; shake shirt; go S; put shirt; fold shirt",
        "~?get cloth; wring cloth; go B; put cloth",
    ),
    "fold_clothes": (
        "get shirt; shake shirt; go S; put shirt; fold shirt",
        "get towel; shake towel; go S; put towel; fold towel",
        "~get shirt; hold_up shirt; lay shirt basket|suitcase",
        "~get blanket; go S; put blanket; fold blanket",
        "~?smooth",
        "~?go basket; sort basket",
    ),
    "iron_clothes": (
        "get shirt; go A; put shirt",
        "get iron; press; press_on iron shirt; press_on iron shirt; put iron",
        "go shirt; fold shirt",
        "get shirt; hold_up shirt; lay shirt basket|suitcase",
        "~get towel; go A; put towel; smooth",
        "~?get bottle; pour bottle iron; put bottle",
    ),
    "eat_dinner": (
        "get plate|bowl; go A; put plate|bowl",
        "get spoon; eat spoon plate|bowl; eat spoon plate|bowl & watch; put spoon",
        "~get cup; sip cup & watch; put cup",
        "~get bread; taste bread; put bread",
        "get spoon; stir spoon plate|bowl; eat spoon plate|bowl",
        "~get cloth; wipe cloth",
        "~?get phone; dial phone; put phone",
    ),
    "cook_meal": (
        "get pan; go A; put pan; press",
        "get bottle|carton; pour bottle|carton pan; put bottle|carton",
        "get spoon; stir spoon pan; taste spoon; stir spoon pan; put spoon",
        "~get knife; cut knife bread; put knife",
        "~get can|carton; season can|carton pan",
        "get pan; shake pan; go B; put pan",
        "~?get cloth; go A; wipe cloth",
    ),
    "make_sandwich": (
        "get plate; get bread; go A; put plate; put bread",
        "get knife; cut knife bread; cut knife bread; spread knife bread; put knife",
        "~get bottle; season bottle bread; put bottle",
        "get bread; lay bread plate",
        "get bread; taste bread & watch; put bread",
        "~?get cloth; wipe cloth",
    ),
    "set_table": (
        "get plate; get cup; go A; put plate; put cup",
        "get spoon; get knife; go A; put spoon; put knife",
        "~get bowl; inspect bowl; go A; put bowl",
        "~get bottle; inspect bottle; go A; put bottle",
        "~get cloth; go A; wipe cloth; fold cloth; smooth",
        "~get bread; go A; put bread",
    ),
    "handwash_dishes": (
        "get basin; go A; put basin",
        "get bottle|kettle; pour bottle|kettle basin; put bottle|kettle",
        "get plate; rinse plate basin; go basin; put plate; get sponge; scrub sponge plate; put sponge",
        "get cup|bowl; rinse cup|bowl basin; get towel|cloth; dry cup|bowl; put cup|bowl",
        "~get spoon|knife; rinse spoon|knife basin; put spoon|knife",
        "~get pan; go basin; put pan; get sponge; scrub sponge pan; rinse sponge basin",
        "~go basin; rub basin",
    ),
    "make_bed": (
        "get pillow; fluff pillow; go S; put pillow",
        "get blanket; shake blanket; go S; put blanket; smooth",
        "go S; tuck; smooth",
        "~get pillow; shake pillow; go S; put pillow",
        "~bend; look_around",
        "~?get book|shirt; go B; put book|shirt",
    ),
    "pack_suitcase": (
        "get suitcase; go S|A; put suitcase",
        "get shirt; fold shirt; lay shirt suitcase",
        "~get towel; inspect towel; lay towel suitcase",
        "~get comb|dryer|book; lay comb|dryer|book suitcase",
        "go suitcase; sort suitcase; look_around",
        "~?get phone; inspect phone; put phone",
    ),
    "unpack_shopping": (
        "get carton; get bottle; go A; put carton; put bottle",
        "get carton; go C; open; stow; close",
        "~get bread; inspect bread; go B; put bread",
        "~get bottle; inspect bottle; go C; open; stow; close",
        "~?bend; press",
        "~get sponge|can; go A; put sponge|can",
    ),
    "get_dressed": (
        "get shirt; hold_up shirt; shake shirt; go M; hold_up shirt & look_in; put shirt",
        "go C; open; look_around; close",
        "~go M; look_in; touch",
        "~?get comb; comb comb",
        "~get shirt|towel; go S; put shirt|towel; fold shirt|towel",
        "~bend; stretch",
    ),
    "watch_tv": (
        "get remote; go T; point remote & watch; put remote",
        "go S; watch; scratch & watch",
        "get cup; go T; sip cup & watch; drink cup & watch; put cup",
        "~get pillow; go S; fluff pillow; put pillow",
        "~get remote; point remote & watch; inspect remote",
        "~?get bread; taste bread & watch",
    ),
    "make_phone_call": (
        "get phone; dial phone; go B & talk_on phone; go A & talk_on phone; put phone",
        "~get phone; inspect phone; tap phone; put phone",
        "get phone; go T; talk_on phone & watch; go S & talk_on phone",
        "~?get cup; sip cup; put cup",
        "~?look_around; scratch",
    ),
    "use_tablet": (
        "get tablet; go S; tap tablet; go B; read tablet; tap tablet; put tablet",
        "~get cup; sip cup; put cup",
        "get tablet; inspect tablet; go A; tap tablet & watch; read tablet",
        "~?get phone; tap phone; put phone",
        "~?press; look_around",
    ),
    "exercise": (
        "go T|M; stretch; go A; squat",
        "~stretch; go B; squat; go T|M; squat",
        "~punch & look_in; go A; swing & watch; go S; bend; look_around",
        "~get bottle; drink bottle; put bottle",
        "~get towel; rub_hair towel; put towel",
        "~?bend; stretch",
    ),
    "wash_face": (
        "get basin; go M|A; put basin",
        "go basin; rub basin; splash; splash",
        "get towel; rub_hair towel; dry towel; put towel",
        "~get comb; comb comb & look_in; put comb",
        "~get sponge; rinse sponge basin; put sponge",
        "~?look_in; touch",
    ),
}
ACTIVITIES: tuple[str, ...] = tuple(GRAMMAR)
# What people do between the phrases of any activity, by the mood they are in: X and Y are stations of this room, O is
# some thing in it. A session has few moods, so that how the body is held in the mean is the day's and not the task's.
ASIDES: dict[str, tuple[str, ...]] = {
    "low": ("crouch", "tie", "lean_on", "look_down", "bend", "get O; crouch; put O"),
    "high": ("clasp", "raise", "look_up", "stretch", "reach_up"),
    "still": ("stand", "cross", "akimbo", "look_around", "go X; stand"),
    "about": ("go X; go Y", "get O; go X; put O", "swing", "go X; shake_out", "get O; go X; go Y; put O"),
    "hands": ("scratch", "touch", "get O; inspect O; put O", "get O; shake O; put O", "knead", "punch"),
}
HABIT = 0.7
"""How often somebody does it the way that is their own."""


def unfold(activity: str, who: str, roles: dict[str, str], random: np.random.Generator) -> list[list[str]]:
    """One sentence of the grammar: stations for roles, choices made, phrases in this person's order.

    Args:
        who: has habits: a choice and an order that are usual for this person.
        roles: role -> station.
    """
    texts = list(GRAMMAR[activity])
    free = [k for k, text in enumerate(texts) if text.startswith("~")]
    order = (rng("order", who, activity) if random.random() < HABIT else random).permutation(len(free))
    shuffled = [texts[free[k]] for k in order]
    for k, text in zip(free, shuffled, strict=True):
        texts[k] = text
    picks: dict[str, str] = {}
    phrases = []
    for text in texts:
        kept = random.random() < 0.5
        if "?" in text and not kept:
            continue
        steps = [" ".join(_pick(word, who, roles, picks, random) for word in step.split()) for step in text.split(";")]
        phrases.append([step.lstrip("~?") for step in steps])
    return phrases


def aside(mood: str, roles: dict[str, str], random: np.random.Generator) -> list[str]:
    """A phrase that belongs to no activity; `roles` says what X, Y and O are."""
    text = str(random.choice(ASIDES[mood]))
    return [" ".join(roles.get(word, word) for word in step.split()) for step in text.split(";")]


def _pick(word: str, who: str, roles: dict[str, str], picks: dict[str, str], random: np.random.Generator) -> str:
    """A word with its choice made, the same choice all through an activity, and its role filled."""
    mark = word[: len(word) - len(word.lstrip("~?"))]
    word = word[len(mark) :]
    if "|" in word and word not in picks:
        choices = word.split("|")
        usual = str(rng("choice", who, word).choice(choices))
        picks[word] = usual if random.random() < HABIT else str(random.choice(choices))
    chosen = picks.get(word, word)
    return mark + roles.get(chosen, chosen)
