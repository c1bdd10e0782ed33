import numpy as np
from PIL import Image

from videoflow_tf.colour import with_channels


def test_luma_is_that_of_other_programs():
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 4, 3), dtype=np.uint8)
    grey = with_channels(frames, 1)
    assert grey.dtype == np.uint8 and grey.shape == (3, 8, 4, 1)
    expected = [np.asarray(Image.fromarray(frame).convert("L")) for frame in frames]
    np.testing.assert_allclose(grey[..., 0].astype(int), expected, atol=1)


def test_grey_comes_back_from_colour():
    grey = np.arange(256, dtype=np.uint8).reshape(2, 16, 8, 1)
    colour = with_channels(grey, 3)
    np.testing.assert_array_equal(colour, np.concatenate([grey] * 3, axis=-1))
    np.testing.assert_array_equal(with_channels(colour, 1), grey)
    assert with_channels(grey, 1) is grey and with_channels(colour, 3) is colour
