"""Labels of a session on several clocks, out and in again through the commands."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from made_labels import labels, near, without_overlap
from planted import BODY, FPS, HEAD, SECOND, SIZE, T0, encoded, painted

import syncctl
from firmware_host.clockmap import ClockMap
from firmware_host.errors import ConfigError, SessionError
from ingest.ego import open_aligned
from ingest.labels import exchange, table, words
from ingest.labels.exchange import Asked
from ingest.labels.film import film_of, span_ns
from ingest.labels.label import Label
from recorder import durable
from recorder.mux import MatroskaWriter, RowTrack, write_mp4
from recorder.pack import frame_row
from recorder.session import Device, Session, Stream
from sync.alignment import Alignment

LATE_NS = 40_000_000
SECONDS = 4


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """A kit whose camera is 40 ms late, a head camera, glasses with a table of frame times, a camera nobody aligned."""
    folder = tmp_path_factory.mktemp("session") / "s1"
    (folder / "labels").mkdir(parents=True)
    frames = list(encoded(SECONDS * 15, 15, T0 + 100_000_000))
    writer = MatroskaWriter(
        folder / "kit-01.mkv", [RowTrack("camera.timing", 15, 3, {})], first_frame=frames[0], fps=15
    )
    for frame in frames:
        writer.video(frame, frame.t_ns - T0)
        writer.rows("camera.timing", np.array([frame_row(frame.t_ns - frames[0].t_ns)], np.int32))
    writer.close()
    for name in ("head", "eye", "stray"):
        write_mp4(folder / f"{name}.mp4", (painted(n) for n in range(SECONDS * FPS)), fps=FPS, size=SIZE)
    told = np.arange(SECONDS * FPS, dtype=np.int64) * SECOND // FPS
    np.savez(folder / "eye.npz", t_ns=told + np.arange(SECONDS * FPS) * 1_000_000 + 7_000_000)  # a ms later each frame
    kit = (
        Stream("camera", "video", frames[0].t_ns, 15, size=SIZE, latency_ns=LATE_NS, latency_sigma_ns=1),
        Stream("camera.timing", "timing", frames[0].t_ns, 15),
        Stream("thermal.pixels", "sensor", T0, 480, "thermal", "amg8833", 8),
    )
    film = (Stream("camera", "video", 0, FPS, size=SIZE),)
    devices = (
        Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", kit),
        Device("head", "gopro", "ego", "head", "head.mp4", film, wearer="p01"),
        Device("eye", "eye_tracker", "eye", "eye", "eye.mp4", film, settings={"camera": {"frame_times": "eye.npz"}}),
        Device("stray", "media", "third", "stray", "stray.mp4", film),
    )
    Session(folder, "s1", devices, ("p01",), sealed=True).save()
    eye = ClockMap.affine("eye", "kit-01", origin_ns=0, target_ns=T0, skew_ppm=100.0)
    Alignment("kit-01", (HEAD, eye, BODY), (), ()).save(folder)
    return folder


@pytest.fixture
def session(recorded, tmp_path) -> Path:
    """The same with labels of its own and media that are linked."""
    folder = tmp_path / "s1"
    folder.mkdir()
    for path in recorded.iterdir():
        if path.is_file():
            (folder / path.name).hardlink_to(path)
    (folder / "labels").mkdir()
    table.write(GIVEN, folder / "labels" / "mine.csv")
    return folder


GIVEN = [
    Label("activity", T0 + SECOND, T0 + 3 * SECOND, "tea", "p01"),
    Label("atomic", T0 + 1_111_111_111, T0 + 2_222_222_222, "pour", "p01"),
    Label("atomic", T0 + 1_500_000_000, T0 + 2_000_000_001, "hold cup", "p01"),
    Label("person", T0 + SECOND, T0 + 3 * SECOND, "person", "p01", (0.25, 0.0, 0.5, 1.0), device="kit-01"),
]


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(syncctl.cli, [*map(str, arguments)], standalone_mode=False)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_films_time_is_its_containers_put_through_shutter_table_and_map(recorded):
    aligned = open_aligned(recorded)
    kit, head, eye = (film_of(aligned, n) for n in ("kit-01", "head.mp4", "eye"))
    # The kit's first picture is shown 100 ms after tick 0 and shows what was 40 ms before its stamp.
    assert kit.frames_ns[0] == 100_000_000
    assert kit.reference_ns(100_000_000) == T0 + 100_000_000 - LATE_NS
    assert head.reference_ns(2 * SECOND) == HEAD.forward(2 * SECOND)
    # Halfway between two frames whose times are in a table the film's time is halfway between theirs.
    shown = eye.frames_ns
    for k in (0, 30, 80):
        assert eye.reference_ns(int(shown[k])) == pytest.approx(
            T0 + (shown[k] + 7_000_000 + k * 1_000_000) * 1.0001, abs=3
        )
    between = int(shown[30] + shown[31]) // 2
    assert eye.reference_ns(between) == pytest.approx(T0 + (between + 37_500_000) * 1.0001, abs=500)
    for film in (kit, head, eye):
        for t in (-SECOND, 0, 1_234_567_890, 90 * SECOND):
            assert film.film_ns(film.reference_ns(t)) == pytest.approx(t, abs=2)
    with pytest.raises(SessionError, match="stray is left out: it has no place"):
        film_of(aligned, "stray")
    with pytest.raises(SessionError, match="unknown film 'heda'; did you mean 'head'"):
        film_of(aligned, "heda")
    first, last = span_ns(aligned)
    assert first == T0
    assert last == pytest.approx(HEAD.forward(SECONDS * SECOND), abs=2_000_000)


@pytest.mark.parametrize("film", ["kit-01", "head", "eye"])
@pytest.mark.parametrize(("kind", "suffix"), [("elan", "eaf"), ("via", "json"), ("boris", "boris"), ("csv", "csv")])
def test_out_and_in_again_is_the_same_to_the_millisecond(session, film, kind, suffix, tmp_path):
    out = tmp_path / f"back.{suffix}"
    run(
        "labels",
        "export",
        session,
        "--format",
        kind,
        "--film",
        film,
        "--out",
        out,
        "--tier",
        "activity",
        "--tier",
        "atomic",
    )
    (session / "labels" / "mine.csv").unlink()
    again = ["--film", film] if kind == "csv" else []  # the others link it
    code, said, _ = run("labels", "import", out, session, "--format", kind, *again, "--json")
    document = json.loads(said)
    assert code == 0
    assert document["zero"].split(".")[0] == film
    found = table.read(session / "labels" / "back.csv")
    assert [(n.tier, n.value, n.actor) for n in found] == [(n.tier, n.value, n.actor) for n in GIVEN[:3]]
    for one, expected in zip(found, GIVEN, strict=False):
        assert abs(one.t0_ns - expected.t0_ns) <= 1_000_000
        assert abs(one.t1_ns - expected.t1_ns) <= 1_000_000


def test_boxes_go_to_cvat_in_the_pictures_they_are_in(session, tmp_path):
    out = tmp_path / "task.xml"
    _, _, notes = run("labels", "export", session, "--format", "cvat", "--film", "kit-01", "--out", out)
    assert "not written: cvat has no place for them: activity 'tea' of p01 and 2 more" in notes
    run("labels", "import", out, session, "--film", "kit-01", "--name", "drawn", "--replace")
    found = table.read(session / "labels" / "drawn.csv")
    assert [(n.device, n.box, n.actor) for n in found] == [("kit-01", (0.25, 0.0, 0.5, 1.0), "p01")]
    assert abs(found[0].t0_ns - GIVEN[3].t0_ns) <= SECOND // 15  # from a frame on
    _, _, notes = run("labels", "export", session, "--format", "via", "--film", "head", "--out", tmp_path / "v.json")
    assert "not written: via has no place for them: person 'person' of p01 and 1 more" in notes


def test_ava_and_homage_through_the_commands(session, tmp_path):
    out = tmp_path / "ava.csv"
    run("labels", "export", session, "--format", "ava", "--film", "kit-01", "--out", out)
    # Seconds of the film are 40 ms late against the clock: second 1 is before the label begins.
    assert [row[:2] for row in csv.reader(out.open())] == [["kit-01", "0002"]] * 2
    run("labels", "import", out, session, "--format", "ava", "--film", "kit-01", "--name", "ava")
    found = table.read(session / "labels" / "ava.csv")
    assert [(n.tier, n.value, n.device) for n in found] == [
        ("atomic", "hold cup", None),
        ("atomic", "pour", None),
        ("person", "person", "kit-01"),
    ]
    assert found[2].t0_ns == T0 + 2 * SECOND - LATE_NS
    folders = tmp_path / "homage"
    video = ("--video", "p01_r001_a001")
    run("labels", "export", session, "--format", "homage", "--film", "head", "--out", folders, "--from", "mine", *video)
    run("labels", "import", folders, session, "--format", "homage", "--film", "head", "--name", "h", *video)
    found = table.read(session / "labels" / "h.csv")
    assert [(n.tier, n.value) for n in found] == [("activity", "tea"), ("atomic", "pour"), ("atomic", "hold cup")]
    assert found[0].t0_ns == HEAD.forward(0)  # an activity is what the whole film is of
    assert abs(found[1].t1_ns - GIVEN[1].t1_ns) <= SECOND // FPS // 2 + 1


def test_a_file_that_links_no_film_of_the_session_needs_one_named(session, tmp_path):
    run("labels", "export", session, "--format", "elan", "--film", "head", "--out", tmp_path / "a.eaf")
    text = (tmp_path / "a.eaf").read_text()
    (tmp_path / "a.eaf").write_text(text.replace("head.mp4", "proxy.mp4").replace("kit-01.mkv", "p.mkv"))
    (tmp_path / "a.eaf").write_text((tmp_path / "a.eaf").read_text().replace("eye.mp4", "q.mp4"))
    with pytest.raises(SessionError, match=r"a.eaf links none of .*--film takes one of eye.mp4, head.mp4, kit-01.mkv"):
        run("labels", "import", tmp_path / "a.eaf", session)
    run("labels", "import", tmp_path / "a.eaf", session, "--film", "head")
    assert len(table.read(session / "labels" / "a.csv")) == 0  # all of them are in mine.csv already


def test_a_copy_for_a_player_may_have_another_suffix(session, tmp_path):
    out = tmp_path / "a.eaf"
    run("labels", "export", session, "--format", "elan", "--film", "kit-01", "--out", out)
    out.write_text(out.read_text().replace("kit-01.mkv", "kit-01.mp4"))
    aligned = open_aligned(session)
    assert exchange.bring(out, aligned, Asked("elan"), "mine", None).zero == "kit-01.mkv"


def test_what_is_outside_unknown_or_there_already_is_named_refused_or_left_out(session, tmp_path):
    path = tmp_path / "new.csv"
    extra = [Label("activity", T0 - 9 * SECOND, T0 - 8 * SECOND, "tea"), Label("activity", T0, T0 + 5, "cofee")]
    table.write([*GIVEN, *extra, Label("note", T0, T0, "free text")], path)
    words_file = tmp_path / "words.json"
    run("labels", "vocabulary", session, "--tier", "activity", "--out", words_file)
    words.Vocabulary({"activity": ("coffee", "tea")}, 2).save(words_file)
    with pytest.raises(
        SessionError, match=r"new.csv: unknown value of tier 'activity' 'cofee'; did you mean 'coffee'\?"
    ):
        run("labels", "import", path, session, "--vocabulary", words_file)
    with pytest.raises(ConfigError, match="holds activity 'tea', of which no part was recorded"):
        run("labels", "import", path, session)
    _, said, notes = run("labels", "import", path, session, "--vocabulary", words_file, "--skip", "--json")
    assert json.loads(said)["left_out"] == {"unknown": 1, "outside": 1, "doubled": 4}
    assert "left out, in another label file already: activity 'tea' of p01 and 3 more" in notes
    assert [n.value for n in table.read(session / "labels" / "new.csv")] == ["free text"]
    assert words.of_folder(session / "labels").version == 2
    with pytest.raises(ConfigError, match="is there already; give --replace"):
        run("labels", "import", path, session, "--skip")
    with pytest.raises(ConfigError, match=r"'../x', which is no plain name"):
        run("labels", "import", path, session, "--skip", "--name", "../x")
    table.write(extra, session / "labels" / "later.csv")
    with pytest.raises(SessionError, match=r"later.csv: unknown value .*'cofee'"):
        table.read_labels(session / "labels", "s1")


@pytest.mark.parametrize(("kind", "suffix"), [("elan", "eaf"), ("boris", "boris"), ("via", "json"), ("cvat", "xml")])
def test_a_session_without_labels_is_handed_out_to_begin_on(session, tmp_path, kind, suffix):
    (session / "labels" / "mine.csv").unlink()
    out = tmp_path / f"new.{suffix}"
    code, said, notes = run("labels", "export", session, "--format", kind, "--film", "head", "--out", out)
    assert (code, notes) == (0, "")
    assert "0 labels" in said
    assert exchange.bring(out, open_aligned(session), Asked(kind, "head"), "x", None).labels == []
    with pytest.raises(SessionError, match="has no such labels"):
        run("labels", "export", session, "--format", kind, "--film", "head", "--out", out, "--tier", "activity")


def test_the_suffix_says_what_a_file_is_or_it_must_be_said(session, tmp_path):
    assert [exchange.format_of(Path(n)) for n in ("a.eaf", "b.XML", "c.boris", "d.csv")] == [
        "elan",
        "cvat",
        "boris",
        "csv",
    ]
    with pytest.raises(ConfigError, match="give --format"):
        exchange.format_of(tmp_path / "a.doc")
    with pytest.raises(SessionError, match="which film's time is meant"):
        run("labels", "export", session, "--format", "via", "--out", tmp_path / "v.json")


@pytest.fixture(scope="module")
def opened_films(recorded):
    """The session's clocks, read once: each film, and what finds it again."""
    aligned = open_aligned(recorded)
    films = {name: film_of(aligned, name) for name in ("kit-01", "head", "eye")}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exchange.film, "film_of", lambda _, name: films[name.split(".")[0]])
        patched.setattr(exchange.film, "films", lambda _: list(films.values()))
        patched.setattr(durable, "_sync", lambda _: None)
        yield aligned


@settings(max_examples=15)
@given(
    every=st.lists(labels(), max_size=6),
    kind=st.sampled_from(["elan", "via", "boris", "csv", "parquet"]),
    film=st.sampled_from(["kit-01", "head", "eye"]),
)
def test_any_labels_come_back_on_the_reference_clock_to_the_millisecond(every, kind, film, opened_films):
    begin_ns = opened_films.alignment.to_reference("head").forward(0) + SECOND  # by then every film had begun
    given_ = without_overlap(n.at(lambda t: t + begin_ns) for n in every)
    given_ = [n for n in given_ if kind != "elan" or n.t1_ns > n.t0_ns]  # a moment becomes a millisecond there
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / {"boris": "labels.boris"}.get(kind, f"labels.{kind}")
        assert exchange.hand_out(given_, out, opened_films, Asked(kind, film)) == []
        back = exchange.read(out, Asked(kind, film), opened_films)[0]
        assert near(back, given_)


LOOP = """<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a" ANNOTATION_REF="b"/></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b" ANNOTATION_REF="a"/></ANNOTATION>"""
NOWHERE = """<ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a" TIME_SLOT_REF1="x" TIME_SLOT_REF2="y"/></ANNOTATION>"""


@pytest.mark.parametrize("text", [LOOP, NOWHERE], ids=["loop", "nowhere"])
def test_annotations_that_hang_on_nothing_are_one_sentence(session, tmp_path, text):
    path = tmp_path / "odd.eaf"
    run("labels", "export", session, "--format", "elan", "--film", "head", "--out", path)
    whole = path.read_text()
    path.write_text(whole.replace("</ANNOTATION_DOCUMENT>", f'<TIER TIER_ID="t">{text}</TIER></ANNOTATION_DOCUMENT>'))
    with pytest.raises(SessionError, match=r"odd\.eaf cannot be read as 'elan'"):
        run("labels", "import", path, session)
