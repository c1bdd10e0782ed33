import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from videoflow_tf import UserError, pixels
from videoflow_tf.data import train_clips
from videoflow_tf.optimizer import make_optimizer

LOG_2 = math.log(2.0)


def size_of(changes: dict) -> int:
    return changes.get("frame_size", 8)


# --- Encoding and decoding ---


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float64", 1e-9)])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_a_clip_comes_back_from_its_latents(make_model, make_frames, dtype, tolerance, coupling):
    model = make_model(dtype, moved=0.1, frame_size=16, depth=3, coupling=coupling)
    frames = tf.constant(make_frames(size=16), dtype)
    latents = model.encode(frames)
    assert [z.shape for z in latents] == [(2, 4, *model.hparams.latent_shape(level)) for level in range(2)]
    fresh = [tf.constant(z.numpy()) for z in latents]  # Else TFP's cache answers with the frames themselves.
    decoded = model.decode(fresh)
    assert decoded.dtype == dtype
    np.testing.assert_allclose(decoded, frames, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float64", 1e-9)])
def test_latents_come_back_from_their_frames(make_model, dtype, tolerance):
    model = make_model(dtype, moved=0.1, frame_size=16, depth=3)
    rng = np.random.default_rng(0)
    latents = [tf.constant(rng.normal(size=(2, 3, *model.hparams.latent_shape(i))), dtype) for i in range(2)]
    frames = tf.constant(model.decode(latents).numpy())
    for z, again in zip(latents, model.encode(frames), strict=True):
        np.testing.assert_allclose(again, z, atol=tolerance)


def test_frames_are_encoded_one_by_one(make_model, make_frames):
    model, frames = make_model(), tf.constant(make_frames())
    whole = model.encode(frames)
    for t in range(4):
        for z, alone in zip(whole, model.encode(frames[:, t : t + 1]), strict=True):
            np.testing.assert_allclose(alone, z[:, t : t + 1], atol=1e-12)


def test_encode_follows_an_assignment_to_the_weights(make_model, make_frames):
    model, frames = make_model(), tf.constant(make_frames())
    before = model.encode(frames)
    model.flow[0].trainable_variables[0].assign_add(model.flow[0].trainable_variables[0] + 1.0)
    assert not np.allclose(model.encode(frames)[0], before[0])


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_the_log_det_is_that_of_the_jacobian(make_model, make_frames, levels, coupling):
    model = make_model(moved=0.2, frame_size=4, levels=levels, depth=2, coupling=coupling)
    x = tf.constant(make_frames(1, 1, 4).reshape(1, -1))
    frames = tf.reshape(x, [1, 1, 4, 4, 3])

    @tf.function
    def jacobian(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            latents = model.encode(tf.reshape(x, [1, 1, 4, 4, 3]))
            flat = tf.concat([tf.reshape(z, [-1]) for z in latents], axis=0)
        return tape.jacobian(flat, x)[:, 0]

    expected = np.linalg.slogdet(jacobian(x))[1]
    np.testing.assert_allclose(model._encode(frames).log_det, [[expected]], atol=1e-9)


# --- The density ---


def log_normal(z: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    centred = z - mean
    distance = np.sum(centred * np.linalg.solve(covariance, centred.T).T, axis=1)
    return -0.5 * (distance + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.mark.parametrize(("levels", "frame_size", "num_frames"), [(1, 2, 1), (1, 2, 2), (2, 4, 1)])
def test_the_density_has_a_total_mass_of_one(make_model, make_frames, levels, frame_size, num_frames):
    model = make_model(frame_size=frame_size, levels=levels, depth=2, moved=0.05, num_past_latents=1)
    context = tf.constant(make_frames(1, 1, frame_size))
    future = model.future(context, num_frames)
    count, shape = 8000, (num_frames, frame_size, frame_size, 3)
    draw = tf.function(lambda seed: future.sample(count, seed=seed))
    log_prob = tf.function(lambda x: future.log_prob(x)[:, 0])
    flat = draw(tf.constant([1, 2])).numpy().reshape(count, -1)
    mean, covariance = flat.mean(axis=0), np.cov(flat.T)
    rng = np.random.default_rng(7)

    # Under a wider normal q: E_q[p/q], the mass of p.
    wider = 1.15 * covariance
    proposals = rng.multivariate_normal(mean, wider, size=count)
    x = tf.constant(proposals.reshape(count, 1, *shape))
    weights = np.exp(log_prob(x).numpy() - log_normal(proposals, mean, wider))
    assert weights.std() / np.sqrt(count) < 0.03
    assert weights.mean() == pytest.approx(1.0, abs=4 * weights.std() / np.sqrt(count))

    # Under the model's own draws, a narrower normal r: E_p[r/p] = 1 if p is what `sample` draws from. Fresh draws:
    # on those that it was fitted to, r would be too large.
    draws = draw(tf.constant([3, 4]))
    flat, narrower = draws.numpy().reshape(count, -1), 0.85 * covariance
    weights = np.exp(log_normal(flat, mean, narrower) - log_prob(draws).numpy())
    assert weights.std() / np.sqrt(count) < 0.03
    assert weights.mean() == pytest.approx(1.0, abs=4 * weights.std() / np.sqrt(count))


@pytest.mark.parametrize("num_context", [1, 2, 4])
def test_the_ways_to_a_likelihood_agree(make_model, make_frames, encoder_changes, num_context):
    """Contexts shorter and longer than the window, for every kind of latent encoder."""
    model, frames = make_model(**encoder_changes), tf.constant(make_frames(2, 6, size_of(encoder_changes)))
    context, x = frames[:, :num_context], frames[:, num_context:]
    whole = model.future(context, 6 - num_context).log_prob(x).numpy()

    steps = [model.future(frames[:, :t], 1).log_prob(frames[:, t : t + 1]).numpy() for t in range(num_context, 6)]
    np.testing.assert_allclose(whole, np.sum(steps, axis=0), rtol=1e-10)

    # The normals of the latents, and the volume.
    first = model.hparams.condition_on_first_frame
    doubled = tf.concat([frames[:, :1], frames], axis=1) if first else frames
    levels, log_det = model._encode(doubled)
    start = num_context + first
    normals = 0.0
    for prior, clip in zip(model.priors, levels, strict=True):
        gaussian, z = prior.sequence(clip, start), clip.latents[:, start:]
        scaled = (z - gaussian.mean) / tf.exp(gaussian.log_scale)
        log_density = -0.5 * scaled**2 - gaussian.log_scale - 0.5 * math.log(2 * math.pi)
        normals += tf.reduce_sum(log_density, axis=[1, 2, 3, 4]).numpy()
    np.testing.assert_allclose(whole, normals + tf.reduce_sum(log_det[:, start:], axis=1), rtol=1e-10)


@pytest.mark.parametrize("num_context", [1, 3])
def test_bits_per_pixel_are_those_of_the_future(make_model, make_video, encoder_changes, num_context):
    size = size_of(encoder_changes)
    model, video = make_model(**encoder_changes), make_video(2, 5, size)
    slots = 5 + model.hparams.condition_on_first_frame
    noise = np.random.default_rng(1).uniform(size=(2, slots, size, size, 3))
    bits = model.bits_per_pixel(video, num_context, noise)
    assert bits.shape == [2] and bits.dtype == tf.float32

    x = (video + noise[:, slots - 5 :]) / 256 - 0.5
    future = model.future(
        video[:, :num_context], 5 - num_context, dequantization_noise=noise[:, : slots - 5 + num_context]
    )
    log_prob = future.log_prob(x[:, num_context:])
    expected = 8 - log_prob / ((5 - num_context) * size * size * 3 * LOG_2)
    np.testing.assert_allclose(bits, expected, rtol=1e-6)

    per_frame = model.frame_bits_per_pixel(video, num_context, noise)
    assert per_frame.shape == [2, 5 - num_context] and per_frame.dtype == tf.float32
    np.testing.assert_allclose(np.mean(per_frame, axis=1), bits, rtol=1e-6)
    for t in range(num_context, 5):
        given = model.future(video[:, :t], 1, dequantization_noise=noise[:, : slots - 5 + t])
        one = 8 - given.log_prob(x[:, t : t + 1]) / (size * size * 3 * LOG_2)
        np.testing.assert_allclose(per_frame[:, t - num_context], one, rtol=1e-6)


def test_float32_agrees_with_float64(make_model, make_video):
    single, double = make_model("float32"), make_model("float64")
    for a, b in zip(single.variables, double.variables, strict=True):
        b.assign(tf.cast(a, b.dtype))
    video = make_video()
    noise = np.random.default_rng(0).uniform(size=video.shape).astype(np.float32)
    np.testing.assert_allclose(
        single.bits_per_pixel(video, None, noise), double.bits_per_pixel(video, None, noise), rtol=1e-5
    )


# --- Sampling ---


def test_shapes_and_types_of_samples(make_model, make_video):
    model, video = make_model("float32"), make_video(2, 2)
    future = model.future(video, 3)
    assert future.batch_shape == [2] and future.event_shape == [3, 8, 8, 3]
    for sample_shape, leading in (((), [2]), (3, [3, 2]), ((2, 3), [2, 3, 2])):
        draws = future.sample(sample_shape, seed=1)
        assert draws.shape == [*leading, 3, 8, 8, 3] and draws.dtype == tf.float32
        log_prob = future.log_prob(tf.identity(draws))
        assert log_prob.shape == leading and np.isfinite(log_prob).all()
    assert not np.allclose(draws[0, 0], draws[0, 1]) and not np.allclose(draws[0, 0], draws[1, 0])
    predicted = model.predict_frames(video, 3, seed=1)
    assert predicted.shape == [2, 3, 8, 8, 3] and predicted.dtype == tf.uint8


def test_one_future_is_scored_for_every_context_of_the_batch(make_model, make_video, make_frames):
    model, x = make_model(), tf.constant(make_frames(1, 2))
    future = model.future(make_video(2, 2), 2)
    expected = future.log_prob(tf.concat([x, x], axis=0))
    np.testing.assert_allclose(future.log_prob(x), expected, rtol=1e-10)
    np.testing.assert_allclose(future.log_prob(x[0]), expected, rtol=1e-10)


@pytest.mark.parametrize("num_context", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_sampled_latents_are_mean_plus_sigma_times_noise(
    make_model, make_frames, encoder_changes, num_context, temperature
):
    """The level-by-level sampler against the parallel path: whitened by it, a sample is white noise."""
    size = size_of(encoder_changes)
    model = make_model(**encoder_changes, moved=0.02)
    context = tf.constant(make_frames(1, num_context, size))
    sample_batch = 1 if temperature == 0 else 6
    context = tf.repeat(context, sample_batch, axis=0)
    x = model.future(context, 4, temperature).sample(seed=(3, 4))
    first = model.hparams.condition_on_first_frame
    clip = tf.concat([*[context[:, :1]] * first, context, tf.identity(x)], axis=1)
    start = num_context + first
    noise = []
    for prior, level in zip(model.priors, model._encode(clip).levels, strict=True):
        gaussian = prior.sequence(level, start)
        noise.append(((level.latents[:, start:] - gaussian.mean) * tf.exp(-gaussian.log_scale)).numpy().ravel())
    noise = np.concatenate(noise)
    if temperature == 0:
        np.testing.assert_allclose(noise, 0.0, atol=1e-8)
    else:
        bound = 5 / np.sqrt(len(noise))
        assert abs(noise.mean() / temperature) < bound
        assert abs(noise.var() / temperature**2 - 1) < math.sqrt(2) * bound


def test_many_draws_have_the_mean_and_sigma_of_the_prior(make_model, make_frames):
    model = make_model(frame_size=4, depth=2)
    context = tf.constant(make_frames(1, 2, 4))
    count = 4000
    draws = model.future(context, 1).sample(count, seed=(1, 1))[:, 0]
    clip = tf.concat([tf.repeat(context, count, axis=0), draws], axis=1)
    top = model._encode(clip).levels[-1]
    one = top._replace(latents=top.latents[:1])
    gaussian = model.priors[-1].sequence(one, 2)  # A function of the context: the same for every draw.
    z = top.latents[:, 2].numpy()
    sigma = np.exp(gaussian.log_scale[0, 0])
    assert (np.abs(z.mean(axis=0) - gaussian.mean[0, 0]) < 5 * sigma / np.sqrt(count)).all()
    np.testing.assert_allclose(z.std(axis=0), sigma, rtol=5 / np.sqrt(2 * count))


def test_temperature_zero_has_one_outcome(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    first = model.predict_frames(context, 4, temperature=0.0, seed=1)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0, seed=2), first)
    np.testing.assert_array_equal(model.predict_frames(context, 4, temperature=0.0), first)
    assert not np.array_equal(model.predict_frames(context, 4, temperature=1.0, seed=1), first)


def test_samples_follow_the_seed(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    first = model.predict_frames(context, 3, seed=(1, 2)).numpy()
    np.testing.assert_array_equal(model.predict_frames(context, 3, seed=(1, 2)), first)
    assert not np.array_equal(model.predict_frames(context, 3, seed=(1, 3)), first)
    assert not np.array_equal(model.predict_frames(context, 3), model.predict_frames(context, 3))


def test_with_a_seed_of_its_own_a_sample_depends_on_nothing_else(make_model, make_video):
    model, context = make_model(), make_video(3, 2)
    seeds = tf.constant([[1, 2], [3, 4], [1, 2]])
    together = model.predict_frames(context, 3, seed=seeds).numpy()
    for i in range(3):
        alone = model.predict_frames(context[i : i + 1], 3, seed=seeds[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
    same_context = model.predict_frames(np.repeat(context[:1], 3, axis=0), 3, seed=seeds).numpy()
    np.testing.assert_array_equal(same_context[0], same_context[2])
    assert not np.array_equal(same_context[0], same_context[1])


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv_lstm"])
def test_a_hundred_frames_from_three(make_model, make_video, latent_encoder):
    model = make_model("float32", moved=0.01, latent_encoder=latent_encoder, num_past_latents=3, num_context=3)
    frames = model.predict_frames(make_video(1, 3), 100, temperature=0.5, seed=1)
    assert frames.shape == [1, 100, 8, 8, 3]
    assert np.ptp(frames[:, -1]) > 0


def test_the_number_of_frames_may_be_a_tensor(make_model, make_video):
    model, context = make_model("float32"), make_video(2, 2)
    expected = model.predict_frames(context, 3, seed=1)
    np.testing.assert_array_equal(model.predict_frames(context, tf.constant(3), seed=1), expected)
    traced = tf.function(lambda n: model.predict_frames(context, n, seed=1))
    np.testing.assert_array_equal(traced(tf.constant(3)), expected)
    eager = pixels.to_uint8(model.future(context, 3).sample(seed=1))
    np.testing.assert_array_equal(eager, expected)


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(make_model, make_video):
    model, context = make_model("float32"), make_video(3, 2)
    together = model.predict_frames(context, 3, temperature=0.0).numpy().astype(int)
    alone = model.predict_frames(context[2:], 3, temperature=0.0).numpy().astype(int)
    assert np.abs(together[2:] - alone).max() <= 1  # A rounding at a bin's edge.


# --- Options ---


def test_score_context_counts_every_frame(make_model, make_video):
    model, video = make_model(score_context=True), make_video(2, 5)
    noise = np.random.default_rng(1).uniform(size=video.shape)
    per_frame = model.frame_bits_per_pixel(video, None, noise)
    assert per_frame.shape == [2, 5]
    plain = make_model()
    np.testing.assert_allclose(per_frame[:, 2:], plain.frame_bits_per_pixel(video, 2, noise), rtol=1e-6)
    np.testing.assert_allclose(model.bits_per_pixel(video, None, noise), np.mean(per_frame, axis=1), rtol=1e-6)
    # A first frame is scored as an image.
    np.testing.assert_allclose(per_frame[:, :1], model.frame_bits_per_pixel(video[:, :1], None, noise[:, :1]))


def test_score_context_with_the_first_frame_encoded_twice(make_model, make_video):
    changes = {"latent_encoder": "conv2d", "condition_on_first_frame": True}
    model, video = make_model(score_context=True, **changes), make_video(2, 5)
    noise = np.random.default_rng(1).uniform(size=(2, 6, 8, 8, 3))
    per_frame = model.frame_bits_per_pixel(video, None, noise).numpy()
    assert per_frame.shape == (2, 5)
    np.testing.assert_allclose(per_frame[:, 1:], make_model(**changes).frame_bits_per_pixel(video, 1, noise), rtol=1e-6)
    # Both codings of the first frame are paid for.
    x = (video[:, [0, 0]] + noise[:, :2]) / 256 - 0.5
    bits = 8 - model._frame_log_probs(tf.constant(x), 0) / (192 * LOG_2)
    np.testing.assert_allclose(per_frame[:, 0], np.sum(bits, axis=1), rtol=1e-6)


@pytest.mark.parametrize("top_prior", ["learned", "standard"])
def test_an_unconditional_model_scores_images(make_model, make_video, top_prior):
    model = make_model(conditional=False, num_context=0, num_train_frames=1, num_eval_frames=1, top_prior=top_prior)
    video = make_video(2, 4)
    noise = np.random.default_rng(1).uniform(size=video.shape)
    per_frame = model.frame_bits_per_pixel(video, None, noise)
    assert per_frame.shape == [2, 4]
    for t in range(4):
        alone = model.bits_per_pixel(video[:, t : t + 1], None, noise[:, t : t + 1])
        np.testing.assert_allclose(per_frame[:, t], alone, rtol=1e-6)
    turned = model.frame_bits_per_pixel(video[:, ::-1], None, noise[:, ::-1])
    np.testing.assert_allclose(turned, per_frame[:, ::-1], rtol=1e-6)
    assert model.predict_frames(video[:, :0], 3, seed=1).shape == [2, 3, 8, 8, 3]
    latents = model.encode(model.future(video[:, :0], 2, temperature=0.0).sample(seed=1))
    assert np.ptp(latents[-1], axis=(0, 1)).max() < 1e-9
    if top_prior == "standard":
        np.testing.assert_allclose(latents[-1], 0.0, atol=1e-9)


def test_pretraining_ignores_the_past(make_model, make_video):
    model, plain, video = make_model(pretrain_steps=2), make_model(), make_video(2, 4)
    before = model.frame_bits_per_pixel(video).numpy()
    context_changed = np.concatenate([255 - video[:, :2], video[:, 2:]], axis=1)
    np.testing.assert_allclose(model.frame_bits_per_pixel(context_changed), before, rtol=1e-6)
    assert not np.allclose(plain.frame_bits_per_pixel(video), before)
    assert not np.allclose(plain.frame_bits_per_pixel(context_changed), plain.frame_bits_per_pixel(video))
    first = model.predict_frames(video[:, :2], 2, 0.0)
    np.testing.assert_array_equal(model.predict_frames(context_changed[:, :2], 2, 0.0), first)
    model.step.assign(2)
    np.testing.assert_allclose(model.frame_bits_per_pixel(video), plain.frame_bits_per_pixel(video), rtol=1e-6)
    np.testing.assert_array_equal(
        model.predict_frames(video[:, :2], 2, 0.0), plain.predict_frames(video[:, :2], 2, 0.0)
    )


def test_fewer_bits_ignore_the_lower_ones(make_model, make_video):
    model, video = make_model(n_bits=5), make_video()
    bits = model.bits_per_pixel(video)
    np.testing.assert_array_equal(model.bits_per_pixel(video // 8 * 8), bits)
    assert not np.allclose(model.bits_per_pixel(video // 16 * 16), bits)


@pytest.mark.parametrize("n_bits", [8, 3, 1])
def test_a_uniform_density_costs_the_bits_there_are(make_model, make_video, monkeypatch, n_bits):
    """Density 1 on the unit cube of the pixels: n bits a component, whatever the model."""
    model = make_model(n_bits=n_bits)
    monkeypatch.setattr(model, "_frame_log_probs", lambda frames, start, _: tf.zeros(frames.shape[:2])[:, start:])
    np.testing.assert_array_equal(model.bits_per_pixel(make_video()), [n_bits, n_bits])


def test_pixel_scaling_of_the_official_code(make_model, make_video):
    official, video = make_model(pixel_scaling="official"), make_video()
    noise = np.random.default_rng(1).uniform(size=video.shape)
    x = tf.constant(video / 255 - 0.5 + noise / 256)
    expected = 8 - official.future(x[:, :2], 2).log_prob(x[:, 2:]) / (2 * 192 * LOG_2)
    np.testing.assert_allclose(official.bits_per_pixel(video, None, noise), expected, rtol=1e-6)
    assert not np.allclose(make_model().bits_per_pixel(video, None, noise), expected)


def test_a_fixed_noise_makes_calls_repeat_and_a_seed_changes_it(make_model, make_video):
    model, video = make_model("float32"), make_video()
    first = model.bits_per_pixel(video)
    np.testing.assert_array_equal(model.bits_per_pixel(video), first)
    seeded = model.bits_per_pixel(video, seed=(4, 5))
    np.testing.assert_array_equal(model.bits_per_pixel(video, seed=(4, 5)), seeded)
    assert not np.array_equal(seeded, first)


@pytest.mark.parametrize(
    "option", [{"coupling_dropout": 0.5}, {"latent_dropout": 0.5}, {"latent_noise": 0.5}], ids=lambda o: next(iter(o))
)
def test_noise_and_dropout_are_for_training_alone(make_model, make_video, option):
    noisy, plain, video = make_model("float32", **option), make_model("float32"), make_video()
    np.testing.assert_array_equal(noisy.bits_per_pixel(video), plain.bits_per_pixel(video))
    for model in (noisy, plain):
        model.compile(optimizer=tf_keras.optimizers.SGD(0.0))
    np.testing.assert_allclose(noisy.evaluate(video, verbose=0), plain.evaluate(video, verbose=0))

    def trained(model) -> float:
        return model.fit(video, batch_size=2, shuffle=False, verbose=0).history["bits_per_pixel"][0]

    noisy.step.assign(0)
    first = trained(noisy)
    assert first != trained(plain)  # Both at step 0, so with the same dequantisation noise.
    second = trained(noisy)
    noisy.step.assign(0)
    assert trained(noisy) == first != second


# --- Initialisation ---


def normalized(y: tf.Tensor, axes: tuple[int, ...] = (0, 1, 2)) -> bool:
    y = np.asarray(y)
    return np.abs(y.mean(axes)).max() < 1e-8 and np.abs(y.var(axes) - 1).max() < 2e-3


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv2d"])
def test_initialize_normalizes_the_output_of_every_actnorm(make_model, make_video, latent_encoder):
    model = make_model(
        moved=0.0,
        frame_size=16,
        depth=2,
        latent_encoder=latent_encoder,
        latent_encoder_depth=2,
        latent_dilations=(1, 2),
    )
    video, seed = make_video(6, 4, 16), (1, 2)
    model.initialize(video, seed)
    noise = pixels.dequantization_noise(video.shape, seed)
    x = tf.reshape(pixels.from_uint8(tf.constant(video), noise, model.hparams, tf.float64), [-1, 16, 16, 3])
    for level, prior in zip(model.flow, model.priors, strict=True):
        *steps, squeeze = level.bijectors
        x = squeeze.forward(x)
        for step in reversed(steps):
            assert normalized(step.actnorm.forward(x))
            mixed = step.conv.forward(step.actnorm.forward(x))
            assert_block_normalized(step.coupling.network.block, tf.split(mixed, 2, axis=-1)[0])
            x = step.forward(x)
        hidden, latents = (None, x) if prior.is_top else tf.split(x, 2, axis=-1)
        x = hidden
        latents = tf.reshape(latents, [6, 4, *latents.shape[1:]])
        own = None
        if hidden is not None:
            own = prior.own_gaussian(tf.reshape(hidden, latents.shape), 6, 4)
        encoder = prior.encoder
        windows, own = encoder._fold(latents, own, encoder.window)
        h = encoder._stack(windows, own)
        for block in encoder.blocks:
            if latent_encoder == "conv2d":
                assert_block_normalized(block.block, h)
                h = h + block(h)
                continue
            for branch in block:
                y = branch.conv(h, encoder.window)
                assert normalized(y, (1, 2, 3))  # At every time step.
                y = tf.nn.relu(y)
                for index in range(len(branch.activation.kernels)):
                    assert normalized(branch.activation._fold_one(index, encoder.window)(y), (1, 2, 3))
            h = h + tf.add_n([branch(h, encoder.window) for branch in block])


def assert_block_normalized(block, x: tf.Tensor) -> None:
    hidden = block.conv(x)
    assert normalized(hidden)
    for conv in block.activation.convs:
        assert normalized(conv(tf.nn.relu(hidden)))


def test_initialize_depends_on_the_batch_and_the_seed_alone(make_model, make_video):
    def initialized(video, **arguments) -> list[np.ndarray]:
        model = make_model("float32", moved=0.0)
        model.initialize(video, **arguments)
        return [v.numpy() for v in model.variables]

    def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
        return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))

    video = make_video(8)
    first = initialized(video)
    assert same(initialized(video), first)
    assert same(initialized(video, seed=(0, 0)), first)
    assert not same(initialized(video, seed=(5, 6)), first)
    assert not same(initialized(make_video(8, seed=1)), first)


def test_no_call_initializes_again(make_model, make_video):
    model = make_model("float32", moved=0.0)
    model.initialize(make_video(8))
    before = [v.numpy() for v in model.variables]
    model.bits_per_pixel(make_video(seed=1))
    model.predict_frames(make_video(2, 2, seed=1), 2)
    model.compile(optimizer=tf_keras.optimizers.SGD(0.0))
    model.fit(make_video(seed=1), epochs=1, verbose=0)
    model.evaluate(make_video(seed=1), verbose=0)
    for variable, value in zip(model.variables, before, strict=True):
        if not variable.name.startswith(("step", "total", "count")):
            np.testing.assert_array_equal(variable, value)


def test_initialisation_is_kept_through_a_checkpoint(make_model, make_video, tmp_path):
    model, other, video = make_model("float32", moved=0.0), make_model("float32"), make_video(8)
    model.initialize(video)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "model"))
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    for a, b in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.bits_per_pixel(video), other.bits_per_pixel(video))


def test_a_model_is_a_function_of_its_configuration(make_model):
    a, b, other = make_model(moved=0.0), make_model(moved=0.0), make_model(moved=0.0, seed=1)
    assert all(np.array_equal(x, y) for x, y in zip(a.variables, b.variables, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a.variables, other.variables, strict=True))


# --- Training with Keras ---


@pytest.fixture
def make_trained(make_model):
    """A compiled, initialised model on shapes of 8x8, and its data from a step on."""

    def make(**changes):
        changes = {"learning_rate": 3e-3, "num_train_frames": 3, "clip_norm": 100.0} | changes
        model = make_model("float32", moved=0.0, **changes)
        model.compile(optimizer=make_optimizer(model.hparams))
        model.optimizer.build(model.trainable_variables)
        model.initialize(next(iter(train_clips(model.hparams, None, batch_size=16))))
        return model

    return make


class Recorder(tf_keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict] = []

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.logs.append(dict(logs))


def test_fit_evaluate_and_predict(make_trained, make_video):
    model, recorder = make_trained(), Recorder()
    clips = train_clips(model.hparams, None, batch_size=4)
    before = model.evaluate(clips.take(2), verbose=0, return_dict=True)["bits_per_pixel"]
    history = model.fit(
        clips, steps_per_epoch=20, epochs=3, verbose=0, validation_data=clips.take(2), callbacks=[recorder]
    )
    bits = history.history["bits_per_pixel"]
    assert len(bits) == 3 and bits[2] < bits[1] < bits[0]
    assert len(history.history["val_bits_per_pixel"]) == 3
    after = model.evaluate(clips.take(2), verbose=0, return_dict=True)["bits_per_pixel"]
    assert after == pytest.approx(history.history["val_bits_per_pixel"][-1], rel=1e-6)
    assert after < before - 0.5
    assert len(recorder.logs) == 60
    assert all(np.isfinite(log["gradient_norm"]) and log["gradient_norm"] > 0 for log in recorder.logs)
    assert int(model.step) == int(model.optimizer.iterations) == 60
    # Two moments for every weight, and the count of steps.
    assert len(model.optimizer.variables) == 2 * len(model.trainable_variables) + 1
    video = make_video()
    np.testing.assert_allclose(model.predict(video, verbose=0), model.bits_per_pixel(video), rtol=1e-5)
    np.testing.assert_allclose(model(video), model.bits_per_pixel(video))


def test_single_batches(make_trained, make_video):
    model, video = make_trained(), make_video()
    before = model.bits_per_pixel(video)
    np.testing.assert_allclose(model.test_on_batch(video), np.mean(before), rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(video), before, rtol=1e-5)
    assert np.isfinite(model.train_on_batch(video, return_dict=True)["bits_per_pixel"])
    assert int(model.step) == 1


def test_every_trainable_variable_gets_a_gradient(make_model, make_video, encoder_changes):
    size = size_of(encoder_changes)
    model = make_model(**encoder_changes, score_context=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.bits_per_pixel(make_video(2, 5, size)))
    variables = model.trainable_variables
    assert len({id(v) for v in variables}) == len(variables)
    # A pointwise encoder whose sigma comes from elsewhere has one of its own all the same, as the official model has.
    unused = encoder_changes.get("pointwise_scale", "level") != "past"
    exempt = {
        id(prior.encoder.log_scale) for prior in model.priors[:-1] if hasattr(prior.encoder, "log_scale") and unused
    }
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if id(variable) in exempt:
            continue
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.name


def test_the_gradient_of_a_training_step_is_that_of_bits_per_pixel(make_model, make_video):
    model, video = make_model("float64"), make_video()
    model.compile(optimizer=tf_keras.optimizers.SGD(0.1))
    noise_seed, _ = tf.unstack(tf.random.split(tf.constant([0, 0], tf.int64), 2))
    noise = pixels.dequantization_noise(video.shape, noise_seed)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.bits_per_pixel(video, None, noise))
    # Zeros for the top prior of a frame without a past: there is none here.
    gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    expected = [v - 0.1 * g for v, g in zip(model.trainable_variables, gradients, strict=True)]
    logs = model.fit(video, batch_size=2, shuffle=False, verbose=0).history
    assert logs["bits_per_pixel"][0] == pytest.approx(float(loss), rel=1e-6)
    assert logs["gradient_norm"][0] == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-6)
    for variable, value in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-7)


def test_training_is_a_function_of_seed_and_step_and_goes_on_from_a_checkpoint(make_trained, tmp_path):
    options = {"coupling_dropout": 0.2, "latent_noise": 0.1}

    def fit(model, start: int, steps: int) -> None:
        clips = train_clips(model.hparams, None, batch_size=2, start_step=start)
        model.fit(clips, steps_per_epoch=steps, verbose=0)

    straight, twin, resumed = (make_trained(**options) for _ in range(3))
    fit(straight, 0, 6)
    fit(twin, 0, 3)
    path = tf.train.Checkpoint(model=twin, optimizer=twin.optimizer).save(str(tmp_path / "model"))
    fit(twin, 3, 3)
    tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path).assert_existing_objects_matched()
    assert int(resumed.step) == 3
    fit(resumed, 3, 3)
    for a, b, c in zip(straight.variables, twin.variables, resumed.variables, strict=True):
        if not a.name.startswith(("total", "count")):
            np.testing.assert_array_equal(b, a)
            np.testing.assert_array_equal(c, a)


def test_another_seed_trains_another_model(make_model, make_video):
    def trained(seed: int) -> float:
        model = make_model("float32", seed=seed)
        for a, b in zip(model.variables, reference.variables, strict=True):
            a.assign(b)
        model.compile(optimizer=tf_keras.optimizers.SGD(0.1))
        return model.fit(make_video(), batch_size=2, shuffle=False, verbose=0).history["bits_per_pixel"][0]

    reference = make_model("float32")
    assert trained(0) == trained(0) != trained(1)


def test_pretraining_trains_what_it_uses(make_trained):
    model = make_trained(pretrain_steps=2)
    encoders = [v for prior in model.priors for v in prior.encoder.trainable_variables]
    before = [v.numpy() for v in encoders]
    clips = train_clips(model.hparams, None, batch_size=2)
    model.fit(clips, steps_per_epoch=2, verbose=0)
    assert all(np.array_equal(v, b) for v, b in zip(encoders, before, strict=True))
    model.fit(clips, steps_per_epoch=2, verbose=0)
    assert not all(np.array_equal(v, b) for v, b in zip(encoders, before, strict=True))


# --- XLA ---


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_size": 20, "latent_dilations": (1, 2, 4)},
        {"latent_encoder": "conv2d", "condition_on_first_frame": True},
        {"latent_encoder": "conv_lstm"},
    ],
    ids=["conv3d", "conv2d", "conv_lstm"],
)
def test_bits_per_pixel_and_prediction_compile_under_xla(make_model, make_video, changes):
    size = size_of(changes)
    model, video = make_model("float32", **changes), make_video(2, 4, size)
    # XLA draws other numbers from the same seed: given noise, and temperature 0.
    given = 2 + model.hparams.condition_on_first_frame
    noise = tf.constant(np.random.default_rng(1).uniform(size=(2, given + 2, size, size, 3)), tf.float32)
    bits = tf.function(lambda v: model.bits_per_pixel(v, None, noise), jit_compile=True)
    np.testing.assert_allclose(bits(tf.constant(video)), model.bits_per_pixel(video, None, noise), rtol=1e-5)

    @tf.function(jit_compile=True)
    def predict(context, temperature):
        return model.predict_frames(context, 3, temperature, tf.constant([1, 2]), noise[:, :given])

    context = tf.constant(video[:, :2])
    compiled = predict(context, tf.constant(0.0)).numpy().astype(int)
    plain = model.predict_frames(context, 3, 0.0, None, noise[:, :given]).numpy().astype(int)
    assert plain.shape == compiled.shape == (2, 3, size, size, 3)
    assert np.abs(plain - compiled).max() <= 1 and (plain != compiled).mean() < 0.01  # A rounding at a bin's edge.
    drawn = predict(context, tf.constant(0.7))
    np.testing.assert_array_equal(predict(context, tf.constant(0.7)), drawn)
    assert not np.array_equal(drawn, compiled)


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv_lstm"])
def test_the_training_step_compiles_under_xla(make_model, make_video, latent_encoder):
    model = make_model("float32", latent_encoder=latent_encoder, clip_norm=1.0)
    model.compile(optimizer=make_optimizer(model.hparams))
    model.optimizer.build(model.trainable_variables)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = tf.function(model.train_step, jit_compile=True)(tf.constant(make_video()))
    assert int(model.step) == 1
    assert all(np.isfinite(value) for value in logs.values())
    assert sum(np.any(a != b) for a, b in zip(before, model.trainable_variables, strict=True)) > len(before) / 2


@pytest.mark.parametrize("latent_encoder", ["conv3d", "conv_lstm"])
def test_gradients_under_xla(make_model, make_video, latent_encoder):
    """With the noise given: from the same seed XLA draws other numbers."""
    model = make_model("float64", latent_encoder=latent_encoder)
    video = tf.constant(make_video())
    seed = tf.constant([0, 1])
    noise = tf.random.stateless_uniform(video.shape, seed)

    def gradients():
        bits, pairs = model._bits_and_gradients(video, noise, seed)
        return bits, [gradient for gradient, _ in pairs]

    (bits, plain), (compiled_bits, compiled) = (
        tf.function(gradients, autograph=False, jit_compile=xla)() for xla in (False, True)
    )
    np.testing.assert_allclose(compiled_bits, bits, rtol=1e-6)
    for a, b in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


# --- What a caller can get wrong ---


def bad_videos() -> dict[str, tuple]:
    good = np.zeros((2, 4, 8, 8, 3), np.uint8)
    return {
        "float64": (good.astype(np.float64), "dtype uint8, got float64"),
        "int32": (good.astype(np.int32), "dtype uint8, got int32"),
        "rank": (good[0], r"\[batch, frames, 8, 8, 3\], got shape \(4, 8, 8, 3\)"),
        "size": (good[:, :, :, :4], r"expected frames of 8x8 with 3 channels, got \(8, 4, 3\)"),
        "channels": (good[..., :1], r"expected frames of 8x8 with 3 channels, got \(8, 8, 1\)"),
    }


@pytest.mark.parametrize("name", bad_videos())
def test_a_wrong_video_is_a_user_error_of_one_line(make_model, name):
    model = make_model("float32")
    video, message = bad_videos()[name]
    calls = (
        model.bits_per_pixel,
        model.frame_bits_per_pixel,
        model.encode,
        model.initialize,
        lambda v: model.future(v, 2),
        lambda v: model.predict_frames(v, 2),
    )
    for call in calls:
        with pytest.raises(UserError, match=message) as caught:
            call(video)
        assert "\n" not in str(caught.value)


def test_continuous_frames_are_not_a_video(make_model, make_frames):
    """0..255 in floats, or frames already scaled: either way the numbers would mean nothing."""
    model, frames = make_model("float32"), make_frames().astype(np.float32)
    for call in (model.bits_per_pixel, lambda v: model.predict_frames(v, 2)):
        with pytest.raises(UserError, match="dtype uint8, got float32"):
            call(frames)


def test_too_few_frames(make_model, make_video):
    model = make_model()
    with pytest.raises(UserError, match="at least 3 frames, got 2"):
        model.bits_per_pixel(make_video(2, 2))
    with pytest.raises(UserError, match="at least 5 frames, got 4"):
        model.bits_per_pixel(make_video(2, 4), num_context=4)
    with pytest.raises(UserError, match="at least 1 frames?, got 0"):
        model.predict_frames(make_video(2, 2)[:, :0], 3)
    with pytest.raises(UserError, match="num_context"):
        model.bits_per_pixel(make_video(2, 4), num_context=-1)


@pytest.mark.parametrize("num_frames", [0, -1])
def test_no_frames_to_predict(make_model, make_video, num_frames):
    model = make_model()
    for call in (model.future, model.predict_frames):
        with pytest.raises(UserError, match=f"num_frames must be at least 1, got {num_frames}"):
            call(make_video(2, 2), num_frames)
    with pytest.raises(UserError, match=f"num_frames must be at least 1, got {num_frames}"):
        model.predict_frames(make_video(2, 2), tf.constant(num_frames))


@pytest.mark.parametrize(
    "shape",
    [(4, 8, 8, 3), (2, 3, 8, 8, 3), (2, 4, 8, 8, 1), (3, 4, 8, 8, 3)],
    ids=["rank", "frames", "channels", "batch"],
)
def test_dequantization_noise_of_another_shape(make_model, make_video, shape):
    model, video, noise = make_model("float32"), make_video(), np.zeros(shape, np.float32)
    calls = (
        lambda: model.bits_per_pixel(video, None, noise),
        lambda: model.future(video, 2, dequantization_noise=noise),
        lambda: model.predict_frames(video, 2, dequantization_noise=noise),
        lambda: model.encode(video, noise),
    )
    for call in calls:
        with pytest.raises(UserError, match="dequantization_noise") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_diverged_model_raises_and_never_draws_black(make_model, make_video):
    model = make_model("float32")
    model.trainable_variables[0].assign(np.nan * model.trainable_variables[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="diverged"):
        model.predict_frames(make_video(2, 2), 2)
    assert np.isnan(model.bits_per_pixel(make_video())).all()
