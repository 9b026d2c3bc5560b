from __future__ import annotations

from pathlib import Path

import pytest

from edgepress.encoders.at_scale.image_shards import ImageShard
from edgepress.encoders.at_scale.numbering import numbered
from edgepress.errors import UserError
from edgepress.records.embedded_shard import EmbeddedShard


def _finished(out: Path, *names: str | None) -> Path:
    for number, name in enumerate(names):
        if name is not None:
            facts = {"stamp": "s", "encoder": "e", "dtype": "float32", "column": "image"}
            record = EmbeddedShard(shard=name, rows=1, width=1, quarantined={}, **facts)  # type: ignore[arg-type]
            record.write(out / "shards" / f"{number:05}")
    return out


def _numbered(out: Path, *names: str) -> list[str]:
    shards = tuple(ImageShard(name, Path(f"{name}.tar"), "tar") for name in names)
    return [shard.name for shard in numbered(shards, out)]


def test_shards_keep_their_order_when_nothing_is_finished(tmp_path: Path) -> None:
    assert _numbered(tmp_path, "b", "a") == ["b", "a"]


def test_finished_shards_keep_their_numbers_when_others_come_between(tmp_path: Path) -> None:
    out = _finished(tmp_path, "a", "b", "d")
    assert _numbered(out, "0", "a", "b", "c", "d") == ["a", "b", "d", "0", "c"]


def test_shards_keep_their_order_when_a_killed_run_left_gaps(tmp_path: Path) -> None:
    out = _finished(tmp_path, "a", None, "c", None)
    assert _numbered(out, "a", "b", "c", "d") == ["a", "b", "c", "d"]


def test_output_is_refused_when_it_holds_what_is_not_given(tmp_path: Path) -> None:
    out = _finished(tmp_path, "a", None, "c")
    with pytest.raises(UserError, match="holds vectors of c, which is not among the 2 shards"):
        _numbered(out, "a", "b")
    with pytest.raises(UserError, match="holds vectors of c under number 2, but only 2 shards"):
        _numbered(out, "a", "c")
