"""What other tools' own readers find in what we wrote for them."""

import io
import json

import av
import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from planted import SIZE, all_frames, number_in

from firmware_host.errors import ConfigError, SessionError
from ingest.ask import Ask
from ingest.dataset import Clips, open_dataset
from ingest.export import write
from ingest.export.shards import ASKED
from ingest.labels import table


def test_webdataset_reads_the_same_clips(built, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    document = write(built.out, "webdataset", tmp_path / "shards", split="train", size=64)
    assert document["files"] == ["train-000000.tar"]
    read = list(webdataset.WebDataset(str(tmp_path / "shards" / "train-000000.tar"), shardshuffle=False).decode("rgb8"))
    clips = Clips(built.out, "train", Ask(ASKED, size=64))
    assert len(read) == len(clips)
    for i in (0, len(clips) // 2):
        sample, item = read[i], clips[i]
        assert sample["json"]["session"] == item["session"]
        assert sample["json"]["t_ns"] == int(item["t_ns"])
        for key in ("audio", "imu", "imu_valid", "boxes", "tracks", "graph", "atomic", "activity"):
            np.testing.assert_array_equal(sample[f"{key}.npy"], item[key].numpy())
        for k in range(5):
            assert number_in(sample[f"ego.{k}.jpg"]) == number_in(item["ego"][k].permute(1, 2, 0).numpy())


def test_the_mcap_reader_opens_a_session_and_its_video_decodes(built, sessions, tmp_path):
    reader = pytest.importorskip("mcap.reader")
    document = write(built.out, "mcap", tmp_path / "logs", split="train")
    assert document["files"] == ["s-anna.mcap", "s-ben.mcap"]
    dataset = open_dataset(built.out)
    with (tmp_path / "logs" / "s-anna.mcap").open("rb") as file:
        log = reader.make_reader(file)
        found: dict[str, list] = {}
        for schema, channel, message in log.iter_messages():
            assert schema.encoding == "jsonschema"
            found.setdefault(channel.topic, []).append((message.log_time, json.loads(message.data)))
    t_ns, q = dataset.get("s-anna", "kit-02", "neck.quaternion", 0, 2**62)
    neck = found["/kit-02/neck.quaternion"]
    assert [t for t, _ in neck] == t_ns.tolist()
    np.testing.assert_array_equal(np.float32([[m[c] for c in "wxyz"] for _, m in neck]), q)
    assert {m["value"] for _, m in found["/labels/atomic"]} == {"pour", "hold", "sit"}
    for device, file in (("kit-01", "kit-01.mkv"), ("head", "head.mp4")):
        video = found[f"/{device}/camera"]
        assert [t for t, _ in video] == dataset.frame_times("s-anna", device).tolist()
        import base64

        stream = b"".join(base64.b64decode(m["data"]) for _, m in video)
        with av.open(io.BytesIO(stream), format="h264") as container:
            shown = [number_in(p.to_ndarray(format="rgb24")) for p in container.decode(video=0)]
        assert shown == [number_in(f) for f in all_frames(sessions / "s-anna" / file, SIZE)]
    assert "the sound of head" in " ".join(document["left_out"])


def test_a_lerobot_folder_has_the_documented_schema_and_the_same_content(built, tmp_path):
    out = tmp_path / "lerobot"
    document = write(built.out, "lerobot", out, split="train", fps=10)
    info = json.loads((out / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    episodes = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [e["episode_index"] for e in episodes] == [0, 1]
    assert info["total_frames"] == sum(e["length"] for e in episodes) == episodes[-1]["dataset_to_index"]
    tasks = {r["task_index"]: r["task"] for r in pq.read_table(out / "meta/tasks.parquet").to_pylist()}
    dataset = open_dataset(built.out)
    for episode, session in zip(episodes, ("s-anna", "s-ben"), strict=True):
        where = {"chunk_index": episode["data/chunk_index"], "file_index": episode["data/file_index"]}
        rows = pq.read_table(out / info["data_path"].format(**where), partitioning=None).to_pylist()
        assert [r["frame_index"] for r in rows] == list(range(episode["length"]))
        assert [r["index"] for r in rows] == list(range(episode["dataset_from_index"], episode["dataset_to_index"]))
        for name, feature in info["features"].items():
            if feature["dtype"] == "video":
                film = out / info["video_path"].format(video_key=name, **where)
                with av.open(str(film)) as container:
                    assert container.streams.video[0].average_rate == info["fps"]
                numbers = [number_in(f) for f in all_frames(film, SIZE)]
                assert len(numbers) == episode["length"]
                device = {"observation.images.ego": "head", "observation.images.third": "kit-01"}[name]
                times = dataset.frame_times(session, device)
                first = max(dataset.frame_times(session, d)[0] for d in ("head", "kit-01"))
                at = first + np.arange(len(numbers)) * 10**8
                assert np.abs(times[numbers] - at).max() <= 34_000_000
            else:
                value = rows[3][name]
                assert np.shape(value) == (tuple(feature["shape"]) if isinstance(value, list) else ())
                assert isinstance(value, list) == name.startswith("observation")
        assert {tasks[r["task_index"]] for r in rows} == set(episode["tasks"]) == {"tea", "unlabelled"}
    about = json.loads(pq.read_schema(out / "meta/tasks.parquet").metadata[b"pandas"])
    assert about["index_columns"] == ["task"]  # LeRobot looks a task up by its text
    assert "its sound" in document["left_out"][0]
    assert json.loads((out / "meta/stats.json").read_text())["observation.gaze"]["count"] == [info["total_frames"]]


def test_nothing_is_written_into_what_is_there(built, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SessionError, match="is not empty"):
        write(built.out, "mcap", tmp_path)


def test_a_format_that_nobody_writes_makes_nothing(built, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'webdataset'"):
        write(built.out, "webdatset", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_plain_tables_have_every_stream_with_its_times_and_units(built, sessions, tmp_path, form):
    out = tmp_path / "plain"
    document = write(built.out, form, out, split="train")
    opened = {"csv": pa_csv.read_csv, "parquet": pq.read_table}[form]
    dataset = open_dataset(built.out)
    for stream in (r for s in ("s-anna", "s-ben") for r in dataset.streams(s) if r["kind"] in ("sensor", "video")):
        held = out / stream["session"] / f"{stream['device']}.{stream['name']}.{form}"
        if stream["kind"] == "video":
            rows = opened(out / stream["session"] / f"{stream['device']}.frames.{form}")
            for column, clock in (("t_ns", "reference"), ("t_device_ns", "device")):
                times = dataset.frame_times(stream["session"], stream["device"], clock)
                assert rows[column].to_pylist() == times.tolist()
            continue
        t_ns, x = dataset.get(stream["session"], stream["device"], stream["name"], 0, 2**62)
        rows = opened(held)
        assert rows["t_ns"].to_pylist() == t_ns.tolist()
        np.testing.assert_array_equal(np.float32(np.column_stack([rows[c] for c in rows.column_names[2:]])), x)
    units = {(r["table"], r["column"]): r["unit"] for r in pa_csv.read_csv(out / "columns.csv").to_pylist()}
    assert units["kit-01.thermal.pixels", "row7_column7"] == "degC"
    assert units["kit-01.thermal.pixels", "t_ns"] == "ns"
    path = out / "s-anna" / f"labels.{form}"
    assert {n.value for n in table.read(path)} == {n.value for n in table.read(sessions / "s-anna/labels/truth.csv")}
    if form == "parquet":
        field = pq.read_schema(out / "s-anna" / "kit-01.thermal.pixels.parquet").field("row0_column0")
        assert field.metadata == {b"unit": b"degC"}
    assert len(document["left_out"]) == 1
    assert "of which a table has only the times" in document["left_out"][0]
