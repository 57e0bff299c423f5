"""The catalogue's copy: whole, switched in one step, the same to the check as the original."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wrapper import catalogue
from wrapper.settings import BadSettings
from wrapper.snapshot import Snapshots


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "catalogue"
    (made / "endpoints").mkdir(parents=True)
    (made / "systems.yaml").write_text("systems: {}\n")
    return made


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(tmp_path / "state" / "serving-0", leave_out=[tmp_path / "catalogue" / "models"])


def test_an_edit_after_it_was_taken_does_not_show(source: Path, snapshots: Snapshots) -> None:
    snapshots.accept(snapshots.take(source))
    (source / "systems.yaml").write_text("broken")
    assert (snapshots.current / "systems.yaml").read_text() == "systems: {}\n"


def test_the_one_before_the_present_one_is_kept_and_older_ones_are_not(source: Path, snapshots: Snapshots) -> None:
    for _ in range(4):
        snapshots.accept(snapshots.take(source))
    snapshots.drop(snapshots.take(source))
    assert sorted(path.name for path in snapshots.current.parent.iterdir()) == ["3", "4", "current"]
    assert os.readlink(snapshots.current) == "4"
    snapshots.close()
    assert not snapshots.current.parent.exists()


def test_what_a_killed_one_left_is_cleared_away(source: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    snapshots.accept(snapshots.take(source))
    assert list(Snapshots(tmp_path / "state" / "serving-0", ()).current.parent.iterdir()) == []


def test_models_and_version_control_are_not_copied(source: Path, snapshots: Snapshots) -> None:
    for name in (".git", "models", "screens"):
        (source / name).mkdir()
        (source / name / "file").touch()
    copy = snapshots.take(source)
    assert sorted(path.name for path in copy.iterdir() if any(path.glob("*"))) == ["screens"]


def test_a_read_only_folder_is_copied_and_its_copy_can_be_removed(source: Path, snapshots: Snapshots) -> None:
    (source / "endpoints").chmod(0o555)
    copy = snapshots.take(source)
    assert (copy / "endpoints").stat().st_mode & 0o200
    snapshots.drop(copy)
    assert not copy.exists()


def test_links_as_a_mounted_volume_has_them(source: Path, snapshots: Snapshots) -> None:
    (source / "..2024").mkdir()
    (source / "..2024" / "a.cpy").write_text("A")
    (source / "..data").symlink_to("..2024")
    (source / "copybooks").symlink_to("..data")
    (source / "absolute.cpy").symlink_to(source / "..data" / "a.cpy")
    (source / "loop").symlink_to(".")
    snapshots.accept(snapshots.take(source))
    folder = catalogue.Folder(snapshots.current.resolve())
    assert folder.text("copybooks/a.cpy") == folder.text("absolute.cpy") == "A"
    assert folder.path("absolute.cpy").resolve().is_relative_to(snapshots.current.parent)


def test_a_link_that_leaves_it_is_refused_in_the_same_words(source: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "outside.cpy").write_text("A")
    (source / "out.cpy").symlink_to("../outside.cpy")
    said = []
    for place in (source, snapshots.take(source)):
        with pytest.raises(catalogue.folder.NoFile) as raised:
            catalogue.Folder(place).path("out.cpy")
        said.append(raised.value.message)
    assert said[0] == said[1] == "'out.cpy' is a link that leaves the catalogue"


def test_a_link_to_the_catalogue_is_followed_when_it_is_taken(source: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("catalogue")
    assert (snapshots.take(tmp_path / "current") / "systems.yaml").is_file()


def test_what_can_not_be_copied_is_said(source: Path, snapshots: Snapshots, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="there is no catalogue folder"):
        snapshots.take(tmp_path / "nowhere")
    (source / ("x" * 200)).mkdir()
    os.mkfifo(source / "pipe")  # would block whoever opens it
    assert not (snapshots.take(source) / "pipe").exists()


def test_faults_name_the_operators_own_paths(source: Path, snapshots: Snapshots) -> None:
    (source / "endpoints" / "x.yaml").write_text("endpoint: x\nsummary: [\n")
    faults, _ = catalogue.check(snapshots.take(source))
    assert str(faults).count("endpoints/x.yaml") >= 1
    assert "serving-" not in "".join(map(str, faults))
