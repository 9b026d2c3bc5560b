"""The C++ program of an example gives the model and answers what the Python one does."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from sklearn.datasets import load_sample_images

from edgepress import cli
from edgepress.data.picture import open_picture
from edgepress.data.preprocess import decode, fitted, normalise
from edgepress.records.inputs import InputSpec
from edgepress.tasks.keypoints.inside import windows
from edgepress.tasks.keypoints.labels import Params
from edgepress.tasks.task import Task
from tests import learnt, shapes
from tests.random_exports import CASES, CLASSES, exported

ROOT = Path(__file__).parents[3]
PLACES = (ROOT / "build/onnxruntime/include", Path("/usr/include/onnxruntime"),
          Path("/usr/local/include/onnxruntime"), Path("/usr/local/include"))  # fmt: skip
HEADERS = next((each for each in PLACES if (each / "onnxruntime_cxx_api.h").is_file()), None)
MISSING = [each for each in ("cmake", "g++") if shutil.which(each) is None]
MISSING += [] if HEADERS else ["onnxruntime_cxx_api.h (infra/headers.sh build/onnxruntime)"]
MISSING += [each for each in ("jpeglib.h", "png.h") if not Path("/usr/include", each).is_file()]
built_here = pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}")

TILES = {"overlap": 0.2, "whole": True}
BOXES = ("2,5,30.5,24", "-5,-5.005,8,9", "0.004,0,3.335,7.125", "12,3,14,900")
BOXES_ARRAY = np.array([box.split(",") for box in BOXES], np.float64)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real photographs as JPEG and PNG of every kind, size and way up."""
    folder = tmp_path_factory.mktemp("pictures")
    china, flower = (Image.fromarray(each) for each in load_sample_images().images)
    small, tall = china.resize((31, 25)), flower.crop((100, 50, 250, 400))
    alpha = tall.convert("L")
    deep = np.asarray(small.convert("L"), np.uint16) * 251 + 77
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "photo.jpg": (china, {}),
        "sharp.jpg": (tall, {"subsampling": 0, "progressive": True}),
        "small.jpg": (small, {"quality": 50}),
        "grey.jpg": (flower.convert("L"), {}),
        "cmyk.jpg": (tall.convert("CMYK"), {}),
        "input.jpg": (china.resize((72, 56)), {}),
        "plain.png": (flower, {}),
        "grey.png": (small.convert("L"), {}),
        "palette.png": (tall.quantize(200), {}),
        "clear.png": (tall.quantize(20), {"transparency": 3}),
        "two.png": (china.convert("1"), {}),
        "deep.png": (Image.fromarray(deep), {}),
        "alpha.png": (Image.merge("RGBA", [*tall.split(), alpha]), {}),
        "grey_alpha.png": (Image.merge("LA", [alpha, alpha.rotate(180)]), {}),
    }
    for name, (image, options) in kinds.items():
        image.save(folder / name, **options)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        kind = "png" if turn % 2 else "jpg"
        tall.save(folder / f"turned_{turn}.{kind}", exif=exif)
    return sorted(folder.iterdir())


class Program(NamedTuple):
    folder: Path
    spec: InputSpec
    binary: Path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(self.binary), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def answers(self, images: list[Path], raw: Path) -> tuple[int, list[dict[str, Any]]]:
        done = self.run("--raw", raw, self.folder / "model.onnx", *images)
        assert done.stderr == ""
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Program]:
    """Make an example by name and build its program as its README says; each is built once."""
    made: dict[str, Program] = {}
    prefix = tmp_path_factory.mktemp("onnxruntime")

    def build(name: str) -> Program:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            if name == "tiles":
                task = Task.open({**shapes.TASK.entry, "tiles": TILES}, shapes.TASK.classes, "test")
                export, spec = learnt.detector(folder / "export", task).folder, shapes.SPEC
            else:
                export, spec = exported(CASES[name], folder / "export"), CASES[name].spec
            assert cli.main(["example", str(export), str(folder / "example")]) == 0
            made[name] = Program(folder / "example", spec, _built(folder, prefix))
        return made[name]

    return build


def _built(folder: Path, prefix: Path) -> Path:
    if not (prefix / "lib").exists():
        _unpack(prefix)
    options = [f"-DONNXRUNTIME_ROOT={prefix}", "-DCMAKE_BUILD_TYPE=Debug",
               "-DCMAKE_CXX_FLAGS=-fsanitize=undefined -fno-sanitize-recover"]  # fmt: skip
    for command in (
        ["cmake", "-S", str(folder / "example/cpp"), "-B", str(folder / "build"), *options],
        ["cmake", "--build", str(folder / "build")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "predict"


def _unpack(prefix: Path) -> None:
    """Lay ONNX Runtime out as its archive is: the library is the one of the Python package."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    assert HEADERS is not None
    (library,) = (Path(spec.origin).parent / "capi").glob("libonnxruntime.so.*")
    (prefix / "include").symlink_to(HEADERS)
    (prefix / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (prefix / "lib" / name).symlink_to(library)


def pythons(folder: Path, arguments: Sequence[object], code: int = 0) -> list[dict[str, Any]]:
    """Return what predict.py of the same folder says."""
    command = [sys.executable, str(folder / "predict.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_rounding(found: Any, within: float = 1e-6) -> Any:
    """Return an answer whose numbers compare as equal within rounding; of boxes, in pixels."""
    if isinstance(found, dict):
        return {
            key: without_rounding(each, 1e-4 if key == "box" else within)
            for key, each in found.items()
        }
    if isinstance(found, list):
        return [without_rounding(each, within) for each in found]
    return pytest.approx(found, abs=within) if isinstance(found, float) else found


@built_here
@pytest.mark.parametrize("name", [name for name in CASES if name != "boxed"])
def test_answers_and_inputs_are_pythons_when_built_as_the_readme_says(
    name: str, program: Callable[[str], Program], pictures: list[Path], tmp_path: Path
) -> None:
    ours = program(name)
    code, found = ours.answers(pictures, tmp_path)
    assert code == 0, found
    for index, path in enumerate(pictures):
        given = np.load(tmp_path / f"{index}.image.npy")
        expected = normalise(decode(path.read_bytes(), ours.spec)[None], ours.spec)
        np.testing.assert_array_equal(given, expected, err_msg=path.name)
    assert [each.pop("raw") for each in found] == [f"{tmp_path}/{i}" for i in range(len(found))]
    expected_answers = pythons(ours.folder, pictures)
    assert found == without_rounding(expected_answers)
    assert len({_words(each) for each in found}) > 1, "a constant would pass as well"


def _words(answer: dict[str, Any]) -> str:
    several = [each["class"] for key in ("segments", "objects") for each in answer.get(key, ())]
    points = [(each["sure"], round(each["x"])) for each in answer.get("points", {}).values()]
    return str((answer.get("class"), answer.get("classes"), several, points))


@built_here
def test_outputs_are_written_as_they_are_when_the_task_is_not_decoded(
    program: Callable[[str], Program], pictures: list[Path], tmp_path: Path
) -> None:
    ours = program("tiles")
    code, found = ours.answers(pictures[:2], tmp_path)
    assert code == 0
    assert [sorted(each) for each in found] == [["height", "image", "raw", "width"]] * 2
    import onnxruntime

    session = onnxruntime.InferenceSession(str(ours.folder / "model.onnx"))
    names = [each.name for each in session.get_outputs()]
    for index in range(2):
        image = np.load(tmp_path / f"{index}.image.npy")
        for name, expected in zip(names, session.run(names, {"image": image}), strict=True):
            written = np.load(tmp_path / f"{index}.{name}.npy")
            np.testing.assert_allclose(written, expected, rtol=0, atol=1e-5)
    refused = ours.run(ours.folder / "model.onnx", pictures[0])
    assert refused.returncode == 2
    assert "not decoded here; --raw DIR writes them" in refused.stderr


@built_here
def test_bad_pictures_are_told_and_others_answered_when_both_are_given(
    program: Callable[[str], Program], pictures: list[Path], tmp_path: Path
) -> None:
    ours = program("classification")
    photo, plain = (next(each for each in pictures if each.name == name)
                    for name in ("photo.jpg", "plain.png"))  # fmt: skip
    line = io.BytesIO()
    Image.new("RGB", (60000, 1)).save(line, "png")
    bad = {
        "torn.jpg": (photo.read_bytes()[:9000], "corrupt: "),
        "torn.png": (plain.read_bytes()[:9000], "corrupt: "),
        "words.png": (b"no picture", "not an image: neither JPEG nor PNG"),
        "empty.jpg": (b"", "not an image: neither JPEG nor PNG"),
        "head.jpg": (b"\xff\xd8\xff\xe0", "corrupt: "),
        "line.png": (line.getvalue(), "too long: it would be resized to "),
        "turn.jpg": (photo.read_bytes()[:2] + b"\xff\xe1\0\x12Exif\0\0II*\0\xff\xff\xff\xff\0\0"
                     + photo.read_bytes()[2:], None),
    }  # fmt: skip
    for name, (data, _) in bad.items():
        (tmp_path / name).write_bytes(data)
    paths = [*(tmp_path / name for name in bad), tmp_path / "none.png", photo]
    code, found = ours.answers(paths, tmp_path)
    assert code == 2
    expected = [*(said for _, said in bad.values()), "cannot be opened", None]
    for answer, said in zip(found, expected, strict=True):
        assert (answer.get("error", "") if said else answer["class"]).startswith(said or "")
        assert ("error" in answer) == (said is not None)


@built_here
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no image"),
        (("model.onnx",), "no image"),
        (("--thread", "2", "model.onnx", "a.png"), "--thread"),
        (("--threads", "two", "model.onnx", "a.png"), "--threads: a whole number above 0, not two"),
        (("none.onnx", "a.png"), "none.onnx"),
    ],
    ids=["nothing", "no picture", "unknown", "no number", "no model"],
)
def test_the_command_line_is_refused_in_a_line_when_it_is_wrong(
    arguments: tuple[str, ...], said: str, program: Callable[[str], Program]
) -> None:
    done = program("classification").run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr.splitlines()[0]


@built_here
def test_objects_in_boxes_are_answered_as_python_does_when_some_lie_beyond_the_picture(
    program: Callable[[str], Program], pictures: list[Path], tmp_path: Path
) -> None:
    ours = program("boxed")
    params = Task.open(CASES["boxed"].entry, CLASSES, "test").params
    assert isinstance(params, Params)
    boxes = [f"--box={box}" for box in BOXES]
    asked = [word for box in BOXES for word in ("--box", box)]
    done = ours.run("--raw", tmp_path, *asked, ours.folder / "model.onnx", *pictures)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for index, path in enumerate(pictures):
        picture = open_picture(path.read_bytes()).image
        parts = windows(BOXES_ARRAY, picture.size, params)
        for number, part in enumerate(parts):
            given = np.load(tmp_path / f"{index}.{number}.image.npy")
            expected = normalise(fitted(part.of(picture), ours.spec)[None], ours.spec)
            np.testing.assert_array_equal(given, expected, err_msg=f"{path.name} {number}")
    for each in found:
        del each["raw"]
    assert found == without_rounding(pythons(ours.folder, [*boxes, *pictures]))


@built_here
@pytest.mark.parametrize("name", ["classification", "multilabel", "distances", "heatmap", "boxed"])
def test_there_is_no_answer_when_an_output_is_not_finite(
    name: str, program: Callable[[str], Program], pictures: list[Path], tmp_path: Path
) -> None:
    ours = program(name)
    model = onnx.load(ours.folder / "model.onnx")
    for each in model.graph.initializer:
        if each.data_type == onnx.TensorProto.FLOAT:
            nothing = np.full_like(numpy_helper.to_array(each), np.nan)
            each.CopyFrom(numpy_helper.from_array(nothing, each.name))
    onnx.save(model, tmp_path / "model.onnx")
    box = ["--box", BOXES[0]] if name == "boxed" else []
    done = ours.run(*box, tmp_path / "model.onnx", pictures[0])
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    if name == "boxed":
        assert [each["error"] for each in found["objects"]] == ["no answer"]
    else:
        assert (done.returncode, found["error"]) == (2, "no answer: an output is not finite")


@built_here
@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([], "no box; --box L,T,R,B for each object"),
        (["--box", "1,2,3"], "--box: L,T,R,B in pixels, not 1,2,3"),
        (["--box", "1,2,3,4,5"], "--box: L,T,R,B in pixels, not 1,2,3,4,5"),
        (["--box", "1,2,3,x"], "--box: L,T,R,B in pixels, not 1,2,3,x"),
        (["--box", "5,5,5,9"], "box 5, 5, 5, 9 has no area in a picture of "),
        (["--box", "nan,5,9,9"], "has no area in a picture of "),
    ],
    ids=["none", "three", "five", "no number", "no width", "nan"],
)
def test_box_is_refused_in_a_line_when_it_is_wrong(
    box: list[str], said: str, program: Callable[[str], Program], pictures: list[Path]
) -> None:
    ours = program("boxed")
    done = ours.run(*box, ours.folder / "model.onnx", pictures[0])
    assert done.returncode == 2
    assert said in (done.stdout or done.stderr).splitlines()[0]
