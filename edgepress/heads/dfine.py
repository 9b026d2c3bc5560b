"""D-FINE: a set of queries, each refined into one box and its classes, layer by layer.

Paper: Peng et al. 2024, https://arxiv.org/abs/2410.13842. Encoder, choice of queries and decoder
are those of the transformers library (Apache-2.0), built from a configuration with fresh weights;
the backbone is whichever gives the maps. Each layer has prediction weights of its own.
"""

from __future__ import annotations

import logging
import os
from itertools import pairwise
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from edgepress.backbones.features import FeatureInfo
from edgepress.errors import UserError
from edgepress.heads._layers import maps_of
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"
_STAGES = 4
"""Stages of the backbone that the library builds, and that is thrown away."""


class Params(Config):
    """Which maps are taken, and the size of encoder and decoder."""

    method: Literal["dfine"]
    strides: tuple[int, ...] = Field(min_length=2, max_length=_STAGES)
    """Strides of the maps, each twice the one before: [8, 16, 32], or [16, 32] in D-FINE-N."""
    width: int = Field(ge=8, le=1024, multiple_of=4)
    """Channels of all maps and of a query: 256, or 128 in D-FINE-N."""
    heads: int = Field(ge=1, le=64)
    """Heads of attention, a divisor of the width; 8 in the paper."""
    layers: int = Field(ge=2, le=12)
    """Layers of the decoder: 3 in D-FINE-N and S, 6 in L."""
    blocks: int = Field(ge=1, le=4)
    """Convolutions in each part of the encoder's fusion: 1 in D-FINE-S, 2 in N, 3 in L."""
    expansion: float = Field(gt=0, le=2)
    """How wide these are, as a share of half the width: 0.34 in D-FINE-N, 0.5 in S, 1 in L."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.strides[0] < 1 or any(b != 2 * a for a, b in pairwise(self.strides)):
            raise ValueError(f"strides must double, each the last, got {list(self.strides)}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width}, {self.heads}")
        if round(self.expansion * self.width // 2) < 1:
            raise ValueError(f"expansion leaves no channel of a width of {self.width}")
        return self


class Dfine(nn.Module):
    """Maps of a backbone to boxes [N, Q, 4], shares of the input, and logits [N, Q, classes].

    In training also what D-FINE's losses ask for, by name: of every layer, and of the encoder.
    """

    def __init__(self, model: nn.Module, taken: list[int], frame: tuple[int, int]) -> None:
        """Wrap the library's network, which takes some of the maps; the frame is width, height."""
        super().__init__()
        self.model = model
        self.taken = taken
        self.frame = frame
        last = f"model.decoder.{{}}.{len(model.decoder.layers) - 1}"  # type: ignore[union-attr, arg-type]
        self.float_layers = (
            f"{last.format('bbox_embed')}.layers.2",
            last.format("class_embed"),
            f"{last.format('lqe_layers')}.reg_conf.layers.1",
        )

    def forward(self, maps: list[Tensor]) -> tuple[Tensor | dict[str, Tensor], ...]:
        """Map a backbone's features to the outputs."""
        model: Any = self.model
        projections = zip(model.encoder_input_proj, self.taken, strict=True)
        inner = [project(maps[index]) for project, index in projections]
        # The first map only tells it how many images there are: the encoder has seen them.
        found = model(None, inputs_embeds=inner[0], encoder_outputs=model.encoder(inner))
        boxes, scores = found.intermediate_reference_points, found.intermediate_logits
        if not self.training:
            return boxes[:, -1], scores[:, -1]
        more = {
            "layer_boxes": boxes,
            "layer_scores": scores,
            "layer_corners": found.intermediate_predicted_corners,
            "layer_references": found.initial_reference_points,
            "first_boxes": found.enc_topk_bboxes,
            "first_scores": found.enc_topk_logits,
            "frame": boxes.new_tensor(self.frame),
        }
        return boxes[:, -1], scores[:, -1], more


class _Fixed(nn.Module):
    """What an input of one size always gives, for a module that would work it out each time.

    In a graph that is a constant, and not float64, which LiteRT cannot raise to a power.
    """

    def __init__(self, value: Tensor) -> None:
        """Keep a tensor, outside of the weights."""
        super().__init__()
        self.register_buffer("value", value, persistent=False)

    def forward(self, **_: Any) -> Any:
        """Return the tensor, whatever is asked."""
        return self.value


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for boxes [1, Q, 4] and logits [1, Q, classes] of queries."""
    names = [output.name.partition("_")[0] for output in outputs]
    if names != ["boxes", "scores"] or any(each.layout != "NLC" for each in outputs):
        raise UserError(
            f"head dfine: gives boxes and scores of queries, and the task asks for "
            f"{', '.join(each.name for each in outputs)}; choose another head, or "
            "task.coding: {method: queries, ...}"
        )
    taken = _taken(info, spec, params)
    places = sum((spec.height // each) * (spec.width // each) for each in params.strides)
    _, queries, classes = outputs[1].shape
    if places < queries:
        raise UserError(
            f"head dfine: {queries} queries are more than the {places} places of the maps of "
            f"strides {list(params.strides)}; lower task.coding.queries or take finer maps"
        )
    channels = [info[index].channels for index in taken]
    model = _model(channels, (queries, classes), spec, params)
    return Dfine(model, taken, (spec.width, spec.height))


def _taken(info: tuple[FeatureInfo, ...], spec: InputSpec, params: Params) -> list[int]:
    """Return the map of each stride; a backbone or an input that does not fit is a UserError."""
    coarsest = params.strides[-1]
    if spec.height % coarsest or spec.width % coarsest:
        raise UserError(
            f"head dfine: the input must be a multiple of {coarsest} high and wide, the coarsest "
            f"stride, since maps are doubled, got {spec.height} x {spec.width}"
        )
    found = maps_of(info, list(params.strides), "dfine")
    there = [index for index in found if index is not None]
    if len(there) < len(found):
        raise UserError(
            f"head dfine: the backbone has no map of stride {coarsest}, its coarsest is "
            f"{max(each.reduction for each in info)}; choose other strides or another backbone"
        )
    return there


def _not_of_registering(record: logging.LogRecord) -> bool:
    return "register_constant" not in record.getMessage()


def _model(
    channels: list[int], sizes: tuple[int, int], spec: InputSpec, params: Params
) -> nn.Module:
    """Return the library's network for maps of such channels, without its backbone."""
    # Its checks would become steps of the graph, which no exporter knows.
    os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")
    # torchao, which it imports, registers its types in a way that torch warns of.
    logging.getLogger("torch.utils._pytree").addFilter(_not_of_registering)
    from transformers import DFineConfig, HGNetV2Config
    from transformers.models.d_fine.modeling_d_fine import DFineForObjectDetection

    levels, width = len(channels), params.width
    least, two = (1,) * _STAGES, (2,) * _STAGES
    backbone = HGNetV2Config(  # As small as it may be: of it only the channels of its maps count.
        hidden_sizes=[*two[levels:], *channels],
        out_indices=list(range(_STAGES + 1 - levels, _STAGES + 1)),
        embedding_size=2,
        depths=least,
        stem_channels=(3, 2, 2),
        stage_num_blocks=least,
        stage_numb_of_layers=least,
        stage_in_channels=two,
        stage_mid_channels=two,
        stage_out_channels=two,
    )
    config = DFineConfig(
        backbone_config=backbone,
        num_queries=sizes[0],
        num_labels=sizes[1],
        num_denoising=0,
        num_feature_levels=levels,
        feat_strides=list(params.strides),
        anchor_image_size=[spec.height, spec.width],
        encoder_in_channels=channels,
        encode_proj_layers=[levels - 1],
        encoder_hidden_dim=width,
        encoder_ffn_dim=4 * width,
        encoder_attention_heads=params.heads,
        depth_mult=params.blocks / 3,
        hidden_expansion=params.expansion,
        d_model=width,
        decoder_in_channels=[width] * levels,
        decoder_ffn_dim=4 * width,
        decoder_attention_heads=params.heads,
        decoder_layers=params.layers,
        tie_word_embeddings=False,
    )
    model: Any = DFineForObjectDetection(config).model
    model.backbone = nn.Identity()
    attention, coarsest = model.encoder.aifi[0], params.strides[-1]
    size = {"height": spec.height // coarsest, "width": spec.width // coarsest}
    place = attention.position_embedding(**size, device=torch.device("cpu"), dtype=torch.float32)
    attention.position_embedding = _Fixed(place)
    return model  # type: ignore[no-any-return]
