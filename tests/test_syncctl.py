"""The front door: quick, light, and polite about mistakes."""

import subprocess
import sys

import pytest

import syncctl


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "syncctl", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_help_imports_no_heavy_library():
    code = (
        "import sys, syncctl\n"
        "try: syncctl.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'av', 'numpy', 'scipy', 'mujoco', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "align" in result.stdout


@pytest.mark.parametrize("command", list(syncctl.COMMANDS))
def test_every_command_has_help_with_an_example(command: str):
    result = run(command, "--help")
    assert result.returncode == 0, result.stderr
    assert f"syncctl {command}" in result.stdout


def test_an_unknown_command_is_answered_with_the_nearest():
    result = run("allign", "x")
    assert result.returncode == 2
    assert "did you mean 'align'?" in result.stderr


@pytest.mark.parametrize("arguments", [["align"], ["inspect"], ["build", "--out", "{tmp}/dataset"]])
def test_an_empty_folder_gets_one_sentence_and_status_1(tmp_path, arguments: list[str]):
    empty = tmp_path / "empty"
    empty.mkdir()
    command, *rest = [a.format(tmp=tmp_path) for a in arguments]
    result = run(command, str(empty), *rest)
    assert result.returncode == 1, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert str(empty) in result.stderr


def test_a_folder_in_the_place_of_a_file_is_one_sentence(tmp_path):
    result = run("record", str(tmp_path / "session"), "--config", str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert str(tmp_path) in result.stderr


def test_verbose_shows_where_an_error_came_from(tmp_path):
    result = run("-v", "inspect", str(tmp_path))
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_package_that_a_running_command_lacks_is_one_sentence(monkeypatch, capsys):
    def lacking(name: str):
        def main(**_: object) -> None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

        return main

    monkeypatch.setattr(syncctl.cli, "main", lacking("cv2"))
    with pytest.raises(SystemExit, match="1"):
        syncctl.main(["align", "sessions/first"])
    assert capsys.readouterr().err == (
        "syncctl: this needs the package 'cv2', which is not installed; install syncctl[all]\n"
    )
    monkeypatch.setattr(syncctl.cli, "main", lacking("sync.gone"))
    with pytest.raises(ModuleNotFoundError):
        syncctl.main(["align", "sessions/first"])
