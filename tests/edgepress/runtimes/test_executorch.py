from __future__ import annotations

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.runtimes import executorch

TARGET = "x86_64-executorch-fp32"


def test_strided_batch_is_read_right_when_it_is_a_view(small_export, load_session, images):
    session = load_session(*small_export(TARGET, method="executorch"))
    view = images[:1].transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    np.testing.assert_allclose(session.run(view), session.run(images[:1]), atol=1e-6)


@pytest.mark.parametrize("threads", [2, 1])
def test_threads_are_set_when_a_session_is_loaded(small_export, threads):
    from executorch.extension.pybindings import _C

    folder, exported = small_export(TARGET, method="executorch")
    params = executorch.Params(method="executorch", threads=threads)
    executorch.load(folder, exported, params=params)
    assert _C._threadpool_get_thread_count() == threads


def test_load_refuses_when_the_file_is_missing(small_export, load_session, tmp_path):
    _, exported = small_export(TARGET, method="executorch")
    with pytest.raises(UserError, match=r"model\.pte: file not found"):
        load_session(tmp_path, exported)


@pytest.mark.parametrize("size", [0, 64, 2000])
def test_load_refuses_when_the_file_is_cut_short(small_export, load_session, forged, size):
    folder, exported = small_export(TARGET, method="executorch")
    data = (folder / "model.pte").read_bytes()[:size]
    copy, record = forged(folder, exported, "model.pte", data)
    with pytest.raises(UserError, match=r"model\.pte: ExecuTorch refuses it"):
        load_session(copy, record)


def test_load_refuses_when_the_file_is_foreign(small_export, load_session, forged):
    copy, exported = forged(
        *small_export(TARGET, method="executorch"), "model.pte", b"not a model" * 500
    )
    with pytest.raises(UserError, match=r"model\.pte: ExecuTorch refuses it"):
        load_session(copy, exported)


def test_run_refuses_when_the_batch_has_another_shape(small_export, load_session):
    session = load_session(*small_export(TARGET, method="executorch"))
    with pytest.raises(UserError, match="the export takes float32"):
        session.run(np.zeros((1, 8, 10, 3), np.float32))
