"""Every format gives back what it was given: to the millisecond, and what it cannot hold it says."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pympi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_labels import WORD, boxes, labels, near, without_overlap

from firmware_host.errors import SessionError
from ingest.labels import ava, boris, boris_events, cvat, elan, homage, table, via
from ingest.labels.label import MILLISECOND_NS, SECOND_NS, Label, Linked, in_order
from recorder import durable

SIZE = (1000, 500)
FRAMES = np.arange(600, dtype=np.int64) * SECOND_NS // 30
few = settings(max_examples=25)


@pytest.fixture(autouse=True, scope="module")
def no_disk():
    """Hundreds of files that nobody needs after a power cut."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(durable, "_sync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@few
@given(every=st.lists(labels(box=None, sure=True), max_size=8), kind=st.sampled_from(["csv", "parquet"]))
def test_tables_to_the_bit(every, kind, folder):
    every = [replace(n, box=tuple(c / 3 for c in n.box), device="head") if n.box else n for n in every]
    every = [replace(n, t0_ns=n.t0_ns + 2**60 + 1, t1_ns=n.t1_ns + 2**60 + 1) for n in every]
    path = folder / f"t.{kind}"
    assert table.write(every, path) == []
    assert table.read(path) == in_order(every)


@few
@given(every=st.lists(labels(moments=False), max_size=10), origin_ms=st.integers(0, 9999))
def test_elan_and_pympi_see_the_same(every, origin_ms, folder):
    path = folder / "t.eaf"
    films = [
        Linked(folder / "head.mp4"),
        Linked(folder / "kit-01.mkv", -origin_ms * MILLISECOND_NS),
        Linked(folder / "x", 1),
    ]
    assert elan.write(every, path, films, {"free": ["a", "b & c"], "g": ["a"]}) == []
    assert near(elan.read(path, "head.mp4"), every)
    later = [n.at(lambda t: t + origin_ms * MILLISECOND_NS) for n in every]
    assert near(elan.read(path, "kit-01.mkv"), later)
    opened = pympi.Eaf(str(path))
    offered = [entries for _, entries, _ in opened.controlled_vocabularies.values()]
    assert [[said[0][0] for said, _ in entries.values()] for entries in offered] == [["a", "b & c"], ["a"]]
    assert len({key for entries in offered for key in entries}) == 3  # an id is one in the whole file
    found = [
        (t0, t1, value)
        for tier in opened.get_tier_names()
        for t0, t1, value in opened.get_annotation_data_for_tier(tier)
    ]
    told = [((n.t0_ns + 500_000) // 1_000_000, (n.t1_ns + 500_000) // 1_000_000, n.value) for n in every]
    assert sorted(found) == sorted(told)
    assert [m.get("TIME_ORIGIN") for m in opened.get_linked_files()] == [None, str(origin_ms) if origin_ms else None]


def test_elan_has_no_overlap_within_a_tier(folder):
    long, short = Label("act", 0, 9 * SECOND_NS, "pour", "p01"), Label("act", SECOND_NS, 2 * SECOND_NS, "look", "p01")
    after, other = replace(short, t0_ns=9 * SECOND_NS, t1_ns=9 * SECOND_NS + 1), replace(short, actor="p02")
    elan.write([long, short, after, other], folder / "o.eaf")
    opened = pympi.Eaf(str(folder / "o.eaf"))
    found = {tier: [v for *_, v in opened.get_annotation_data_for_tier(tier)] for tier in opened.get_tier_names()}
    assert found == {"act@p01": ["pour", "look"], "act@p01 (2)": ["look"], "act@p02": ["look"]}


def test_elan_reads_what_pympi_writes_with_dependent_and_unaligned_annotations(folder):
    eaf = pympi.Eaf()
    eaf.add_linked_file("file:///C:/films/head.mp4", relpath="./head.mp4", mimetype="video/mp4", time_origin=250)
    eaf.add_linguistic_type("words")
    eaf.add_linguistic_type("note", "Symbolic_Association", timealignable=False)
    eaf.add_tier("speech@p01", "words", part="p01")
    eaf.add_tier("comment", "note", parent="speech@p01")
    eaf.add_annotation("speech@p01", 1000, 2500, "hello")
    eaf.add_ref_annotation("comment", "speech@p01", 1200, "loud")
    eaf.to_file(str(folder / "p.eaf"))
    text = (folder / "p.eaf").read_text().replace('TIME_VALUE="2500" />', "/>")
    slot = '<TIME_SLOT TIME_SLOT_ID="ts99" TIME_VALUE="4000" /></TIME_ORDER>'
    (folder / "p.eaf").write_text(text.replace("</TIME_ORDER>", slot))
    assert elan.read(folder / "p.eaf") == [
        Label("comment", 1250 * MILLISECOND_NS, 2750 * MILLISECOND_NS, "loud"),
        Label("speech", 1250 * MILLISECOND_NS, 2750 * MILLISECOND_NS, "hello", "p01"),
    ]


def test_elan_returns_boxes_and_what_was_before_the_film(folder):
    box = Label("person", 0, 9, "person", box=(0, 0, 1, 1))
    early = Label("act", -5, 10, "x")
    odd = Label("act", 0, 10, "a\x00b")
    moment = Label("event", 7_000_000, 7_000_000, "clap")
    assert elan.write([box, early, moment, odd], folder / "e.eaf") == in_order([odd, early, box])
    assert elan.read(folder / "e.eaf") == [replace(moment, t1_ns=8_000_000)]


@few
@given(every=st.lists(labels(box=None, sure=True), max_size=8))
def test_via(every, folder):
    path = folder / "t.json"
    assert via.write(every, path, folder / "head.mp4", SIZE) == []
    assert via.linked(path) == ["head.mp4"]
    assert near(via.read(path, SIZE, "head.mp4"), every)


def test_via_as_its_page_saves_it(folder):
    project = {
        "attribute": {
            "1": {"aname": "act", "anchor_id": "FILE1_Z2_XY0", "type": 2, "options": {"0": "pour", "1": "stir"}},
            "2": {"aname": "thing", "anchor_id": "FILE1_Z1_XY1", "type": 1, "options": {}},
        },
        "file": {"1": {"fid": "1", "fname": "a.mp4"}, "2": {"fid": 2, "fname": "b.mp4"}},
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": [2]}},
        "metadata": {
            "1_x": {"vid": "1", "flg": 0, "z": [1.124, 5.31493], "xy": [], "av": {"1": "0,1"}},
            "2_x": {"vid": "2", "flg": 0, "z": [2.5], "xy": [2, 100, 50, 1000, 100], "av": {"2": "cup"}},
        },
    }
    path = folder / "page.json"
    path.write_text(json.dumps(project))
    acts = [Label("act", 1_124_000_000, 5_314_930_000, v) for v in ("pour", "stir")]
    assert via.read(path, SIZE, "a.mp4") == acts
    cup = Label("thing", 2_500_000_000, 2_500_000_000, "cup", box=(0.1, 0.1, 1.0, 0.3))  # cut at the picture's edge
    assert via.read(path, SIZE, "b.mp4") == [cup]
    with pytest.raises(SessionError, match="2 films"):
        via.read(path, SIZE)
    project["metadata"]["2_x"]["xy"] = [5, 1, 2, 3, 4]
    path.write_text(json.dumps(project))
    with pytest.raises(SessionError, match=r"2_x.*number 5"):
        via.read(path, SIZE, "b.mp4")


@st.composite
def on_frames(draw):
    """A box from one frame to another, or at a moment within one."""
    first = draw(st.integers(0, 590))
    stop = draw(st.integers(first + 1, min(599, first + 40)))
    label = draw(labels(box=True, sure=True))
    return replace(label, t0_ns=int(FRAMES[first]), t1_ns=int(FRAMES[stop]))


@few
@given(every=st.lists(on_frames(), max_size=3))
def test_cvat(every, folder):
    one = {(n.tier, n.value, n.actor, n.confidence): n for n in every}.values()  # a track is in one place at a time
    assert cvat.write(one, folder / "t.xml", FRAMES, SIZE) == []
    assert near(cvat.read(folder / "t.xml", FRAMES), one)
    scaled = cvat.read(folder / "t.xml", FRAMES, (2000, 1000))
    assert [n.box[2] for n in scaled] == pytest.approx([n.box[2] / 2 for n in cvat.read(folder / "t.xml", FRAMES)])


def test_cvat_as_it_exports(folder):
    path = folder / "task.xml"
    path.write_text(
        """<?xml version="1.0"?><annotations><version>1.1</version><meta><task><size>600</size><original_size>
        <width>1000</width><height>500</height></original_size></task></meta><track id="7" label="person">
        <box frame="3" xtl="100" ytl="50" xbr="300" ybr="250" outside="0" occluded="0" keyframe="1"/>
        <box frame="4" xtl="100" ytl="50" xbr="300" ybr="250" outside="0" occluded="0" keyframe="0"/>
        <box frame="5" xtl="200" ytl="50" xbr="400" ybr="250" outside="0" occluded="1" keyframe="1"/>
        <box frame="6" xtl="200" ytl="50" xbr="400" ybr="250" outside="1" occluded="0" keyframe="1"/>
        <box frame="599" xtl="200" ytl="50" xbr="400" ybr="250" outside="0" occluded="0" keyframe="1"/></track>
        <track id="8" label="cup"><box frame="600" xtl="0" ytl="0" xbr="1" ybr="1" outside="0"/></track>
        </annotations>"""
    )
    with pytest.raises(SessionError, match=r"track 8.*frame 600"):
        cvat.read(path, FRAMES)
    path.write_text(path.read_text().replace('frame="600"', 'frame="0"'))
    found = cvat.read(path, FRAMES)
    assert [(n.tier, n.value, n.actor) for n in found] == [("object", "cup", "8"), *[("person", "person", "7")] * 3]
    people = [(n.t0_ns, n.t1_ns) for n in found[1:]]
    last = int(FRAMES[599])
    assert people == [
        (100_000_000, int(FRAMES[5])),
        (int(FRAMES[5]), 200_000_000),
        (last, last + int(np.median(np.diff(FRAMES)))),
    ]
    assert found[1].box == (0.1, 0.1, 0.3, 0.5)
    assert cvat.write([Label("act", 0, 5, "x"), *found], folder / "u.xml", FRAMES, SIZE) == [Label("act", 0, 5, "x")]


@given(st.data())
@few
def test_cvat_between_keyframes_a_box_goes_along_a_line_and_the_last_one_stands_until_the_task_ends(folder, data):
    frames = sorted(data.draw(st.sets(st.integers(0, 60), min_size=1, max_size=4)))
    told = [(frame, data.draw(boxes()), data.draw(st.booleans())) for frame in frames]
    rows = "".join(
        f'<box frame="{frame}" xtl="{1000 * b[0]}" ytl="{500 * b[1]}" xbr="{1000 * b[2]}" ybr="{500 * b[3]}" '
        f'outside="{int(outside)}" keyframe="1"/>'
        for frame, b, outside in told
    )
    (folder / "keys.xml").write_text(
        "<annotations><version>1.1</version><meta><task><stop_frame>70</stop_frame><original_size><width>1000</width>"
        f'<height>500</height></original_size></task></meta><track id="0" label="cup">{rows}</track></annotations>'
    )
    found = cvat.read(folder / "keys.xml", FRAMES)
    ends = [*frames[1:], 71]
    for k in range(75):
        at = [n.box for n in found if n.t0_ns <= FRAMES[k] < n.t1_ns]
        i = max((i for i, frame in enumerate(frames) if frame <= k), default=None)
        if i is None or told[i][2] or k > 70:
            assert at == []
            continue
        after = told[i + 1] if i + 1 < len(told) and not told[i + 1][2] else told[i]
        share = (k - frames[i]) / (ends[i] - frames[i])
        assert len(at) == 1
        assert at[0] == pytest.approx(
            [p + (q - p) * share for p, q in zip(told[i][1], after[1], strict=True)], abs=1e-9
        )


@st.composite
def keyframes(draw):
    """Who is where at some seconds, each once, and what they do around them."""
    every = []
    for second, actor in draw(st.sets(st.tuples(st.integers(1, 900), st.integers(0, 30)), max_size=5)):
        moment = second * SECOND_NS
        every.append(Label("person", moment, moment, "person", str(actor), draw(boxes())))
        for act in draw(st.sets(WORD, min_size=1, max_size=3)):
            every.append(Label("atomic", moment - SECOND_NS // 2, moment + SECOND_NS // 2, act, str(actor)))
    return every


@few
@given(every=keyframes(), late_ns=st.integers(-2, 2))
def test_ava(every, late_ns, folder):
    path = folder / "ava.csv"
    late = [n.at(lambda t: t + late_ns) for n in every]  # as two clock maps round
    assert ava.write(late, path, "head") == []
    if every:
        assert near(ava.read(path, ava.read_map(ava.map_of(path)), "head"), every, 0)


def test_ava_joins_person_boxes_with_what_they_do_and_keeps_what_is_excluded(folder):
    path = folder / "joined.csv"
    box = (0.1, 0, 0.5, 1)
    person = [Label("person", t * SECOND_NS // 2, (t + 1) * SECOND_NS // 2, "person", "ann", box) for t in range(8)]
    pour = Label("atomic", SECOND_NS, 2 * SECOND_NS + 1, "pour", "ann")
    other = Label("atomic", 0, 9 * SECOND_NS, "sleep", "bo")
    drawn = Label("thing done", 2 * SECOND_NS, 3 * SECOND_NS, "wave", "cy", box)
    bad = Label("excluded", 3 * SECOND_NS - 1, 3 * SECOND_NS + 1, "excluded")
    off = Label("person", SECOND_NS + 21_000_000, SECOND_NS + 21_000_000, "person", "ann", box)
    early = Label("person", -5 * SECOND_NS, -4 * SECOND_NS, "person", "ann", box)
    left = ava.write([*person, pour, other, drawn, bad, off, early], path, "head")
    rows = [
        f"head,{s:04d},0.100000,0.000000,0.500000,1.000000,{ids}" for s, ids in ((1, "1,0"), (2, "1,0"), (2, "3,2"))
    ]
    assert path.read_text().split() == rows
    assert ava.read_map(ava.map_of(path)) == {1: "pour", 2: "sleep", 3: "wave"}
    unused = [p for p in person if p.t0_ns not in (SECOND_NS, 2 * SECOND_NS)]
    assert left == in_order([other, *unused, off, early])
    found = ava.read(path, {1: "pour", 3: "wave"}, excluded=ava.excluded_of(path))
    assert [(n.tier, n.value, n.t0_ns / SECOND_NS, n.actor) for n in found] == [
        ("atomic", "pour", 0.5, "0"),
        ("atomic", "pour", 1.5, "0"),
        ("atomic", "wave", 1.5, "2"),
        ("excluded", "excluded", 2.5, None),
        ("person", "person", 1.0, "0"),
        ("person", "person", 2.0, "0"),
        ("person", "person", 2.0, "2"),
    ]


def test_ava_as_published_detections_label_maps_and_what_is_wrong(folder):
    path = folder / "p.csv"
    path.write_text(
        "a,0902,0.1,0.2,0.3,0.4,12,7\na,903,0.1,0.2,0.3,0.4,,0.997\na,903,0,0,1,1,12,0.5\na,903,0,0,1,1,13,0.25\n"
        "b,0904,0,0,1,1,12,-1\na,0905\n"
    )
    (folder / "m.pbtxt").write_text(
        'item {\n  name: "bend/bow (at the waist)"\n  id: 12\n}\nitem { name: "sit" label_id: 13 }\n'
        'label { name: "x" }\n'
    )
    names = ava.read_map(folder / "m.pbtxt")
    whole, second = (0.0, 0.0, 1.0, 1.0), 903 * SECOND_NS
    assert ava.read(path, names, "a") == in_order(
        [
            Label("person", 902 * SECOND_NS, 902 * SECOND_NS, "person", "7", (0.1, 0.2, 0.3, 0.4)),
            Label("atomic", 901_500_000_000, 902_500_000_000, names[12], "7"),
            Label("person", second, second, "person", "903.1", (0.1, 0.2, 0.3, 0.4), 0.997),
            Label("person", second, second, "person", "903.2", whole),
            Label("atomic", 902_500_000_000, 903_500_000_000, names[12], "903.2", None, 0.5),
            Label("atomic", 902_500_000_000, 903_500_000_000, "sit", "903.2", None, 0.25),
        ]
    )
    with pytest.raises(SessionError, match="2 videos"):
        ava.read(path, names)
    with pytest.raises(SessionError, match="line 1: action id 12 is not"):
        ava.read(path, {1: "x"}, "a")
    path.write_bytes(b"a,0902,\xff\n")
    with pytest.raises(SessionError, match="cannot be read as csv"):
        ava.read(path, names)


@few
@given(every=st.lists(labels(), max_size=8))
def test_boris(every, folder):
    path = folder / "t.boris"
    every = without_overlap(every)
    films = [Linked(folder / "head.mp4", 0, 9 * SECOND_NS, 29.97), Linked(folder / "kit-01.mkv", -1_500_000_000)]
    assert boris.write(every, path, films) == []
    assert near(boris.read(path), every)
    assert near(boris.read(path, "kit-01.mkv"), [n.at(lambda t: t + 1_500_000_000) for n in every])
    assert boris.linked(path) == ["head.mp4", "kit-01.mkv"]


def test_boris_returns_what_overlaps_an_equal_label_and_boxes(folder):
    first, second = Label("act", 0, 5 * SECOND_NS, "pour", "p01"), Label("act", SECOND_NS, 2 * SECOND_NS, "pour", "p01")
    other, box = replace(second, actor="p02"), Label("person", 0, 1, "person", box=(0, 0, 1, 1))
    assert boris.write([first, second, other, box], folder / "o.boris") == [second, box]
    assert boris.read(folder / "o.boris") == in_order([first, other])
    project = json.loads((folder / "o.boris").read_text())
    project["observations"]["o"]["events"].pop()
    project["observations"]["o"]["time offset"] = 100.0
    (folder / "o.boris").write_text(json.dumps(project))
    with pytest.raises(SessionError, match=r"'pour' at -100.000 s begins and never ends"):
        boris.read(folder / "o.boris")


TABULAR_OLD = (
    "Observation id\tone\t\t\t\n\t\t\t\t\nPlayer #1\tvideo.mp4\t\t\t\nTime offset (s)\t1.5\t\t\t\n\t\t\t\t\n"
    "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"
    "3.300\tx/video.mp4\t359.9\t25.0\tann\tpour\t\t\tSTART\n4.000\tx/video.mp4\t359.9\t25.0\t\tlook\tgaze\t\tPOINT\n"
    "7.750\tx/video.mp4\t359.9\t25.0\tann\tpour\t\t\tSTOP\n"
)
TABULAR_NEW = (
    "Observation id,Observation type,Source,Time offset (s),Subject,Behavior,Behavioral category,Modifier #1,"
    "Behavior type,Time,Media file name,Comment\n"
    "one,Media file(s),player #1:video.mp4,1.5,ann,pour,,fast,START,3.300,video.mp4,\n"
    "one,Media file(s),player #1:video.mp4,1.5,No focal subject,look,gaze,,POINT,4.000,video.mp4,\n"
    "one,Media file(s),player #1:video.mp4,1.5,ann,pour,,fast,STOP,7.750,video.mp4,\n"
)
AGGREGATED = (
    "Observation id\tMedia file\tTime offset (s)\tSubject\tBehavior\tBehavioral category\tModifiers\tBehavior type\t"
    "Start (s)\tStop (s)\tDuration (s)\n"
    "one\tvideo.mp4\t1.5\tann\tpour\t\tfast\tSTATE\t3.300\t7.750\t4.450\n"
    "one\tvideo.mp4\t1.5\tNo focal subject\tlook\tgaze\t\tPOINT\t4.000\t4.000\tNA\n"
)


@pytest.mark.parametrize(
    ("text", "suffix", "value"),
    [(TABULAR_OLD, "tsv", "pour"), (TABULAR_NEW, "csv", "pour: fast"), (AGGREGATED, "tsv", "pour: fast")],
)
def test_both_of_boris_tables_are_told_apart_and_say_the_same(text, suffix, value, folder):
    path = folder / f"events.{suffix}"
    path.write_text(text)
    assert boris.read(path) == [
        Label("behavior", 1_800_000_000, 6_250_000_000, value, "ann"),
        Label("gaze", 2_500_000_000, 2_500_000_000, "look"),
    ]
    assert boris.linked(path) == ["video.mp4"]


def test_a_table_that_is_not_boris_or_of_several_observations_is_refused(folder):
    path = folder / "no.tsv"
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(SessionError, match="neither tabular nor aggregated"):
        boris_events.read(path)
    path.write_text(AGGREGATED + AGGREGATED.split("\n")[1].replace("one", "two", 1) + "\n")
    with pytest.raises(SessionError, match="2 observations"):
        boris_events.read(path)


@st.composite
def acted(draw):
    first = draw(st.integers(0, 590))
    stop = draw(st.integers(first + 1, 599))
    return Label("atomic", int(FRAMES[first]), int(FRAMES[stop]), draw(WORD), "p0030")


@few
@given(every=st.lists(acted(), max_size=6, unique=True), activity=WORD)
def test_homage_lists_and_actions(every, activity, folder):
    end = homage.end_ns(FRAMES, 599)
    whole = Label("activity", 0, end, activity, "p0030")
    with tempfile.TemporaryDirectory(dir=folder) as root:
        homage.write([replace(whole, value="another")], Path(root), "p0030_r003_a002", FRAMES)
        homage.write([whole], Path(root), "p0001_r001_a001", FRAMES, "test")
        assert homage.write([whole, *every], Path(root), "p0030_r003_a002", FRAMES) == []
        assert near(homage.read(Path(root), "p0030_r003_a002", FRAMES), [whole, *every], 0)
        lists = (Path(root) / homage.LISTS / "train_list.csv").read_text().splitlines()
        assert len(lists) == 1


@st.composite
def graphed(draw):
    """An action, and at some of its sampled frames in what relations the person is, with boxes of both."""
    first = draw(st.integers(0, 500))
    stop = draw(st.integers(first + 6, 599))
    act = Label("atomic", int(FRAMES[first]), int(FRAMES[stop]), draw(WORD), "p0030")
    count = homage.LONG_SAMPLES if act.t1_ns - act.t0_ns >= homage.LONG_NS else homage.SHORT_SAMPLES
    every = [act]
    for frame in draw(st.sets(st.sampled_from(homage.sampled(first, stop - 1, count)), max_size=3)):
        span = int(FRAMES[frame]), int(FRAMES[frame + 1])
        every.append(Label("person", *span, "person", "p0030", draw(boxes())))
        for thing in draw(st.sets(st.sampled_from(["cup", "tea pot, old", 'a "b"']), min_size=1)):
            every.append(Label("object", *span, thing, None, draw(boxes())))
            every.append(Label("relation", *span, f"{draw(st.sampled_from(['on', 'in front of']))}:{thing}", "p0030"))
    return every


@few
@given(every=graphed())
def test_homage_scene_graphs(every, folder):
    with tempfile.TemporaryDirectory(dir=folder) as root:
        assert homage.write(every, Path(root), "p0030_r003_a002", FRAMES) == []
        assert near(homage.read(Path(root), "p0030_r003_a002", FRAMES), every, 0)


def test_homage_splits_as_the_public_code_writes_them(tmp_path):
    views = ["/data/frame/p0030/p0030_r003_v000_a002", "/data/frame/p0030/p0030_r003_v002_a002"]

    def row(first: int, last: int, label: str) -> str:
        return ",".join(f"{view},{first},{last},{label}" for view in views) + "\n"

    (tmp_path / "train_split.csv").write_text(row(0, 599, "make_bed"))
    (tmp_path / "train_split_atomic.csv").write_text(row(3, 8, "hold_pillow") + row(20, 20, "let_go"))
    (tmp_path / "val_split_atomic.csv").write_text(row(1, 2, "other").replace("_r003", "_r004"))
    found = homage.read(tmp_path, "p0030_r003_a002", FRAMES)
    assert [(n.tier, n.value, n.t0_ns, n.t1_ns) for n in found] == [
        ("activity", "make_bed", 0, homage.end_ns(FRAMES, 599)),
        ("atomic", "hold_pillow", FRAMES[3], FRAMES[9]),
        ("atomic", "let_go", FRAMES[20], FRAMES[21]),
    ]
    (tmp_path / "train_split.csv").write_text("nonsense,0,1,x\n")
    with pytest.raises(SessionError, match=r"train_split.csv: .* take the folder as it was published"):
        homage.read(tmp_path, "p0030_r003_a002", FRAMES)


def test_homage_samples_three_frames_of_a_short_action_and_five_of_a_long_one(folder):
    cup, ann = (0.4, 0.4, 0.5, 0.5), (0.1, 0.0, 0.6, 1.0)
    long_, short = (
        Label("atomic", 0, int(FRAMES[100]), "drink", "p1"),
        Label("atomic", int(FRAMES[200]), int(FRAMES[230]), "sip", "p1"),
    )
    everything = [
        long_,
        short,
        Label("relation", 0, int(FRAMES[50]), "holding:cup", "p1"),
        Label("relation", int(FRAMES[200]), int(FRAMES[599]), "looking at:washing machine", "p1"),
        Label("relation", int(FRAMES[300]), int(FRAMES[310]), "on:table", "p1"),
        Label("object", 0, int(FRAMES[599]), "cup", None, cup),
        Label("person", 0, int(FRAMES[599]), "person", "p1", ann),
    ]
    left = homage.write(everything, folder, "p1_r1_a1", FRAMES)
    assert left == [everything[4]]
    found = homage.read(folder, "p1_r1_a1", FRAMES)
    relations = [(n.value, int(np.searchsorted(FRAMES, n.t0_ns))) for n in found if n.tier == "relation"]
    assert relations == [
        ("holding:cup", 10),
        ("holding:cup", 30),
        *(("looking at:washing machine", f) for f in (205, 215, 225)),
    ]
    assert {n.box for n in found if n.tier == "object"} == {cup}
    assert {n.actor for n in found if n.tier == "person"} == {"p1"}
    assert homage.sampled(0, 99, 5) == [10, 30, 50, 70, 90]
    with pytest.raises(SessionError, match="says nothing of p9"):
        homage.read(folder, "p9_r1_a1", FRAMES)
    (folder / homage.ACTIONS / "p1" / "p1_r1_a1__aa.json").write_text(
        '[{"frame_start": 5, "frame_end": 600, "class": "x"}]'
    )
    with pytest.raises(SessionError, match="frames 5 to 600 are not in the film of 600"):
        homage.read(folder, "p1_r1_a1", FRAMES)
