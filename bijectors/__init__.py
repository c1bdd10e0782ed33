"""Normalizing-flow layers for images as TFP Bijectors: Glow's flow step and its parts.

`forward` maps data to latents, on inputs [..., H, W, C] with any leading dimensions; the log-det has the leading
dimensions' shape. Value and log-det come from one evaluation (see `one_pass`).
"""

from bijectors.actnorm import ActNorm
from bijectors.coupling import AdditiveCoupling, AffineCoupling
from bijectors.flow_step import FlowStep, flow_level, fold_level_inverse
from bijectors.invertible_conv import InvertibleConv1x1
from bijectors.squeeze import Squeeze

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "FlowStep",
    "InvertibleConv1x1",
    "Squeeze",
    "flow_level",
    "fold_level_inverse",
]
