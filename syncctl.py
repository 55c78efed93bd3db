"""The front door: one command for the whole path. It imports a room only when one of its commands runs."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

# numpy's products here are small: shared between cores they cost ten times as much, most of it waiting. Torch has its
# own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

COMMANDS = {
    "record": ("recorder.cli:record", "Record a session, or simulate one."),
    "simulate": ("recorder.cli:simulate", "Make many sessions of the simulated home from a plan."),
    "inspect": ("recorder.cli:inspect", "Say what a session holds, and what it lost."),
    "recover": ("recorder.cli:recover", "Make an interrupted session whole."),
    "doctor": ("recorder.doctor.cli:doctor", "Say whether this machine can record, and what to do."),
    "tone": ("sync.cli:tone", "Play the start or end tone, or write it."),
    "serve": ("recorder.kit_cli:serve", "Serve a status page and an API for this kit."),
    "service": ("recorder.kit_cli:service", "Run `serve` whenever this machine does."),
    "kits": ("recorder.kit_cli:kits", "List, start, stop and fetch several kits."),
    "gather": ("recorder.kit_cli:gather", "Put the sessions of several kits into one."),
    "redact": ("recorder.kit_cli:redact", "Copy a session with a stretch of it blanked."),
    "add": ("sync.cli:add", "Bring a GoPro, eye-tracker or other media file into a session."),
    "align": ("sync.cli:align", "Put every device of a session on one clock."),
    "offset": ("sync.cli:offset", "Offset and drift between two recordings, by their sound."),
    "tones": ("sync.cli:tones", "Find the start and end tones in a recording."),
    "view": ("sync.cli:view", "Play a session in a browser, everything in step."),
    "gaze": ("sync.cli:gaze", "Carry gaze from an eye tracker's film to another camera's."),
    "calibrate": ("sync.cli:calibrate", "Measure a camera's lens from a film of a chessboard."),
    "labels": ("ingest.labels.cli:labels", "Labels out to annotation tools, and back."),
    "build": ("ingest.cli:build", "Build a dataset from aligned sessions."),
    "cache": ("ingest.cli:cache", "Make small copies of a dataset's videos."),
    "detect": ("models.detect_cli:detect", "Find the persons in a film, with a detector of yours."),
    "features": ("models.features:features", "Compute a network's features of every keyframe once."),
    "check": ("ingest.cli:check", "Look for leaks, holes and unreadable clips in a dataset."),
    "import": ("ingest.cli:bring", "Make a dataset of another tool's: LeRobotDataset v3."),
    "export": ("ingest.cli:export", "Write a dataset in another tool's format."),
    "train": ("models.cli:train", "Train a model on a dataset."),
    "evaluate": ("models.cli:evaluate", "Evaluate a trained run on held-out participants."),
    "predict": ("models.cli:predict", "Write a run's detections in AVA's format."),
    "transfer": ("models.transfer_cli:transfer", "Judge a backbone by five target tasks."),
    "ava": ("models.ava.cli:ava", "Frame mAP of two csv files, as the AVA challenge measures it."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if not _is_an_extra(error):
                raise
            raise click.ClickException(
                f"`syncctl {cmd_name}` needs the package '{error.name}', which is not installed; install syncctl[all]"
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from firmware_host.errors import unknown_name

            ctx.fail(unknown_name("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="syncctl")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def cli(verbose: bool) -> None:
    """Record sensor kits, put every device on one clock, build datasets, train models.

    \b
    Example, on simulated devices:
      syncctl record sessions/first --simulate --duration 60
      syncctl align sessions/first
      syncctl build sessions/first --out dataset
      syncctl train muscles --data dataset --out run --preset tiny --steps 200
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command: 0 done, 1 could not be done (one sentence), 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status: Any = cli.main(args=arguments, prog_name="syncctl", standalone_mode=False)
    except click.exceptions.Abort:
        _leave("interrupted; what was recorded is kept", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:  # imported only once the command runs
        if _verbose(arguments) or not _is_an_extra(error):
            raise
        _leave(f"this needs the package '{error.name}', which is not installed; install syncctl[all]", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if _verbose(arguments) or not _is_ours(error):
            raise
        _leave(str(error), 1)
    sys.exit(status if isinstance(status, int) else 0)


def _is_an_extra(error: ModuleNotFoundError) -> bool:
    """Whether what is missing is another's package, and not a room of this house."""
    return (error.name or "").split(".")[0] not in {"firmware_host", "recorder", "sync", "ingest", "models"}


def _is_ours(error: Exception) -> bool:
    from firmware_host.errors import SyncctlError

    of_a_file = isinstance(error, OSError) and error.filename is not None
    return isinstance(error, SyncctlError) or of_a_file or getattr(error, "errno", None) == errno.ENOSPC


def _verbose(arguments: list[str]) -> bool:
    return bool({"-v", "--verbose"} & set(arguments))


def _leave(sentence: str, status: int) -> None:
    click.echo(f"syncctl: {sentence}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
