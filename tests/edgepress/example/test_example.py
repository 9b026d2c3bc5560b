"""Examples answer in a bare Python, with their runtime, NumPy and Pillow, as the Bundle does."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgepress import cli
from edgepress.data.picture import open_picture
from edgepress.data.placement import Frame, placement
from edgepress.data.preprocess import decode, normalise
from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob
from edgepress.methods import resolve
from edgepress.prediction.predictor import Predictor
from edgepress.records.bundle import Bundle
from edgepress.records.inputs import Crop, InputSpec
from edgepress.records.quantized import Quantized, Recipe
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from tests import learnt, shapes, spots
from tests.classified import open_task

PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
EXPORTS: dict[str, dict[str, Any]] = {
    "onnxruntime": {"method": "onnx", "opset": 18},
    "openvino": {"method": "openvino"},
    "litert": {"method": "tflite"},
}
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
DIGITS = open_task(tuple("0123456789"))
Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run predict.py of a folder where nothing can be imported but what its README asks for."""
    here = tmp_path_factory.mktemp("bare")

    def run(folder: Path, *arguments: object, runtime: str = "onnxruntime") -> Any:
        place = here / runtime
        place.mkdir(exist_ok=True)
        for name in ("numpy", "PIL", PACKAGES[runtime]):
            _link(name, place)
        command = [sys.executable, "-S", str(folder / "predict.py"), *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(place), "HOME": str(here)}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=here
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run


def _link(name: str, place: Path) -> None:
    """Link a package, and the shared libraries that its wheel brought beside it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0])
    for each in (source, *source.parent.glob("*.libs")):
        if not (place / each.name).exists():
            (place / each.name).symlink_to(each)


def example(folder: Path, out: Path) -> Path:
    assert cli.main(["example", str(folder), str(out)]) == 0
    return out


def predicted(folder: Path, tmp_path: Path, *arguments: object) -> list[dict[str, Any]]:
    """Return what `edgepress predict` says of the same export."""
    file = tmp_path / "predicted.json"
    assert cli.main(["predict", str(folder), *map(str, arguments), "--json", str(file)]) == 0
    held: list[dict[str, Any]] = json.loads(file.read_text())["answers"]
    return held


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small network that has learnt handwritten digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    inputs, truth = torch.from_numpy(normalise(pixels, SPEC)), torch.from_numpy(data.target)
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )
    held = list(made.parameters())
    for _ in range(80):
        slopes = torch.autograd.grad(nn.functional.cross_entropy(made(inputs), truth), held)
        with torch.no_grad():
            for each, slope in zip(held, slopes, strict=True):
                each -= 0.3 * slope
    return made.eval()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real digits as the files that users have: of many kinds, sizes and ways up."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("pictures")
    images = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    turned, exif = Image.fromarray(images[3]).resize((23, 17)), Image.Exif()
    exif[0x0112] = 6
    large = Image.fromarray(images[4]).resize((120, 90))
    see_through = Image.merge("LA", [large, large.point(lambda level: 255 if level > 40 else 0)])
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "plain.png": (Image.fromarray(images[0]), {}),
        "photo.jpg": (Image.fromarray(images[1]).resize((64, 48)).convert("RGB"), {}),
        "cmyk.jpg": (Image.fromarray(images[1]).resize((40, 48)).convert("CMYK"), {}),
        "palette.gif": (Image.fromarray(images[2]).convert("P"), {}),
        "turned.png": (turned.transpose(Image.Transpose.ROTATE_90), {"exif": exif}),
        "see_through.png": (see_through, {}),
        "deep.png": (Image.fromarray(images[5].astype(np.uint16) * 257), {}),
        "grey.tiff": (Image.fromarray(images[6]).resize((9, 31)), {}),
    }
    for name, (image, options) in kinds.items():
        image.save(folder / name, **options)
    return [folder / name for name in kinds]


def exported(runtime: str, network: nn.Module, out: Path) -> Path:
    """Write the Bundle's network by a target's own exporter."""
    out.mkdir()
    hashes = {"bundle_sha256": "b" * 64, "calibration_sha256": "c" * 64}
    quantized = Quantized(
        precision="fp32",
        method="ptq",
        recipe=Recipe(weights="float32", activations="float32", per_channel=True),
        reference_sha256="r" * 64,
        **hashes,
    )
    bundle = Bundle(
        task=DIGITS.entry,
        backbone={},
        head={},
        classes=DIGITS.classes,
        input=SPEC,
        parameters=1,
        macs=1,
        lineage={},
        weights_sha256="w" * 64,
    )
    calibration = CalibrationImages(np.zeros((4, 8, 8, 1), np.uint8), SPEC)
    target = Target.parse(f"x86_64-{runtime}-fp32")
    outputs = DIGITS.answers.outputs(SPEC)
    job = ExportJob(target, quantized, network, bundle, outputs, calibration, out)
    resolve("export", EXPORTS[runtime], "test", "export")(job).write(out)
    return out


@pytest.mark.parametrize("runtime", list(EXPORTS))
def test_answers_are_the_bundles_when_run_in_a_bare_python(
    runtime: str, network: nn.Module, pictures: list[Path], bare: Run, tmp_path: Path
) -> None:
    folder = example(exported(runtime, network, tmp_path / "export"), tmp_path / "example")
    code, found = bare(folder, *pictures, runtime=runtime)
    assert code == 0
    for path, answer in zip(pictures, found, strict=True):
        tensor = torch.from_numpy(normalise(decode(path.read_bytes(), SPEC)[None], SPEC))
        with torch.inference_mode():
            raw = {"logits": network(tensor).numpy()}
        upright = open_picture(path.read_bytes()).image
        frame = Frame(upright.size, placement(upright.size, SPEC))
        expected = DIGITS.told(DIGITS.answers.decode(raw, SPEC), frame)
        assert expected is not None
        assert answer["class"] == expected["class"], path
        assert abs(answer["score"] - expected["score"]) < 1e-4, path
        assert (answer["width"], answer["height"]) == upright.size
    assert [each["class"] for each in found[:2]] == ["0", "1"]


def test_bare_python_has_neither_edgepress_nor_torch(bare: Run, tmp_path: Path) -> None:
    """The other tests would pass in vain if what an example must not need were there."""
    for name in ("edgepress", "torch", "pydantic", "scipy"):
        (tmp_path / "predict.py").write_text(
            f"try:\n    import {name}\nexcept ImportError:\n    print('[]')\n"
        )
        assert bare(tmp_path) == (0, [[]]), name


def test_a_detectors_boxes_are_those_of_predict_when_letterboxed(bare: Run, tmp_path: Path) -> None:
    paths = []
    for index, picture in enumerate(shapes.shapes(6, 7).pictures):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(picture).save(paths[-1])
    export = learnt.detector(tmp_path / "export").folder
    code, found = bare(example(export, tmp_path / "example"), *paths)
    assert code == 0
    assert sum(each["sure"] for answer in found for each in answer["objects"]) > 6
    assert found == predicted(export, tmp_path, *paths)


def test_a_large_jpeg_is_drafted_as_in_training_when_the_input_asks_for_it(
    bare: Run, tmp_path: Path
) -> None:
    spec = shapes.SPEC.model_copy(update={"draft": True})
    picture = tmp_path / "large.jpg"
    small = Image.fromarray(shapes.shapes(1, 7).pictures[0])
    small.resize((small.width * 8 + 3, small.height * 8 + 5)).save(picture, quality=95)
    export = learnt.detector(tmp_path / "export", spec=spec).folder
    predictor, data = Predictor.open(export, 1), picture.read_bytes()
    whole = open_picture(data).image
    of_draft, of_whole = predictor.whole(whole, data).answer, predictor.whole(whole).answer
    assert any((of_draft[name] != of_whole[name]).any() for name in of_draft)
    (image,) = spec.tensors
    prepared = normalise(decode(data, spec)[None], spec)
    raw = predictor.session.run({image.name: prepared})
    for name, values in predictor.task.answers.decode(raw, spec).items():
        np.testing.assert_array_equal(of_draft[name], values)
    code, found = bare(example(export, tmp_path / "example"), picture)
    assert code == 0
    assert found[0]["objects"]
    assert found == predicted(export, tmp_path, picture)
    assert "decoded at a half" in (tmp_path / "example" / "README.md").read_text()


def test_tiles_are_put_together_as_predict_does_when_the_task_has_them(
    bare: Run, tmp_path: Path
) -> None:
    entry = {**shapes.ENTRY, "tiles": {"overlap": 0.5, "whole": True}}
    task = Task.open(entry, shapes.CLASSES, "test")
    picture = tmp_path / "large.png"
    rows = [np.vstack([shapes.shapes(1, seed).pictures[0][:48, :96] for seed in (7, 8)])]
    Image.fromarray(np.hstack(rows * 2)).save(picture)
    export = learnt.detector(tmp_path / "export", task).folder
    code, found = bare(example(export, tmp_path / "example"), picture)
    assert code == 0
    assert found == predicted(export, tmp_path, picture)
    assert found[0]["objects"]


def test_points_inside_a_box_are_those_of_predict(bare: Run, tmp_path: Path) -> None:
    picture, boxes = tmp_path / "one.png", tmp_path / "boxes.json"
    canvas = np.zeros((80, 70, 3), np.uint8)
    canvas[20:52, 30:62] = spots.spots(1, 5).pixels[0]
    Image.fromarray(canvas).save(picture)
    box = [35.0, 25.0, 57.0, 47.0]
    held = {"image": str(picture), "objects": [{"box": box, "sure": True}]}
    boxes.write_text(json.dumps({"answers": [held]}))
    export = learnt.pose(tmp_path / "export").folder
    folder = example(export, tmp_path / "example")
    code, found = bare(folder, picture, "--box", ",".join(map(str, box)))
    assert code == 0
    assert found == predicted(export, tmp_path, picture, "--boxes", boxes)


def test_bad_pictures_are_told_and_others_answered_when_both_are_given(
    bare: Run, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "torn.png").write_bytes(pictures[0].read_bytes()[:50])
    export = learnt.detector(tmp_path / "export").folder
    folder = example(export, tmp_path / "example")
    code, found = bare(folder, tmp_path / "torn.png", pictures[0], tmp_path / "none.png")
    assert code == 2
    assert [("error" in each) for each in found] == [True, False, True]


@pytest.mark.parametrize("fit", ["stretch", "letterbox", Crop(crop=0.9)])
def test_the_readmes_code_prepares_a_photograph_as_training_does(fit: Any, tmp_path: Path) -> None:
    spec = shapes.SPEC.model_copy(update={"fit": fit, "width": 60, "resize": "bicubic"})
    export = learnt.detector(tmp_path / "export", spec=spec).folder
    text = (example(export, tmp_path / "example") / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    picture = tmp_path / "picture.jpg"
    Image.fromarray(shapes.shapes(1, 3).pictures[0]).save(picture)
    made: dict[str, Any] = {}
    exec(code.replace("picture.jpg", str(picture)), made)  # noqa: S102
    expected = normalise(decode(picture.read_bytes(), spec)[None], spec)
    np.testing.assert_allclose(made["tensor"], expected, atol=1e-5)
    assert made["tensor"].dtype == np.float32
    assert "scores_4" in text
    assert "3 classes" in text


def test_command_refuses_what_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgepress.records.exported import Exported

    export = learnt.detector(tmp_path / "export").folder
    out = tmp_path / "example"
    out.mkdir()
    assert cli.main(["example", str(export), str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["example", str(export), str(tmp_path / "no" / "example")]) == 2
    assert "make it first" in capsys.readouterr().err
    (export / "model.onnx").write_bytes(b"other")
    assert cli.main(["example", str(export), str(tmp_path / "new")]) == 2
    assert "model.onnx" in capsys.readouterr().err
    target = Target.parse("x86_64-executorch-fp32")
    Exported.read(export).model_copy(update={"target": target}).write(export)
    assert cli.main(["example", str(export), str(tmp_path / "new")]) == 2
    assert "x86_64-executorch-fp32: no example" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example", "export"]
