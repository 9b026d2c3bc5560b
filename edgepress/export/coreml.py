"""Core ML: an ML program package for iOS and macOS, float32, or INT8 weights and activations.

Converted on any host by coremltools from a TorchScript trace; int8 is calibrated in PyTorch first,
since coremltools' own calibration on a finished program needs a Mac. Seen through the reference
interpreter, a ResNet-8 for digits had a cosine of 1.0000 to the float logits, INT8 0.9998. The
same network gives the same bytes in every process: the package's random ids and its date go.
"""

from __future__ import annotations

import copy
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from edgepress.errors import UserError
from edgepress.export.calibration_images import OBSERVED
from edgepress.export.export_job import (
    ExportJob,
    NotExportedError,
    Written,
    finish,
    ports,
    versions,
)
from edgepress.export.float_layers import float_paths, note, refuse_missing, with_followers
from edgepress.export.toolchain import Toolchain
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.coreml import library
from edgepress.runtimes.quiet import quiet

if TYPE_CHECKING:
    import torch

_PACKAGE: Final = "model.mlpackage"
_HOLDS: Final = Toolchain("Core ML", weight_zero_points=True)


class Params(Config):
    """Parameters of `coreml`."""

    method: Literal["coreml"]
    """Name of the method."""
    minimum_deployment_target: Literal["iOS15", "iOS16", "iOS17", "iOS18"]
    """Oldest system the package runs on; macOS 12 to 15 correspond. INT8 needs iOS17."""


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.mlpackage, inputs and outputs under their own names."""
    if (job.int8 or job.mixed) and params.minimum_deployment_target in ("iOS15", "iOS16"):
        raise UserError(
            f"target {job.target}: int8 needs coreml.minimum_deployment_target iOS17 or later, "
            f"got {params.minimum_deployment_target}"
        )
    coremltools = library()
    with quiet("coremltools"):
        _take_numbers_out_of_arrays()
        graph, notes = _graph(job)
        package = _convert(coremltools, job, params, graph)
        package.save(str(job.out / _PACKAGE))
    _make_reproducible(job.out / _PACKAGE, coremltools)
    written = Written(
        format="coreml",
        entry=_PACKAGE,
        inputs=ports(job.inputs),
        outputs=ports(job.outputs),
        tools=versions("torch", "coremltools"),
        notes=notes,
    )
    return finish(job, written)


def _convert(coremltools: Any, job: ExportJob, params: Params, graph: Any) -> Any:
    import numpy as np

    precision = coremltools.precision
    passes = coremltools.PassPipeline.DEFAULT
    # This pass joins quantized tensors around a reshape without comparing their scales: a network
    # that flattens after pooling answered with a cosine of -0.85.
    passes.remove_passes({"common::int_op_canonicalization"})
    return coremltools.convert(
        graph,
        inputs=[
            coremltools.TensorType(spec.name, shape=spec.shape, dtype=np.dtype(spec.dtype).type)
            for spec in job.inputs
        ],
        outputs=[
            coremltools.TensorType(spec.name, dtype=np.dtype(spec.dtype).type)
            for spec in job.outputs
        ],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target[params.minimum_deployment_target],
        compute_precision=precision.FLOAT16 if job.int8 else precision.FLOAT32,
        pass_pipeline=passes,
        skip_model_load=True,
    )


def _graph(job: ExportJob) -> tuple[Any, tuple[str, ...]]:
    """Return what coremltools reads, a TorchScript trace or a torch.export program, and notes."""
    import torch

    if not job.mixed:
        model = _quantize(job) if job.int8 else job.model
        return torch.jit.trace(model, job.zeros()), _notes(job)  # type: ignore[no-untyped-call]
    from edgepress.export.given_scales import honoured

    held = honoured(job, _HOLDS)
    program = torch.export.export(held.module, job.zeros(), strict=False)
    return program.run_decompositions({}), (
        *held.notes,
        "float32 but for what the recipe quantizes: Core ML runs it on CPU and GPU",
    )


def _take_numbers_out_of_arrays() -> None:
    """Let `int(x.shape[0])` in a network convert.

    coremltools 9.0 calls int() on an array of one element, which NumPy refuses from 2.4 on:
    https://github.com/apple/coremltools/issues/2633
    """
    import numpy as np
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch import ops

    theirs = ops._cast
    if theirs.__name__ == "cast":
        return

    def cast(context: Any, node: Any, dtype: Any, name: str) -> None:
        (x,) = ops._get_inputs(context, node, expected=1)
        if not x.can_be_folded_to_const() or np.size(x.val) != 1:
            theirs(context, node, dtype, name)
            return
        context.add(Builder.const(val=dtype(np.asarray(x.val).item()), name=node.name), node.name)

    ops._cast = cast


def _quantize(job: ExportJob) -> torch.nn.Module:
    """Return a copy of the network with int8 weights and quantized activations."""
    import torch
    from coremltools.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig

    images = job.calibration_images()
    settings = {
        "quantization_scheme": "symmetric",
        "weight_dtype": "qint8",
        "weight_per_channel": job.quantized.recipe.per_channel,
        "weight_observer": "min_max",
        "activation_dtype": "quint8",
        "activation_observer": "min_max",
    }
    layers = dict.fromkeys(float_paths(job).values())
    config = LinearQuantizerConfig.from_dict(
        {"global_config": settings, "module_name_configs": layers}
    )
    try:
        quantizer = LinearQuantizer(_folded(job.model), config)
        prepared = quantizer.prepare(example_inputs=job.zeros())
    except torch.fx.proxy.TraceError as error:
        raise NotExportedError(
            f"torch.fx cannot follow this network, which int8 for Core ML needs ({error})"
        ) from None
    _leave_float(job, prepared)
    prepared.eval()
    prepared.apply(torch.ao.quantization.disable_fake_quant)
    with torch.no_grad():
        for batch in images.batches(OBSERVED):
            prepared(torch.from_numpy(batch))
    quantized: torch.nn.Module = quantizer.finalize()
    return quantized


def _leave_float(job: ExportJob, prepared: torch.fx.GraphModule) -> None:
    """Take the fake quantization out of what follows the float layers."""
    graph, layers = prepared.graph, float_paths(job)
    first = [node for node in graph.nodes if node.target in layers.values()]
    found = {node.target for node in first}
    refuse_missing(_HOLDS, layers, {name for name, path in layers.items() if path in found})
    for node in with_followers(first, lambda node: node.users):
        if node.op == "call_module" and "activation_post_process" in str(node.target):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    prepared.recompile()


def _folded(model: torch.nn.Module) -> torch.nn.Module:
    """Return a traced copy whose batch norms are part of the convolutions before them.

    The quantizer traces in training mode, which would make every batch norm that is no module of
    torch's own, such as timm's BatchNormAct2d, normalize by the statistics of each image.
    """
    from torch import nn
    from torch.fx.experimental.optimization import fuse

    plain = copy.deepcopy(model)
    for parent in list(plain.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm2d) and type(norm) is not nn.BatchNorm2d:
                setattr(parent, name, _apart(norm))
    folded: nn.Module = fuse(plain.eval(), inplace=True)
    return folded


def _apart(norm: Any) -> torch.nn.Module:
    """Split timm's norm-and-activation into a plain batch norm and what follows it."""
    from torch import nn

    plain = nn.BatchNorm2d(norm.num_features, norm.eps, affine=norm.affine)
    plain.load_state_dict(norm.state_dict(), strict=False)
    after = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(plain, *after).eval()


def _make_reproducible(package: Path, coremltools: Any) -> None:
    """Replace the manifest's random ids, drop the date and write the program in a fixed order."""
    manifest = json.loads((package / "Manifest.json").read_text(encoding="utf-8"))
    items = manifest["itemInfoEntries"]
    renamed = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])) for old, item in items.items()
    }
    manifest["itemInfoEntries"] = {renamed[old]: item for old, item in items.items()}
    manifest["rootModelIdentifier"] = renamed[manifest["rootModelIdentifier"]]
    text = json.dumps(manifest, indent=4, sort_keys=True)
    (package / "Manifest.json").write_text(text + "\n", encoding="utf-8")
    path = package / "Data/com.apple.CoreML/model.mlmodel"
    model = coremltools.proto.Model_pb2.Model.FromString(path.read_bytes())
    model.description.metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _notes(job: ExportJob) -> tuple[str, ...]:
    if job.int8:
        return (
            "weights int8, activations 8 bit symmetric, everything else float16",
            "input and output are float32: Core ML quantizes inside",
            *note(job),
        )
    return (
        "float32 throughout: runs on CPU and GPU, since the Neural Engine works in float16; "
        "the int8 export can use it",
    )
