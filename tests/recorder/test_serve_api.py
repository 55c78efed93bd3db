"""The API under use and abuse: the right status code, and nothing that was not asked for."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from fake_recorder import recorder
from starlette.testclient import TestClient

from firmware_host.errors import ConfigError
from recorder.serve.app import make_app
from recorder.serve.guard import Access, is_ours, own_names, read_token
from recorder.serve.host import DiskMinutes, Host
from recorder.serve.keeper import Keeper

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Served:
    """A kit and its API, with a recorder that answers at once."""

    def __init__(self, root: Path, kind: str = "quick", token: str | None = TOKEN, private: bool = False) -> None:
        self.keeper = Keeper(root, kind)  # type: ignore[arg-type]
        access = Access(token, private=private)
        app = make_app(self.keeper, access, Host(root), kit="kit-01", names=own_names())
        self.client = TestClient(app, base_url="http://127.0.0.1:8600")

    def post(self, path: str, body: dict | None = None, token: str | None = TOKEN, **headers: str) -> int:
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self.answer = self.client.post(path, json=body or {}, headers=headers)
        return self.answer.status_code

    def until(self, state: str) -> None:
        deadline = time.monotonic() + 20
        while self.keeper.state.name != state:
            assert time.monotonic() < deadline, f"the kit is {self.keeper.state.name}, not {state}"
            time.sleep(0.01)


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.serve.keeper.child", recorder)


@pytest.fixture
def make(tmp_path: Path) -> Iterator:
    served: list[Served] = []

    def made(*args, **kwargs) -> Served:
        served.append(Served(tmp_path, *args, **kwargs))
        return served[-1]

    yield made
    for each in served:
        each.keeper.close()


@pytest.fixture
def kit(make) -> Served:
    return make()


def test_a_recording_from_arming_to_download(kit: Served):
    assert kit.client.get("/status").json()["state"] == "idle"
    assert kit.post("/arm") == 202
    kit.until("armed")
    assert kit.post("/arm") == 202, "arming twice is arming once"
    order = {"session": "first", "activity": "make_bed", "participant": "p01", "tones": True}
    assert kit.post("/start", order) == 202
    kit.until("recording")
    now = kit.client.get("/status").json()
    assert (now["session"], now["instruction"]) == ("first", "Make the bed.")
    assert kit.post("/event", {"text": "the door bell"}) == 202
    assert kit.post("/stop") == 202
    kit.until("idle")
    (session,) = kit.client.get("/sessions").json()["sessions"]
    assert session["name"] == "first"
    path = "/sessions/first/files/kit-01.mkv"
    whole = kit.client.get(path)
    assert whole.status_code == 200
    part = kit.client.get(path, headers={"Range": "bytes=250-259"})
    assert (part.status_code, part.content) == (206, whole.content[250:260])
    assert kit.client.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416
    import hashlib

    wanted = hashlib.sha256(whole.content).hexdigest()
    assert kit.client.get("/sessions/first/sha256/kit-01.mkv").json()["sha256"] == wanted


def test_a_kit_that_is_not_armed_is_armed_by_starting_it(kit: Served):
    assert kit.post("/start", {"session": "first"}) == 202
    kit.until("recording")


def test_starting_twice_conflicts_unless_it_is_the_same_order(kit: Served):
    assert kit.post("/start", {"session": "first"}) == 202
    kit.until("recording")
    assert kit.post("/start", {"session": "first"}) == 202, "the same order again is the same recording"
    assert kit.post("/start", {"session": "second"}) == 409
    assert kit.post("/start") == 409
    assert kit.post("/arm") == 409
    assert kit.keeper.state.name == "recording"


def test_stopping_twice_conflicts_unless_it_names_what_was_stopped(kit: Served):
    assert kit.post("/stop") == 409
    kit.post("/start", {"session": "first"})
    kit.until("recording")
    assert kit.post("/stop", {"session": "other"}) == 409
    assert kit.post("/stop") == 202
    kit.until("idle")
    assert kit.post("/stop") == 409
    assert kit.post("/stop", {"session": "first"}) == 202


def test_stopping_while_arming_gives_the_kit_back(make):
    kit = make("slow")
    kit.post("/arm")
    assert kit.keeper.state.name == "arming"
    assert kit.post("/event") == 409
    assert kit.post("/stop") == 202
    kit.until("idle")
    assert kit.keeper.state.error is None


def test_a_name_that_is_taken_conflicts(kit: Served, tmp_path: Path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "session.json").write_text("{}")
    assert kit.post("/start", {"session": "first"}) == 409


def test_a_missing_stream_stands_in_the_way_until_it_is_allowed(make):
    kit = make("deaf")
    kit.post("/arm")
    kit.until("armed")
    assert kit.post("/start") == 409
    assert "bno055" in kit.answer.json()["error"]
    assert kit.post("/start", {"allow_missing": True}) == 202


def test_a_recorder_that_dies_is_told_and_the_kit_can_be_used_again(make):
    kit = make("crash")
    kit.post("/arm")
    kit.until("idle")
    assert "status 3" in kit.client.get("/status").json()["error"]
    assert kit.post("/arm") == 202


@pytest.mark.parametrize("path", ["/arm", "/start", "/stop", "/event", "/unlock"])
@pytest.mark.parametrize(
    "token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "Bearer", "ünïcödé".encode().decode("latin-1")]
)
def test_nothing_is_steered_without_the_token(kit: Served, path: str, token: str | None):
    headers = {"Authorization": f"Bearer {token}".encode("latin-1")} if token is not None else {}
    assert kit.client.post(path, json={}, headers=headers).status_code == 401
    assert kit.keeper.state.name == "idle"


def test_a_token_in_the_address_is_no_token(kit: Served):
    assert kit.client.post(f"/arm?token={TOKEN}").status_code == 401


def test_a_kit_without_a_token_can_only_be_watched(make):
    kit = make(token=None)
    for token in (None, "", "None"):
        assert kit.post("/arm", token=token) == 403
    assert kit.client.get("/status").status_code == 200


@pytest.mark.parametrize("path", ["/arm", "/start", "/nowhere"])
def test_ten_megabytes_are_refused_and_not_kept(kit: Served, path: str):
    answer = kit.client.post(path, content=b"x" * 10_000_000, headers={**BEARER, "content-type": "application/json"})
    assert answer.status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(160):
            yield b"x" * 65536

    assert kit.client.post(path, content=parts(), headers=BEARER).status_code == 413


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1, 2]", "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"session": "x"}', "text/plain", 415),
        (b"session=x", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(kit: Served, content: bytes, kind: str, status: int):
    answer = kit.client.post("/start", content=content, headers={**BEARER, "content-type": kind})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "order",
    [
        {"sesion": "x"},
        {"session": "../outside"},
        {"session": ".hidden"},
        {"session": "a/b"},
        {"session": "x" * 200},
        {"session": 7},
        {"activity": "make bed; rm -rf"},
        {"activity": "make_bed", "atus": "x"},
        {"participant": "p\n01"},
        {"tones": "yes"},
        {"at_ns": 1},
        {"at_ns": True},
        {"duration_s": -1},
        {"duration_s": float("1e400")},
    ],
)
def test_an_order_that_cannot_be_is_refused_in_one_sentence(kit: Served, order: dict):
    content = json.dumps(order)
    answer = kit.client.post("/start", content=content, headers={**BEARER, "content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]
    assert kit.keeper.state.name == "idle"


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/%2e%2e",
        "/sessions/%2e%2e/files/secret.txt",
        "/sessions/first/files/../../secret.txt",
        "/sessions/first/files/..%2f..%2fsecret.txt",
        "/sessions/first/files/%2e%2e/%2e%2e/secret.txt",
        "/sessions/first/files//etc/passwd",
        "/sessions/first/files/%2fetc%2fpasswd",
        "/sessions/first/files/.hidden",
        "/sessions/first/files/link",
        "/sessions/first/files/folder",
        "/sessions/first/files/kit-01.mkv%00",
        "/sessions/first/files/..%5csecret.txt",
        "/sessions/first/sha256/..%2f..%2fsecret.txt",
        "/sessions/plain/files/x",
    ],
)
def test_no_path_leads_out_of_a_session(tmp_path: Path, path: str):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "root" / "first" / "folder").mkdir(parents=True)
    (tmp_path / "root" / "plain").mkdir()
    (tmp_path / "root" / "plain" / "x").write_text("secret")
    (tmp_path / "root" / "first" / "session.json").write_text("{}")
    (tmp_path / "root" / "first" / ".hidden").write_text("secret")
    (tmp_path / "root" / "first" / "link").symlink_to(tmp_path / "secret.txt")
    served = Served(tmp_path / "root")
    answer = served.client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "", "localhost.evil:80"]
)
def test_a_page_whose_name_was_bent_to_this_kit_is_refused(kit: Served, host: str):
    assert kit.client.get("/status", headers={"Host": host}).status_code == 421


def test_the_kits_own_names_and_addresses_are_known():
    names = own_names(["kitchen.lan"])
    for host in ("localhost", "localhost:8600", "127.0.0.1:8600", "[::1]:8600", "192.168.1.9", "kitchen.lan:80"):
        assert is_ours(host, names), host


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_page_cannot_steer(kit: Served, headers: dict):
    assert kit.post("/arm", **headers) == 403
    assert kit.keeper.state.name == "idle"


def test_its_own_page_can(kit: Served):
    assert kit.post("/arm", Origin="http://127.0.0.1:8600", **{"Sec-Fetch-Site": "same-origin"}) == 202


def test_beyond_loopback_pictures_and_files_need_the_token_and_a_cookie_reads_but_never_steers(make, tmp_path: Path):
    kit = make(private=True)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "session.json").write_text("{}")
    private = ("/preview", "/sessions/first/files/session.json", "/sessions/first/sha256/session.json")
    for path in private:
        assert kit.client.get(path).status_code == 401
        assert kit.client.get(path, headers=BEARER).status_code in (200, 204)
    assert kit.client.get("/status").status_code == 200
    assert kit.post("/unlock") == 200
    cookie = kit.answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    for path in private:
        assert kit.client.get(path).status_code in (200, 204), "the cookie reads"
    assert kit.client.post("/arm", json={}).status_code == 401, "and steers nothing"


def test_every_answer_keeps_other_pages_out_and_loads_nothing_from_elsewhere(kit: Served):
    for path in ("/", "/page.js", "/page.css", "/status", "/nowhere"):
        headers = kit.client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    page = "".join(kit.client.get(p).text for p in ("/", "/page.js", "/page.css"))
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/sessions/first"), ("GET", "/start"), ("PUT", "/arm"), ("POST", "/")]
)
def test_a_method_that_is_not_there_is_405(kit: Served, method: str, path: str):
    assert kit.client.request(method, path, headers=BEARER).status_code == 405


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "secret" / "token"
    token = read_token(path)
    assert len(token) >= 32
    assert path.stat().st_mode & 0o077 == 0
    assert read_token(path) == token
    path.write_text("short")
    with pytest.raises(ConfigError, match="characters"):
        read_token(path)


def test_the_minutes_left_follow_what_a_recording_really_writes():
    disk = DiskMinutes()
    for second in range(31):
        disk.seen(second, second * 1_000_000)
    assert disk.minutes(600_000_000) == 10.0
    disk.seen(31, 0)
    assert disk.minutes(600_000_000) is None, "a new recording is judged by itself"
