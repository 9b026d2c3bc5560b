"""ONNX: one file for ONNX Runtime, float32 or INT8 as Q/DQ nodes.

INT8 is uint8 activations and 7-bit signed weights (`reduce_range`). On x86 CPUs without VNNI the
8-bit kernels add two products in 16 bit and saturate: on such a host a ResNet-20 for digits, with
full 8-bit weights, had a lowest cosine to the float logits of 0.857 over 497 images, and signed
symmetric activations 0.721; with 7-bit weights it was 0.9992. Signed activations do not saturate
as long as they are asymmetric (0.9988), but ran at half the speed. One file thus serves all CPUs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.export.ending import asked
from edgepress.export.export_job import ExportJob, Written, finish, ports, versions
from edgepress.export.float_layers import note
from edgepress.export.graph import Scheme, write_graph
from edgepress.export.toolchain import Toolchain
from edgepress.params import Config
from edgepress.records.exported import Exported

_FILE = "model.onnx"
_ANY_CPU = Scheme(
    signed_activations=False,
    symmetric_activations=False,
    reduce_range=True,
    int32_bias=True,
    only_weighted_inputs=False,
    holds=Toolchain(
        "ONNX",
        weight_bits=(4, 8, 16, 32),
        activation_bits=(8, 16, 32),
        weight_zero_points=True,
        activation_axes=True,
    ),
)


class Params(Config):
    """Parameters of `onnx`."""

    method: Literal["onnx"]
    """Name of the method."""
    opset: int = Field(ge=18, le=23)
    """ONNX operator set of the file; 18 is read by every ONNX Runtime since 1.14."""
    decoded: bool = False
    """Whether the graph goes on to the final answer: boxes decoded and suppressed, beside its maps.
    """


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.onnx, inputs and outputs under their own names."""
    ending = asked(job, params.decoded, "export.onnx.decoded")
    write_graph(job, job.out / _FILE, params.opset, _ANY_CPU, ending)
    notes = ("weights in 7 bit: safe on CPUs without VNNI",) if job.int8 else ()
    written = Written(
        format="onnx",
        entry=_FILE,
        inputs=ports(job.inputs),
        outputs=ports((*job.outputs, *(ending.outputs if ending else ()))),
        tools=versions("torch", "onnx", "onnxscript", "onnxruntime"),
        notes=(*notes, *note(job)),
    )
    return finish(job, written)
