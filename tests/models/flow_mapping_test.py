import numpy as np
import pytest

from dpig_tf2.models.flow_mapping import FlowMapping


def _flow(embedding):
    flow = FlowMapping(8, embedding)
    flow.build((None, embedding))
    flow.code_mean.assign(np.full(embedding, 5.0))
    flow.code_deviation.assign(np.full(embedding, 3.0))
    return flow


def _distances(flow, noise):
    codes = (flow(noise).numpy() - 5.0) / 3.0
    return np.sqrt(np.mean(np.square(codes), axis=-1))


@pytest.mark.parametrize("embedding", [2, 32, 768])
def test_an_untrained_flow_gives_back_its_noise(embedding):
    flow = _flow(embedding)
    noise = np.random.default_rng(0).normal(size=(2000, embedding)).astype(np.float32)
    np.testing.assert_allclose(flow(noise), 5.0 + 3.0 * noise, atol=0.15)


def test_a_velocity_that_grows_without_bound_leads_no_farther_than_the_reach():
    flow = _flow(32)
    flow.output_dense.kernel.assign(np.full((8, 32), 20.0))
    noise = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    distances = _distances(flow, noise)
    assert distances.max() <= flow.reach * (1 + 1e-5)
    assert (distances > 0.99 * flow.reach).mean() > 0.5  # what it is kept from
