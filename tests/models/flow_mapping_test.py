import numpy as np
import pytest

from dpig_tf2.models.flow_mapping import FlowMapping


def _flow(embedding, places=1):
    flow = FlowMapping(8, embedding, places)
    flow.build((None, embedding))
    flow.code_mean.assign(np.full(embedding, 5.0))
    flow.code_deviation.assign(np.full(embedding, 3.0))
    return flow


def _distances(flow, noise):
    codes = (flow(noise).numpy() - 5.0) / 3.0
    return np.sqrt(np.mean(np.square(codes), axis=-1))


@pytest.mark.parametrize(("embedding", "places"), [(2, 1), (32, 1), (768, 1), (32, 4)])
def test_an_untrained_flow_gives_back_its_noise(embedding, places):
    flow = _flow(embedding, places)
    noise = np.random.default_rng(0).normal(size=(2000, embedding)).astype(np.float32)
    np.testing.assert_allclose(flow(noise), 5.0 + 3.0 * noise, atol=0.15)
    assert flow.reach > 1.4 * np.sqrt(np.mean(np.square(noise), axis=1)).max()


def test_a_flow_is_made_again_from_its_configuration():
    config = FlowMapping(8, 32, places=4, noise_scale=0.2).get_config()
    again = FlowMapping.from_config(config)
    assert (again.hidden, again.embedding, again.places, again.noise_scale) == (8, 32, 4, 0.2)


def test_a_velocity_that_grows_without_bound_leads_no_farther_than_the_reach():
    flow = _flow(32)
    flow.output_dense.kernel.assign(np.full((8, 32), 20.0))
    noise = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    distances = _distances(flow, noise)
    assert distances.max() <= flow.reach * (1 + 1e-5)
    assert (distances > 0.99 * flow.reach).mean() > 0.5  # what it is kept from


@pytest.mark.parametrize(("places", "counts"), [(1, 1.0), (4, 1.4)])
def test_what_a_flow_of_places_has_learned_counts_more_in_a_call(places, counts):
    flow = _flow(8, places)
    noise = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    untaught = flow(noise).numpy()
    bias = flow.output_dense.bias
    bias.assign(np.full(bias.shape, 0.01))  # a correction that is the same everywhere
    learned = flow(noise).numpy() - untaught
    bias.assign(np.full(bias.shape, 0.01 * counts))
    flow.guidance = 1.0
    np.testing.assert_allclose(flow(noise).numpy() - untaught, learned, rtol=1e-3)
    x, time = noise, np.full(4, 0.5, np.float32)
    taught = flow.velocity(x, time) - flow.velocity(x, time, guidance=0.0)
    np.testing.assert_allclose(taught, 0.01 * counts, rtol=1e-4)  # training is not guided


def _codes(count, rng):
    """Of two places with two numbers; the first of one place tells the first of the other."""
    shared = rng.normal(size=count)
    return np.stack(
        [1.0 + shared, rng.normal(size=count), 3.0 * shared, 0.5 * rng.normal(size=count)], axis=1
    ).astype(np.float32)


def test_an_untrained_flow_of_places_gives_codes_that_are_correlated_as_the_true_ones():
    rng = np.random.default_rng(0)
    true = _codes(4000, rng)
    flow = FlowMapping(8, 4, places=2)
    flow.build((None, 4))
    flow.adapt(true)
    drawn = flow(rng.normal(size=(4000, 4)).astype(np.float32)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), true.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(true.T), atol=0.5)
    assert np.corrcoef(drawn.T)[0, 2] > 0.98


@pytest.mark.parametrize("places", [1, 2])
def test_adapting_takes_mean_and_deviation_also_of_numbers_that_never_vary(places):
    flow = FlowMapping(8, 2, places)
    flow.build((None, 2))
    codes = np.array([[1.0, 7.0], [3.0, 7.0]], np.float32)
    flow.adapt(codes)
    np.testing.assert_allclose(flow.code_mean, [2, 7])
    np.testing.assert_allclose(flow.code_deviation, [1, 1e-3])
    assert np.isfinite(flow.noise_of(codes)).all()


@pytest.mark.parametrize("moved", [0, 3])
def test_each_place_learns_from_all(moved):
    flow = FlowMapping(8, 8, places=4)
    flow.build((None, 8))
    flow.output_dense.kernel.assign(np.ones((4, 8, 2)))
    x = np.zeros((1, 8), np.float32)
    changed = x.copy()
    changed[0, 2 * moved] = 1.0
    time = np.full(1, 0.5, np.float32)  # the velocity of Gaussian codes is 0
    difference = np.abs(flow.velocity(changed, time) - flow.velocity(x, time))
    assert (difference > 1e-6).all()


@pytest.mark.parametrize(("places", "scale"), [(1, 1.0), (4, 0.5)])
def test_a_flow_run_backward_gives_the_noise_of_its_codes(places, scale):
    flow = FlowMapping(8, 32, places, scale)
    flow.build((None, 32))
    rng = np.random.default_rng(0)
    flow.adapt(rng.normal(5.0, 3.0, (500, 32)) @ (np.eye(32) + 0.05 * rng.normal(size=(32, 32))))
    kernel = flow.output_dense.kernel
    kernel.assign(rng.normal(0.0, 0.05, kernel.shape))
    noise = rng.normal(0.0, scale, (200, 32)).astype(np.float32)
    codes = flow(noise).numpy()
    found = flow.noise_of(codes).numpy()
    assert np.abs(found - noise).max() < 0.1 * scale
    size = np.linalg.norm(codes, axis=1)
    assert (np.linalg.norm(flow(found).numpy() - codes, axis=1) / size).max() < 0.05

    # Codes out of reach count as the nearest within.
    beyond = flow.code_mean + 10.0 * (codes - flow.code_mean)
    distance = np.sqrt(np.mean(np.square(flow.normalize(beyond)), axis=1, keepdims=True))
    assert distance.min() > flow.reach
    nearest = flow.code_mean + (beyond - flow.code_mean) * (flow.reach / distance)
    np.testing.assert_allclose(flow.noise_of(beyond), flow.noise_of(nearest), atol=1e-3 * scale)
