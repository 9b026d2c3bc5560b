"""dvc.lock, cut off at every place: what DVC refuses is set aside, what it takes stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import voluptuous
from dvc.schema import LOCKFILE_SCHEMA
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml

from stages.lockfile import main, whole

LOCK = """\
schema: '2.0'
stages:
  state:
    cmd: python -m stages.state
    outs:
    - path: state
      hash: md5
      md5: 8c171884453eff932b69df6a7c041c35.dir
      size: 17609
      nfiles: 40
  train:
    cmd: python -m stages.train
    deps:
    - path: state/train.json
      hash: md5
      md5: 12799cf7472d31a3c47c77a581678b1d
      size: 376
    params:
      params.yaml:
        seed: 0
        train:
          recipe:
            method: supervised
          classes:
          - a
    outs:
    - path: models/teacher
      hash: md5
      md5: 69e4eb867d08f86cce8199c7d1c76d61.dir
      size: 224706
      nfiles: 3
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "dvc.lock"


def test_lock_file_is_held_whole_when_dvc_reads_it_wherever_it_is_cut_off(lock: Path) -> None:
    accepted = voluptuous.Schema(LOCKFILE_SCHEMA)
    refused = []
    for end in range(len(LOCK) + 1):
        lock.write_text(LOCK[:end])
        try:
            accepted(parse_yaml(LOCK[:end], str(lock)))
        except (YAMLFileCorruptedError, voluptuous.Invalid):
            refused.append(end)
            assert not whole(lock), repr(LOCK[:end][-40:])
        else:
            assert whole(lock), repr(LOCK[:end][-40:])
    assert len(refused) > 100


def test_lock_file_is_set_aside_when_it_was_cut_off(
    lock: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lock.parent)
    assert main() == 0
    lock.write_text(LOCK)
    assert main() == 0
    assert lock.read_text() == LOCK
    assert capsys.readouterr().err == ""
    cut = LOCK[: LOCK.index("models/teacher") - 4]
    lock.write_text(cut)
    assert main() == 0
    assert not lock.exists()
    assert lock.with_name("dvc.lock.cut-off").read_text() == cut
    said = capsys.readouterr().err
    assert said.startswith("dvc.lock: a run was stopped while DVC wrote it; set aside")
    assert said.count("\n") == 1
