"""Latent encoders: networks from past latents to the Gaussian over the present one, behind one interface."""

from videoflow_tf.latent_encoders.base import DiagonalGaussian, LatentEncoder, WindowEncoder
from videoflow_tf.latent_encoders.conv2d import Conv2DEncoder
from videoflow_tf.latent_encoders.conv3d import Conv3DEncoder
from videoflow_tf.latent_encoders.conv_lstm import ConvLSTMEncoder
from videoflow_tf.latent_encoders.pointwise import PointwiseEncoder

# By the name that `VideoFlowConfig.latent_encoder` gives it.
LATENT_ENCODERS = {
    "conv3d": Conv3DEncoder,
    "conv2d": Conv2DEncoder,
    "conv_lstm": ConvLSTMEncoder,
    "pointwise": PointwiseEncoder,
}

__all__ = [
    "LATENT_ENCODERS",
    "Conv2DEncoder",
    "Conv3DEncoder",
    "ConvLSTMEncoder",
    "DiagonalGaussian",
    "LatentEncoder",
    "PointwiseEncoder",
    "WindowEncoder",
]
