"""Latent encoders: networks from past latents to the Gaussian over the present one, behind one interface.

`videoflow_tf.registry.LATENT_ENCODERS` has them by the names that `VideoFlowConfig.latent_encoder` gives them.
"""

from videoflow_tf.latent_encoders.base import LatentEncoder, WindowEncoder
from videoflow_tf.latent_encoders.conv2d import Conv2DEncoder
from videoflow_tf.latent_encoders.conv3d import Conv3DEncoder
from videoflow_tf.latent_encoders.conv_lstm import ConvLSTMEncoder
from videoflow_tf.latent_encoders.gaussian import DiagonalGaussian
from videoflow_tf.latent_encoders.pointwise import PointwiseEncoder

__all__ = [
    "Conv2DEncoder",
    "Conv3DEncoder",
    "ConvLSTMEncoder",
    "DiagonalGaussian",
    "LatentEncoder",
    "PointwiseEncoder",
    "WindowEncoder",
]
