"""What is written is there whole, whenever the process is killed."""

import os
import stat
from pathlib import Path

import pytest

from careloop import durable


def _folder(path: Path, text: str) -> Path:
    (path / "rules").mkdir(parents=True)
    (path / "rules" / "a.yml").write_text(text, "utf-8")
    return path


def _all(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in files}


@pytest.mark.parametrize("survived", [0, 1])
def test_a_folder_killed_while_it_is_replaced_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    folder = tmp_path / "calibration"
    durable.move_folder(_folder(tmp_path / "first", "old"), folder)
    done = []

    def killed(source: Path, target: Path) -> None:
        if len(done) == survived:
            raise KeyboardInterrupt
        done.append(os.rename(source, target))

    made = _folder(tmp_path / "second", "new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            durable.move_folder(made, folder)
    durable.restore(folder)
    assert _all(folder) == {"rules/a.yml": "old"}
    durable.move_folder(made, folder)
    assert _all(tmp_path) == {"calibration/rules/a.yml": "new"}


def test_a_folder_killed_before_the_earlier_one_is_gone_is_cleared_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path / "calibration", "old")
    with monkeypatch.context() as patch:
        patch.setattr(durable.shutil, "rmtree", lambda *_, **__: None)
        durable.move_folder(_folder(tmp_path / "made", "new"), folder)
    assert len(_all(tmp_path)) == 2
    durable.restore(folder)
    assert _all(tmp_path) == {"calibration/rules/a.yml": "new"}


def test_a_file_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("readable to all", "ascii")
    durable.put(path, b"secret", 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    durable.put(path, b"open")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert _all(tmp_path) == {"key": "open"}
