"""LibreYOLO's smallest YOLOX, trained from scratch as its users would; run by detection.py.

Runs in an environment of its own (pip install libreyolo) and knows nothing of this project.
Usage: python libreyolo_yolox.py DATA_YAML TEST_JSON OUT SECONDS SEED SIDE
Writes OUT/answers.json, COCO's results for TEST_JSON, and OUT/trained.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from libreyolo import LibreYOLOX

BATCH = 16


def main() -> None:
    """Train for so many epochs as fit, answer the test pictures."""
    data, test, out, seconds, seed, side = sys.argv[1:]
    torch.set_num_threads(1)
    fit(data, 1, int(seed), int(side))  # pays for set-up
    epochs = affordable(data, float(seconds), int(seed), int(side))
    began = time.process_time()
    model = fit(data, epochs, int(seed), int(side))
    spent = time.process_time() - began
    listed = json.loads(Path(test).read_text())
    folder = Path(data).parent / "images" / "test"
    found = []
    for image in listed["images"]:
        result = model(str(folder / image["file_name"]), conf=0.01, iou=0.65, imgsz=int(side))
        boxes = result.boxes
        for box, score, label in zip(boxes.xyxy, boxes.conf, boxes.cls, strict=True):
            left, top, right, bottom = map(float, box)
            found.append(
                {
                    "image_id": image["id"],
                    "category_id": int(label) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(score),
                }
            )
    size = sum(each.numel() for each in model.model.parameters())
    Path(out, "answers.json").write_text(json.dumps(found))
    said = {"epochs": epochs, "seconds": spent, "parameters": size}
    Path(out, "trained.json").write_text(json.dumps(said))


def affordable(data: str, seconds: float, seed: int, side: int) -> int:
    """Return how many epochs fit, from the time that two more of them take."""
    spent = []
    for epochs in (1, 3):
        began = time.process_time()
        fit(data, epochs, seed, side)
        spent.append(time.process_time() - began)
    each = (spent[1] - spent[0]) / 2
    return max(1, round((seconds - spent[0] + each) / each))


def fit(data: str, epochs: int, seed: int, side: int) -> LibreYOLOX:
    """Return the network after training by LibreYOLO's own recipe."""
    model = LibreYOLOX(size="n", nb_classes=3, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        model.train(
            data=data,
            pretrained=False,
            epochs=epochs,
            batch=BATCH,
            imgsz=side,
            workers=0,
            device="cpu",
            seed=seed,
            amp=False,
            project=folder,
        )
    return model


if __name__ == "__main__":
    main()
