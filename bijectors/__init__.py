"""Normalizing-flow layers for images as TFP Bijectors: Glow's flow step and its parts.

`forward` maps data to latents, on inputs [..., H, W, C] with any leading dimensions; the log-det has the leading
dimensions' shape. `forward_and_log_det` gives both from one evaluation (see `bijector`).
"""

from bijectors.actnorm import ActNorm
from bijectors.bijector import Bijector
from bijectors.coupling import AdditiveCoupling, AffineCoupling, Coupling
from bijectors.flow_step import FlowStep
from bijectors.invertible_conv import InvertibleConv1x1
from bijectors.squeeze import Squeeze

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Bijector",
    "Coupling",
    "FlowStep",
    "InvertibleConv1x1",
    "Squeeze",
]
