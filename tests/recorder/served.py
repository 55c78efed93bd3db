"""A kit that serves on a port of its own, with a recorder that answers at once."""

import threading
import time
from pathlib import Path

import uvicorn

from recorder.group import Kit
from recorder.serve.app import make_app
from recorder.serve.guard import Access, own_names
from recorder.serve.host import Host
from recorder.serve.keeper import Keeper
from recorder.serve.limits import LimitedProtocol
from recorder.serve.server import Settings, listen

TOKEN = "correct-horse-battery"


class Running:
    """A kit that serves on a port of its own, with a recorder that answers at once."""

    def __init__(self, root: Path, name: str, kind: str = "quick") -> None:
        root.mkdir()
        self.keeper = Keeper(root, kind)  # type: ignore[arg-type]
        line = listen(Settings(root, name, port=0))
        app = make_app(self.keeper, Access(TOKEN, private=True), Host(root), kit=name, names=own_names())
        config = uvicorn.Config(
            app, http=LimitedProtocol, ws="none", lifespan="off", log_level="error", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([line],), daemon=True)
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.server.started:  # until then the port refuses
            assert time.monotonic() < deadline
        self.kit = Kit(name, f"127.0.0.1:{line.getsockname()[1]}", TOKEN)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.keeper.close()
