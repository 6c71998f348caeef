"""The documents name files and folders that are there: who reads them walks the house by these names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*.md"))]
# `room/file.py` or `room/`, in backticks; [a link](file.md#place).
NAME = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.py|(?:[a-z_\d]+/)+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    text = document.read_text()
    links = [name for name in LINK.findall(text) if not (document.parent / name).exists()]
    assert not links
    places = [str(path) + "/" * path.is_dir() for folder in FOLDERS for path in (folder, *folder.rglob("*"))]
    missing = [name for name in NAME.findall(text) if not any(place.endswith(f"/{name}") for place in places)]
    assert not missing
