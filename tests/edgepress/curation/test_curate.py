from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.curation._concepts import deduplicate
from edgepress.curation.curate import prune
from edgepress.errors import UserError
from edgepress.methods import names
from edgepress.records.selection import Selection
from edgepress.workers.local import Local
from edgepress.workers.scratch import Work

Run = Callable[..., Any]
Vectors = Callable[..., Any]

PLAIN: dict[str, dict[str, Any]] = {
    "prototypicality": {"concepts": 12, "passes": 1, "order": "hard"},
    "deduplicate_only": {"concepts": 12, "passes": 1, "duplicate_kept": "farthest"},
    "uniform_concepts": {
        "concepts": 12, "passes": 1, "floor": 1, "class_floor": 0, "deduplicate": None,
        "duplicate_kept": "farthest", "order": "random",
    },
    "random": {},
}  # fmt: skip


def _params(method: str, complexity: dict[str, Any]) -> dict[str, Any]:
    if method == "concept_complexity":
        return complexity
    if method == "none":
        return {"method": "none"}
    return {"method": method, "keep": 0.3, **PLAIN[method]}


@pytest.mark.parametrize("method", [name for name in names("curation") if name != "semdedup"])
@pytest.mark.parametrize("rows", [997, 20_001])
def test_every_method_meets_the_budget_to_the_row(
    method: str, rows: int, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    kept = prune(vectors(rows), _params(method, complexity), 0)
    assert kept.sum() == (rows if method == "none" else int(rows * 0.3 + 0.5))


SEMDEDUP: dict[str, Any] = {
    "method": "semdedup", "concepts": 8, "passes": 1, "deduplicate": 0.9999,
    "duplicate_kept": "farthest", "class_floor": 0,
}  # fmt: skip


def test_semdedup_drops_one_of_each_two_copies_and_nothing_else_when_rows_repeat() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 32)).astype(np.float32)
    x = np.concatenate([x, 3 * x[:50] * (1 + 1e-4 * rng.normal(size=(50, 32)).astype(np.float32))])
    kept = prune(x, SEMDEDUP, 0)
    assert kept[50:600].all()
    np.testing.assert_array_equal(kept[:50].astype(int) + kept[600:], 1)


def test_semdedup_keeps_copies_when_their_class_would_fall_below_the_floor(
    tmp_path: Path, run: Run
) -> None:
    x = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
    x[30:] = x[30]
    np.save(tmp_path / "v.npy", x)
    classes = np.repeat([0, 1], [30, 10])
    params = {**SEMDEDUP, "concepts": 2}
    for floor, kept in [(0, 31), (4, 34), (100, 40)]:
        selection, _ = run({**params, "class_floor": floor}, [tmp_path / "v.npy"], classes=classes)
        assert sum(concept.kept for concept in selection.concepts) == kept


def _layouts(folder: Path, x: Any) -> dict[str, list[Path]]:
    """Lay the same rows out as one file, uneven .npy shards, and Parquet with odd row groups."""
    for name in ("one", "many", "mixed"):
        (folder / name).mkdir()
    np.save(folder / "one" / "all.npy", x)
    for number, part in enumerate(np.split(x, [1, 5_000, 8_192, 19_999])):
        np.save(folder / "many" / f"part_{number}.npy", part)
    np.savez(folder / "mixed" / "a.npz", embeddings=x[:7_777])
    listed = pa.FixedSizeListArray.from_arrays(pa.array(x[7_777:].ravel()), x.shape[1])
    table = pa.table({"embedding": listed})
    pq.write_table(table, folder / "mixed" / "b.parquet", row_group_size=1_234)
    return {name: [folder / name] for name in ("one", "many", "mixed")}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_result_is_the_same_to_the_bit_whatever_layout_chunk_and_workers(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any], dtype: type
) -> None:
    layouts = _layouts(tmp_path, vectors(30_000).astype(dtype))
    selection, table = run(complexity, layouts["one"])
    assert sum(concept.duplicates for concept in selection.concepts) >= 40
    for layout, workers, span in [("one", 3, 1), ("many", 1, 2), ("many", 2, 8), ("mixed", 2, 3)]:
        other = run(complexity, layouts[layout], engine=Local(workers), span=span)
        assert other == (selection, table)


def test_seed_changes_the_result(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    np.save(tmp_path / "v.npy", vectors(5_000))
    assert (
        run(complexity, [tmp_path / "v.npy"])[1] != run(complexity, [tmp_path / "v.npy"], seed=1)[1]
    )


def test_result_is_the_same_to_the_bit_on_two_ray_workers(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    from edgepress.workers.ray import connected

    layouts = _layouts(tmp_path, vectors(30_000))
    expected = run(complexity, layouts["one"])
    broken = tmp_path / "broken.npy"
    bad = vectors(100)
    bad[7] = np.nan
    np.save(broken, bad)
    with connected(workers=2) as cluster:
        assert cluster.workers == 2
        assert run(complexity, layouts["many"], engine=cluster, span=1) == expected
        with pytest.raises(UserError, match=r"broken.npy: row 7: holds nan"):
            run(complexity, [broken], engine=cluster)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def _killed(run: Run, params: Any, path: Path, log: Path, after: int) -> None:
    """Run in a child that kills itself at its `after`-th save; it notes what it was saving."""
    saves = 0
    save = Work.save

    def counted(self: Work, name: str, arrays: Any) -> None:
        nonlocal saves
        save(self, name, arrays)
        saves += 1
        if saves == after:
            with log.open("a") as file:
                file.write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    Work.save = counted  # type: ignore[method-assign]
    run(params, [path], span=1, every=0.0)


def test_run_goes_on_and_ends_the_same_when_killed_in_every_pass(
    tmp_path: Path,
    run: Run,
    vectors: Vectors,
    complexity: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deduplicate, "WINDOW", 3_330)  # so that a few concepts are split
    path = tmp_path / "v.npy"
    np.save(path, vectors(40_000))
    expected = run(complexity, [path])
    (tmp_path / "out" / "selection.parquet").unlink()
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    deaths = 0
    while True:
        child = context.Process(target=_killed, args=(run, complexity, path, log, 4))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        deaths += 1
        assert deaths < 200
    places = log.read_text().split()
    passes = ("settle-0", "lloyd-0", "first", "group", "echo", "split", "echo-part-", "survivors")
    for name in (*passes, "final"):
        assert any(place.startswith(name) for place in places), name
    assert (tmp_path / "out" / "selection.parquet").read_bytes() == expected[1]
    assert not list((tmp_path / "scratch").iterdir())


def test_finished_passes_are_not_run_again_after_a_kill(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any], monkeypatch: Any
) -> None:
    path = tmp_path / "v.npy"
    np.save(path, vectors(20_000))
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_killed, args=(run, complexity, path, tmp_path / "log", 60))
    child.start()
    child.join()
    passes: list[str] = []
    step = Work.step

    def noted(self: Work, name: str, compute: Any) -> Any:
        def computed() -> Any:
            passes.append(name)
            return compute()

        return step(self, name, computed)

    monkeypatch.setattr(Work, "step", noted)
    run(complexity, [path], span=1)
    assert passes
    assert not [name for name in passes if name.startswith(("sample", "seeds", "settle-0"))]


@pytest.mark.parametrize(("temperature", "told"), [(0.05, False), (500.0, True)])
def test_user_is_told_when_the_temperature_drowns_the_complexities(
    vectors: Vectors, complexity: dict[str, Any], caplog: Any, temperature: float, told: bool
) -> None:
    prune(vectors(1_000), {**complexity, "temperature": temperature}, 0)
    assert ("every concept gets the same share" in caplog.text) == told


def test_class_floor_keeps_rows_of_every_class_and_the_hardest_of_them(
    vectors: Vectors, complexity: dict[str, Any]
) -> None:
    x = vectors(5_000)
    classes = np.zeros(5_000, np.int64)
    classes[100:160] = 1
    classes[200:203] = 2
    params = {**complexity, "keep": 0.05, "class_floor": 30, "deduplicate": None}
    without = prune(x, {**params, "class_floor": 0}, 0, classes)
    kept = prune(x, params, 0, classes)
    assert kept.sum() == without.sum() == 250
    assert (without & (classes == 1)).sum() < 30
    assert (kept & (classes == 1)).sum() == 30
    assert (kept & (classes == 2)).sum() == 3


@pytest.mark.parametrize(("floor", "expected"), [(20, 20), (100, 40)])
def test_class_floor_is_met_when_the_whole_class_copies_another(
    vectors: Vectors, complexity: dict[str, Any], floor: int, expected: int
) -> None:
    x = vectors(2_000)  # its last 40 rows copy the first 40
    classes = (np.arange(2_000) >= 1_960).astype(np.int64)
    params = {**complexity, "duplicate_kept": "nearest", "class_floor": floor}
    without = prune(x, {**params, "class_floor": 0}, 0, classes)
    kept = prune(x, params, 0, classes)
    assert (without & (classes == 1)).sum() < 20
    assert (kept & (classes == 1)).sum() == expected
    assert kept.sum() == without.sum() == 600


def test_nothing_is_looked_for_when_all_rows_are_kept(
    vectors: Vectors, complexity: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert prune(vectors(500), {**complexity, "keep": 1.0}, 0).all()
    assert "may go" not in caplog.text


def test_reasons_tell_class_floor_and_duplicates_apart(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    np.save(tmp_path / "v.npy", vectors(2_000))
    classes = np.arange(2_000) % 3
    params = {**complexity, "class_floor": 20}
    selection, _ = run(params, [tmp_path / "v.npy"], classes=classes)
    table = selection.table(tmp_path / "out")
    reason = np.array(table.reason)
    assert (reason == "class-floor").sum() == 60
    assert (reason == "duplicate").sum() == sum(c.duplicates for c in selection.concepts) >= 40
    np.testing.assert_array_equal(table.kept, np.isin(reason, ["class-floor", "chosen"]))


def test_hard_keeps_the_farthest_of_each_concept_and_easy_the_nearest(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    np.save(tmp_path / "v.npy", vectors(3_000))
    for order in ("hard", "easy"):
        params = {**complexity, "order": order, "deduplicate": None}
        selection, _ = run(params, [tmp_path / "v.npy"])
        table = selection.table(tmp_path / "out")
        for concept in selection.concepts:
            kept = table.distance[(table.concept == concept.index) & table.kept]
            rest = table.distance[(table.concept == concept.index) & ~table.kept]
            if len(kept) and len(rest):
                assert kept.min() >= rest.max() if order == "hard" else kept.max() <= rest.min()


def test_dense_isolated_concept_loses_the_largest_share(
    tmp_path: Path, run: Run, complexity: dict[str, Any]
) -> None:
    rng = np.random.default_rng(0)
    dense = np.eye(16)[0] * 5 + rng.standard_normal((600, 16)) * 0.02
    loose = [np.eye(16)[j] * 2 + rng.standard_normal((600, 16)) * 0.7 for j in range(1, 6)]
    np.save(tmp_path / "v.npy", np.concatenate([dense, *loose]).astype(np.float32))
    params = {**complexity, "concepts": 6, "deduplicate": None, "temperature": 0.05}
    selection, _ = run(params, [tmp_path / "v.npy"])
    table = selection.table(tmp_path / "out")
    shares = [table.kept[start : start + 600].mean() for start in range(0, 3_600, 600)]
    assert shares[0] == min(shares) < 0.1


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"keep": 0}, "keep: Input should be greater than 0"),
        ({"keep": -0.5}, "keep: Input should be greater than 0"),
        ({"keep": 1.01}, "keep: Input should be less than or equal to 1"),
        ({"keep": float("nan")}, "keep: "),
        ({"concepts": 501}, "concepts: 501 asked for, but there are 500 rows"),
        ({"concepts": 0}, "concepts: 0 asked for"),
        ({"floor": 100}, "is below the floors, which sum to"),
        ({"class_floor": 3}, "class_floor: the rows have no class labels"),
        ({"temperature": 0.0}, "temperature: Input should be greater than 0"),
        ({"order": "hardest"}, "order: Input should be 'hard', 'easy' or 'random'"),
        ({"neighbors": 3}, "neighbors: unknown key; .*did you mean neighbours"),
    ],
)
def test_prune_refuses_when_a_parameter_is_bad(
    vectors: Vectors, complexity: dict[str, Any], changes: dict[str, Any], clause: str
) -> None:
    with pytest.raises(UserError, match=clause):
        prune(vectors(500), {**complexity, **changes}, 0)


def test_prune_refuses_when_the_seed_is_below_0(
    vectors: Vectors, complexity: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match="seed: -1 is below 0; give a whole number of 0 or more"):
        prune(vectors(500), complexity, -1)


def test_scratch_is_free_for_another_try_when_a_run_has_failed(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any], monkeypatch: Any
) -> None:
    np.save(tmp_path / "v.npy", vectors(2_000))
    save = Selection.save

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Selection, "save", full)
    with pytest.raises(OSError, match="No space left") as held:
        run(complexity, [tmp_path / "v.npy"])
    monkeypatch.setattr(Selection, "save", save)
    run(complexity, [tmp_path / "v.npy"])
    assert held.traceback
    assert not list((tmp_path / "scratch").iterdir())


def test_curate_leaves_the_earlier_selection_when_a_shard_vanishes_midway(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any], monkeypatch: Any
) -> None:
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", vectors(9_000))
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    _, before = run(complexity, paths)
    step = Work.step

    def vanishing(self: Work, name: str, compute: Any) -> Any:
        if name == "lloyd-1-done":
            paths[1].unlink()
        return step(self, name, compute)

    monkeypatch.setattr(Work, "step", vanishing)
    with pytest.raises(UserError, match=r"b.npy: No such file"):
        run(complexity, paths, seed=1)
    assert (tmp_path / "out" / "selection.parquet").read_bytes() == before


@pytest.mark.parametrize("rows", [100, 9_000])
@pytest.mark.parametrize(("value", "clause"), [(np.nan, "holds nan"), (0.0, "a zero vector")])
def test_curate_names_shard_and_row_when_a_row_has_no_direction(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any], rows: int, value: float,
    clause: str,
) -> None:  # fmt: skip
    np.save(tmp_path / "a.npy", vectors(500))
    bad = vectors(rows)
    bad[77] = value
    np.save(tmp_path / "b.npy", bad)
    with pytest.raises(UserError, match=rf"b.npy: row 77: {clause}"):
        run(complexity, [tmp_path / "a.npy", tmp_path / "b.npy"])
    assert not (tmp_path / "out").exists()


def test_curate_refuses_when_labels_do_not_match_the_rows(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    np.save(tmp_path / "v.npy", vectors(500))
    with pytest.raises(UserError, match="499 labels for 500 rows"):
        run(complexity, [tmp_path / "v.npy"], classes=np.zeros(499, np.int64))


def test_auto_concepts_is_the_cube_root_of_the_rows(
    tmp_path: Path, run: Run, vectors: Vectors, complexity: dict[str, Any]
) -> None:
    np.save(tmp_path / "v.npy", vectors(1_000))
    selection, _ = run({**complexity, "concepts": "auto"}, [tmp_path / "v.npy"])
    assert len(selection.concepts) == 10
