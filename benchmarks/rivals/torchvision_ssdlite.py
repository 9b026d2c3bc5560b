"""torchvision's SSDLite320, trained from scratch as its users would; run by detection.py.

Runs in an environment of its own (pip install torchvision) and knows nothing of this project. The
recipe is that of torchvision's references for this network, less the zooming out and cropping:
SGD with momentum 0.9, a cosine schedule, weight decay 4e-5, flips; the rate for this batch.
Usage: python torchvision_ssdlite.py DATA_YAML TEST_JSON OUT SECONDS SEED SIDE
Writes OUT/answers.json, COCO's results for TEST_JSON, and OUT/trained.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

BATCH, RATE, DECAY = 16, 0.05, 4e-5
WARMUP = 100
"""Steps in which the rate rises, as in the references' warm-up."""

Pictures = list[tuple[Tensor, dict[str, Tensor]]]


def main() -> None:
    """Train for so many epochs as fit, answer the test pictures."""
    data, test, out, seconds, seed, _ = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    root = Path(data).parent
    pictures = read(root / "images" / "train", root / "labels" / "train")
    fit(pictures, 1)  # pays for set-up
    began = time.process_time()
    fit(pictures, 2)
    each = (time.process_time() - began) / 2
    epochs = max(1, round(float(seconds) / each))
    torch.manual_seed(int(seed))
    began = time.process_time()
    model = fit(pictures, epochs)
    spent = time.process_time() - began
    found = []
    listed = json.loads(Path(test).read_text())
    for image in listed["images"]:
        picture = decoded(root / "images" / "test" / image["file_name"])
        with torch.inference_mode():
            result = model([picture])[0]
        for box, score, label in zip(
            result["boxes"], result["scores"], result["labels"], strict=True
        ):
            left, top, right, bottom = map(float, box)
            found.append(
                {
                    "image_id": image["id"],
                    "category_id": int(label),
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(score),
                }
            )
    size = sum(each.numel() for each in model.parameters())
    Path(out, "answers.json").write_text(json.dumps(found))
    said = {"epochs": epochs, "seconds": spent, "parameters": size}
    Path(out, "trained.json").write_text(json.dumps(said))


def read(images: Path, labels: Path) -> Pictures:
    """Return the pictures with boxes in their pixels; those without boxes teach SSD nothing."""
    found = []
    for path in sorted(images.iterdir()):
        picture = decoded(path)
        rows = [
            [float(value) for value in line.split()]
            for line in (labels / path.name).with_suffix(".txt").read_text().splitlines()
        ]
        if not rows:
            continue
        values = torch.tensor(rows)
        middle, half = values[:, 1:3], values[:, 3:5] / 2
        high, wide = picture.shape[1:]
        scale = torch.tensor([wide, high, wide, high])
        boxes = torch.cat([middle - half, middle + half], dim=1) * scale
        found.append((picture, {"boxes": boxes, "labels": values[:, 0].long() + 1}))
    return found


def decoded(path: Path) -> Tensor:
    """Return a picture, float32 [3, H, W] from 0 to 1."""
    return decode_image(str(path), mode=ImageReadMode.RGB).float() / 255


def fit(pictures: Pictures, epochs: int) -> torch.nn.Module:
    """Return the network after training."""
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=DECAY)
    steps = len(pictures) // BATCH
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=WARMUP),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs * steps - WARMUP)),
        ],
        [WARMUP],
    )
    for _ in range(epochs):
        order = torch.randperm(len(pictures)).tolist()
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            batch = [flipped(*pictures[row]) for row in rows]
            losses = model([each[0] for each in batch], [each[1] for each in batch])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def flipped(picture: Tensor, truth: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return every other picture, by chance, mirrored left to right."""
    if torch.rand(()) < 0.5:
        return picture, truth
    boxes = truth["boxes"].clone()
    boxes[:, [0, 2]] = picture.shape[2] - boxes[:, [2, 0]]
    return picture.flip(2), {**truth, "boxes": boxes}


if __name__ == "__main__":
    main()
