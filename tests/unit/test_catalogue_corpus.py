"""Every bad catalogue of the corpus is told exactly so, and good ones not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from wrapper import catalogue

CORPUS = Path(__file__).parents[1] / "bad_catalogue"
CASES = sorted((CORPUS / "cases").glob("*.yaml"))
DEMO = Path(__file__).parents[2] / "fixtures" / "catalogue"


@pytest.mark.parametrize("case", CASES, ids=[path.stem for path in CASES])
def test_a_bad_catalogue_is_told_by_file_line_and_message(case: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = yaml.safe_load(case.read_text(encoding="utf-8"))
    folder = Path(shutil.copytree(CORPUS / "base", tmp_path / "catalogue"))
    file = folder / told["file"]
    text = file.read_text(encoding="utf-8")
    assert text.count(told["replace"]) == 1
    file.write_text(text.replace(told["replace"], told["with"]), encoding="utf-8")
    faults, _ = catalogue.check(folder)
    assert [str(fault).replace(f"{folder}/", "") for fault in faults] == told["expect"]
    with pytest.raises(catalogue.CatalogueError):
        catalogue.load(folder)


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 45


@pytest.mark.parametrize("folder", [CORPUS / "base", DEMO], ids=["base", "demo"])
def test_a_good_catalogue_has_no_faults(folder: Path) -> None:
    faults, _ = catalogue.check(folder)
    assert [str(fault) for fault in faults] == []
    assert catalogue.load(folder).operations
