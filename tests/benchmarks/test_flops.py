import flops
import pytest
import tensorflow as tf

from tests.conftest import TINY
from videoflow_tf import VideoFlow, VideoFlowConfig

# Other widths than those of the flow's channels, so that none stands for another.
WIDTHS = {"depth": 2, "coupling_width": 5, "latent_encoder_depth": 2, "latent_encoder_width": 7}
CONFIG = TINY.replace(**WIDTHS, num_past_latents=3, num_context=3, num_train_frames=5, num_eval_frames=5)


def test_equals_a_count_by_hand():
    # 5 frames, the first 3 given. Level 0: 4x4 pixels, 12 channels in the flow, 6 in the latent; level 1 (top): 2x2
    # pixels, 24 channels in the flow, all of them latent.
    parts = flops.forward_flops(CONFIG, num_frames=5, num_given=3)
    # Two steps; 3x3 to 5 channels, two 1x1 of 5 to 5, 3x3 to a shift and a scale.
    level_0 = 2 * (9 * 6 * 5 + 5 * 10 + 9 * 5 * 12)
    level_1 = 2 * (9 * 12 * 5 + 5 * 10 + 9 * 5 * 24)
    assert parts["coupling networks"] == 2 * 5 * (16 * level_0 + 4 * level_1)
    assert parts["channel mixing"] == 2 * 5 * 2 * (16 * 12 * 12 + 4 * 24 * 24)
    assert parts["level priors"] == 2 * 2 * 16 * 9 * 6 * 12
    # Windows of 3. The second block gives 1 step, from 2 hidden ones; the first block must give 3, from all 3.
    # Inputs at level 0: the latent's 6 channels and the level mean's 6.
    both_0 = 3 * (18 * 12 * 7 + 7 * 14 + 18 * 7 * 12) + 2 * (18 * 12 * 7 + 7 * 14) + 18 * 7 * 12 + 12 * 12
    both_1 = 3 * (18 * 24 * 7 + 7 * 14 + 18 * 7 * 24) + 2 * (18 * 24 * 7 + 7 * 14) + 18 * 7 * 24 + 24 * 48
    assert parts["latent encoders"] == 2 * 2 * (16 * both_0 + 4 * both_1)
    assert flops.training_flops(CONFIG, 5, 3) == 3 * sum(parts.values())


def test_frames_without_enough_past_need_no_latent_encoder():
    assert flops.forward_flops(CONFIG, 3, 0)["latent encoders"] == 0
    one = flops.forward_flops(CONFIG, 4, 3)["latent encoders"]
    assert flops.forward_flops(CONFIG, 6, 0)["latent encoders"] == 3 * one


# Wide enough for what is not counted, the edges' share and the channel matrices, to be small.
MEDIUM = CONFIG.replace(frame_size=16, coupling_width=32, latent_encoder_width=32, depth=1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"latent_encoder_depth": 4, "num_past_latents": 2, "latent_activation": "relu"},
        {"num_past_latents": 1, "num_context": 1, "coupling": "additive", "coupling_activation": "relu"},
        {"latent_encoder_input": "level"},
        {"dequantization": "variational", "dequantization_width": 24},
        # Latents of 8x12, where two dilations fit, and 4x6, where one does.
        {"frame_size": "16x24", "latent_dilations": (1, 2, 4), "channels": 1, "dequantization": "variational"},
        {"latent_encoder": "conv2d"},
        {"latent_encoder": "conv2d", "latent_architecture": "single_conv", "condition_on_first_frame": True},
        {"latent_encoder": "conv2d", "latent_architecture": "conv_blocks", "latent_pre_output_channels": 32},
        {"latent_encoder": "pointwise"},
        {"conditional": False},
    ],
)
def test_agrees_with_tensorflows_profiler(changes):
    config = MEDIUM.replace(**changes)
    given = config.num_context if config.conditional else 0
    batch, frames = 4, 12
    counted = batch * sum(flops.forward_flops(config, frames, given).values())
    assert counted == pytest.approx(_profiled(config, batch, frames), rel=0.04)


def _profiled(config: VideoFlowConfig, batch: int, frames: int) -> int:
    """Operations of the convolutions and matrix products in the graph of the likelihood."""
    model = VideoFlow(config)
    video = tf.TensorSpec([batch, frames, *config.frame_shape], tf.uint8)
    graph = tf.function(lambda v: model.bits_per_pixel(v), autograph=False).get_concrete_function(video).graph
    profiler = tf.compat.v1.profiler
    builder = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    options = builder.with_accounted_types(["Conv2D", "MatMul", "BatchMatMulV2"]).with_empty_output().build()
    return profiler.profile(graph, options=options).total_float_ops
