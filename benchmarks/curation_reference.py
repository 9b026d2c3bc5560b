"""The published pipeline for concept pruning, rebuilt from its description, to be measured against.

faiss spherical k-means over all rows in memory, one sorted file per cluster, quotas by OSQP and
rounding, then the farthest rows of each file. Run by benchmarks/curation.py:
python benchmarks/curation_reference.py DATA.npy CLUSTERS KEEP FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NEIGHBOURS, TEMPERATURE, STEPS = 20, 0.1, 20


def cluster(vectors: Any, clusters: int) -> tuple[Any, Any, Any]:
    """Return centroids, and each row's cluster and cosine similarity."""
    import faiss

    kmeans = faiss.Kmeans(vectors.shape[1], clusters, niter=STEPS, seed=0, spherical=True)
    kmeans.train(vectors)
    similarity, label = kmeans.index.search(vectors, 1)
    return kmeans.centroids, label[:, 0], similarity[:, 0]


def sort_clusters(label: Any, distance: Any, clusters: int, folder: Path) -> Any:
    """Write a file per cluster of (row, distance), farthest first, and return mean distances."""
    means = np.zeros(clusters)
    for index in range(clusters):
        rows = np.flatnonzero(label == index)
        order = np.argsort(-distance[rows])
        table = np.stack([rows[order].astype(np.float64), distance[rows][order]], axis=1)
        np.save(folder / f"cluster-{index}.npy", table)
        means[index] = distance[rows].mean() if len(rows) else 0.0
    return means


def quotas(sizes: Any, shares: Any, budget: int) -> Any:
    """Return the solution of the quadratic programme by OSQP, [k], before rounding."""
    import osqp
    import scipy.sparse as sp

    count = len(sizes)
    total = sp.csc_matrix(np.ones((1, count)))
    solver = osqp.OSQP()
    solver.setup(
        P=sp.eye(count, format="csc"), q=-shares * budget,
        A=sp.vstack([total, sp.eye(count)], format="csc"),
        l=np.concatenate([[budget], np.minimum(1, sizes)]).astype(float),
        u=np.concatenate([[budget], sizes]).astype(float), verbose=False,
    )  # fmt: skip
    return solver.solve().x


def peak_memory_mb() -> float:
    """Return this process's highest resident memory; getrusage would include its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(path: str, clusters: int, keep: float, folder: Path) -> dict[str, Any]:
    """Run the whole job and return seconds, peak memory in MB, inertia and rows kept."""
    began = time.monotonic()
    vectors = np.load(path).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centroids, label, similarity = cluster(vectors, clusters)
    distance = 1.0 - similarity
    d_intra = sort_clusters(label, distance, clusters, folder)
    cosines = np.sort(centroids @ centroids.T, axis=1)[:, ::-1]
    d_inter = 1.0 - cosines[:, 1 : NEIGHBOURS + 1].mean(axis=1)
    scaled = d_intra * d_inter / TEMPERATURE
    shares = np.exp(scaled - scaled.max())
    shares /= shares.sum()
    sizes = np.bincount(label, minlength=clusters)
    budget = int(keep * len(vectors))
    found = np.rint(quotas(sizes, shares, budget)).astype(int)
    kept = [
        np.load(folder / f"cluster-{index}.npy")[:quota, 0] for index, quota in enumerate(found)
    ]
    np.save(folder / "kept.npy", np.concatenate(kept).astype(np.int64))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "memory_mb": peak_memory_mb(),
        "inertia": float(distance.mean()),
        "missed_by": int(found.sum()) - budget,
    }


if __name__ == "__main__":
    if len(sys.argv) == 5:
        data, count, share, place = sys.argv[1:]
        print(json.dumps(main(data, int(count), float(share), Path(place))))
    else:
        print("a part of benchmarks/curation.py, which runs it")
