"""Encoded pictures are opened in one place, and made pixels of in one: no two readers differ."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def users(pattern: str) -> set[str]:
    sources = [
        path for room in ("edgepress", "stages", "flows") for path in ROOT.glob(f"{room}/**/*.py")
    ]
    found = (path for path in sources if re.search(pattern, path.read_text()))
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_one_module_opens_encoded_pictures() -> None:
    assert users(r"\bImage\.open\(|\bimread\(|\bdecode_image\(|ImageFolder\(") == {
        "edgepress/data/picture.py"
    }


def test_pictures_are_opened_to_inspect_to_decode_and_to_answer_only() -> None:
    assert users(r"\bopen_picture\(") - {"edgepress/data/picture.py"} == {
        "edgepress/data/inspection.py",
        "edgepress/data/preprocess.py",
        "edgepress/prediction/answered.py",
    }


def test_numpy_files_of_users_are_opened_by_one_reader() -> None:
    rooms = ("edgepress/commands/", "edgepress/encoders/", "edgepress/curation/", "stages/")
    assert [path for path in users(r"\bnp\.load\(") if path.startswith(rooms)] == []
