"""Laws of the samplers, of the one loop that draws, of beam search and of scores."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from scipy import stats

from jaxrnn import generate as module
from jaxrnn.generate import (
    SAMPLERS,
    Greedy,
    Temperature,
    TopK,
    TopP,
    Written,
    beam_search,
    drawn_from,
    generate,
    score,
)
from jaxrnn.layers import stack
from jaxrnn.models import LanguageModel

V = 7

LOGITS = jnp.array([[0.3, -1.0, 2.0, 0.7, -0.2, 1.1, 0.0], [5.0, 5.0, -jnp.inf, 1.0, 5.0, -jnp.inf, -3.0]])
"""One row without ties, one with ties and with ids that cannot come."""


@pytest.fixture(scope="module")
def model():
    rngs = nnx.Rngs(0)
    model = LanguageModel(stack("gru", V, [6], init="pytorch", rngs=rngs), init="pytorch", rngs=rngs)
    model.head.kernel[...] *= 10  # so that what was read matters to what comes
    return model


class Alphabet(nnx.Module):
    """Says that the next letter comes next, and after the last one the first; its carry counts what it has read."""

    def read(self, ids, *, carry):
        return carry + ids.shape[-1], 50 * jax.nn.one_hot((ids + 1) % V, V)

    def initial_carry(self, batch_shape):
        return jnp.zeros(batch_shape, jnp.int32)


class Even(Alphabet):
    """Finds all ids equally likely."""

    def read(self, ids, *, carry):
        return carry, jnp.zeros((*ids.shape, V))


def probabilities(*samplers, logits=LOGITS):
    return np.asarray(jax.nn.softmax(drawn_from(samplers, logits)))


PLAIN = probabilities()
KEY = jax.random.key(0)


# Samplers.


def test_every_sampler_is_registered():
    classes = {one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__}
    assert set(SAMPLERS.values()) == {one for one in classes if "__call__" in vars(one)} - {module.Model}


@pytest.mark.parametrize("sampler", [TopK(1), TopP(1e-6), Temperature(1e-30), (TopK(3), TopP(0.9), TopK(1))])
def test_one_id_alone_is_greedy(sampler):
    row = LOGITS[0]
    np.testing.assert_array_equal(jax.nn.softmax(drawn_from(sampler, row)), probabilities(Greedy(), logits=row))


def test_towards_0_the_temperature_leaves_what_ties_for_the_first_place():
    np.testing.assert_allclose(probabilities(Temperature(1e-30))[1], [1 / 3, 1 / 3, 0, 0, 1 / 3, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("sampler", [TopK(V), TopK(100), TopP(1.0), TopP(jnp.float32(1)), Temperature(1.0)])
def test_all_ids_are_plain(sampler):
    np.testing.assert_allclose(probabilities(sampler), PLAIN, rtol=1e-6)


def test_of_ties_the_first_are_kept():
    assert (probabilities(TopK(2)) > 0).tolist() == [
        [place in (2, 5) for place in range(V)],
        [True, True] + [False] * 5,
    ]
    assert (probabilities(TopP(0.5))[1] > 0).tolist() == [True, True] + [False] * 5
    assert (probabilities(Greedy()) > 0).argmax(-1).tolist() == [2, 0] and (probabilities(Greedy()) > 0).sum() == 2


def test_top_p_keeps_as_few_as_reach_it():
    for p in (0.1, 0.5, 0.8, 0.95):
        kept = np.sort(PLAIN[0])[::-1].cumsum()
        assert (probabilities(TopP(p))[0] > 0).sum() == np.searchsorted(kept, p) + 1


def test_temperature_by_hand_and_what_cannot_come_stays_so():
    hot, cold = probabilities(Temperature(2.0)), probabilities(Temperature(0.5))
    np.testing.assert_allclose(hot, np.sqrt(PLAIN) / np.sqrt(PLAIN).sum(1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(cold, PLAIN**2 / (PLAIN**2).sum(1, keepdims=True), rtol=1e-6)
    assert (hot[1, [2, 5]] == 0).all() and (probabilities(Temperature(1e30))[1, [2, 5]] == 0).all()
    np.testing.assert_allclose(probabilities(Temperature(1e30))[0], 1 / V, rtol=1e-6)


def test_samplers_are_applied_in_turn():
    both = probabilities(Temperature(0.5), TopK(2))
    np.testing.assert_allclose(both[0, [2, 5]], PLAIN[0, [2, 5]] ** 2 / (PLAIN[0, [2, 5]] ** 2).sum(), rtol=1e-6)


@pytest.mark.parametrize(
    "make, value",
    [(Temperature, 0), (Temperature, -1.0), (Temperature, np.nan), (TopK, 0), (TopP, 0.0), (TopP, 1.5)],
)
def test_samplers_that_make_no_sense(make, value):
    with pytest.raises(ValueError, match=f"not {value}"):
        make(value)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_frequencies_are_those_of_the_softmax(temperature):
    class Same(Alphabet):
        def read(self, ids, *, carry):
            return carry, jnp.broadcast_to(LOGITS[0], (*ids.shape, V))

    _, ids = generate(Same(), KEY, jnp.zeros((200, 1), int), 100, Temperature(temperature))
    counts = np.bincount(np.ravel(ids), minlength=V)
    expected = probabilities(Temperature(temperature))[0].astype(float)
    assert stats.chisquare(counts, counts.sum() * expected / expected.sum()).pvalue > 0.01


def test_another_temperature_is_no_new_program(model):
    prime = jnp.zeros((3, 1), int)
    before = module._generate._cache_size()
    drawn = [generate(model, KEY, prime, 9, (Temperature(t), TopP(p)))[1] for t in (0.5, 3.0) for p in (0.5, 0.9)]
    assert module._generate._cache_size() == before + 1
    assert len({np.asarray(ids).tobytes() for ids in drawn}) == 4
    traced = jax.jit(lambda t: generate(model, KEY, prime, 9, (Temperature(t), TopP(0.5)))[1])(0.5)
    np.testing.assert_array_equal(traced, drawn[0])


# The loop.


@pytest.mark.parametrize("sampler", [(), Greedy(), (Temperature(0.5), TopK(3), TopP(0.99))])
def test_the_alphabet_goes_on(sampler):
    end, ids = generate(Alphabet(), KEY, [[0, 1, 2], [4, 5, 6]], 9, sampler)
    np.testing.assert_array_equal(ids, [(3 + np.arange(9)) % V, np.arange(9) % V])
    assert end.carry.tolist() == [11, 11] and end.drawn == 9  # all but the last id is read


@pytest.mark.parametrize(
    "batch_shape, sampler",
    [
        ((2, 3), (Temperature(1.5), TopK(5), TopP(0.9))),
        pytest.param((), (), marks=pytest.mark.slow),
        pytest.param((), Greedy(), marks=pytest.mark.slow),
    ],
)
def test_pieces_are_together_what_one_call_draws(model, batch_shape, sampler):
    prime = jax.random.randint(jax.random.key(1), (*batch_shape, 4), 0, V)
    whole_end, whole = generate(model, KEY, prime, 60, sampler)
    end, pieces = None, []
    for length in (30, 1, 29):
        end, ids = generate(model, KEY, prime, length, sampler, carry=end)
        pieces.append(ids)
        prime = ids[..., -1:]
    np.testing.assert_array_equal(jnp.concatenate(pieces, -1), whole)
    jax.tree.map(np.testing.assert_array_equal, end, whole_end)


def test_a_row_is_drawn_as_it_is_alone(model):
    keys, prime = jax.random.split(KEY, (2, 3)), jax.random.randint(jax.random.key(1), (2, 3, 4), 0, V)
    _, ids = generate(model, keys, prime, 20)
    _, alone = generate(model, keys[1, 2], prime[1, 2], 20)
    np.testing.assert_array_equal(ids[1, 2], alone)
    _, split = generate(model, KEY, prime, 20)
    np.testing.assert_array_equal(split, ids)
    assert len({np.asarray(row).tobytes() for row in ids.reshape(6, 20)}) == 6


def test_rows_on_several_devices_are_drawn_as_on_one(model):
    mesh = Mesh(np.array(jax.devices()), ("row",), axis_types=(AxisType.Auto,))
    keys, prime = jax.random.split(KEY, 4), jnp.array([[1], [2], [3], [4]])
    by_row = jax.device_put((keys, prime), NamedSharding(mesh, PartitionSpec("row")))
    _, ids = generate(model, *by_row, 20)
    assert len(ids.sharding.device_set) == 2
    np.testing.assert_array_equal(ids, generate(model, keys, prime, 20)[1])


def test_generation_goes_on_from_what_was_read(model):
    """The prime in pieces, read beforehand."""
    prime = jnp.arange(6) % V
    carry, _ = model.read(prime[:4])
    start = Written(carry, jnp.int32(0), jnp.zeros((), bool))
    np.testing.assert_array_equal(
        generate(model, KEY, prime[4:], 20, carry=start)[1], generate(model, KEY, prime, 20)[1]
    )


def test_greedy_ids_are_the_likeliest_of_what_the_model_says(model):
    _, ids = generate(model, KEY, [3], 12, Greedy())
    logits = model(jnp.concatenate([jnp.array([3]), ids[:-1]]))
    np.testing.assert_array_equal(logits.argmax(-1), ids)


@pytest.mark.parametrize("sampler", [Greedy(), (Temperature(1e9), TopK(5))])
def test_what_is_not_allowed_is_never_drawn(sampler):
    allowed = np.arange(V) % 2 == 1
    _, ids = generate(Alphabet(), KEY, np.arange(70)[:, None] % V, 30, sampler, allowed=allowed)
    assert set(np.ravel(ids)) <= {1, 3, 5}
    by_row = np.eye(V, dtype=bool)[:4]
    _, ids = generate(Alphabet(), KEY, np.zeros((4, 1), int), 5, sampler, allowed=by_row)
    np.testing.assert_array_equal(ids, np.repeat(np.arange(4)[:, None], 5, 1))


def test_a_row_that_has_drawn_the_stop_id_goes_on_drawing_it():
    prime = [[5], [4], [1]]
    end, ids = generate(Alphabet(), KEY, prime, 4, stop=5)
    np.testing.assert_array_equal(ids, [[6, 0, 1, 2], [5, 5, 5, 5], [2, 3, 4, 5]])
    assert end.ended.tolist() == [False, True, True]
    _, more = generate(Alphabet(), KEY, ids[:, -1:], 3, stop=5, carry=end)
    np.testing.assert_array_equal(more, [[3, 4, 5], [5, 5, 5], [5, 5, 5]])


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"prime": np.zeros((2, 0), int)}, "at least one id a row, not int.* of shape"),
        ({"prime": [[0.5], [1.0]]}, "prime must be at least one id a row, not float"),
        ({"key": jax.random.split(KEY, 3)}, "one for each of the rows"),
        ({"length": 0}, "length must be at least 1, not 0"),
        ({"allowed": np.zeros(V, bool)}, "at least one id must be allowed"),
    ],
)
def test_what_cannot_be_generated(changed, words):
    with pytest.raises(ValueError, match=words):
        generate(Alphabet(), **{"key": KEY, "prime": [[1], [2]], "length": 3} | changed)


# Beam search, and scores.


def test_a_wide_enough_beam_is_exhaustive(model):
    prime = jnp.array([3, 1, 4])
    found, logs = beam_search(model, prime, 2, V * V)
    every = jnp.array(list(itertools.product(range(V), repeat=2)))
    texts = jnp.concatenate([jnp.broadcast_to(prime, (V * V, 3)), every], 1)
    scores = score(model, texts) - score(model, prime)
    order = np.argsort(-scores)
    np.testing.assert_array_equal(found, every[order])
    np.testing.assert_allclose(logs, scores[order], rtol=1e-5)
    np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-5)


def test_a_beam_of_one_is_greedy_and_rows_are_searched_alone(model):
    prime = jnp.array([[3, 1], [2, 2], [0, 6]])
    found, logs = beam_search(model, prime, 8, 1)
    np.testing.assert_array_equal(found[:, 0], generate(model, KEY, prime, 8, Greedy())[1])
    wide, better = beam_search(model, prime, 8, 20)
    assert wide.shape == (3, 20, 8) and (np.diff(better) <= 0).all() and (better[:, 0] >= logs[:, 0]).all()
    np.testing.assert_array_equal(wide[1], beam_search(model, prime[1], 8, 20)[0])


def test_a_beam_that_is_wider_than_all_there_is():
    found, logs = beam_search(Even(), [0], 1, V + 2)
    np.testing.assert_array_equal(found[:V, 0], np.arange(V))
    np.testing.assert_allclose(logs, [-np.log(V)] * V + [-np.inf] * 2, rtol=1e-6)


def test_beams_that_cannot_be():
    for width, length in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="length and width must be at least 1"):
            beam_search(Even(), [0], length, width)
    with pytest.raises(ValueError, match="prime must be at least one id a row"):
        beam_search(Even(), np.zeros((2, 0), int), 1, 1)


def test_scores_of_what_is_equally_likely_and_of_the_alphabet():
    np.testing.assert_allclose(score(Even(), np.zeros((2, 5), int)), -4 * np.log(V), rtol=1e-6)
    np.testing.assert_allclose(score(Alphabet(), [[0, 1, 2], [0, 2, 3]]), [0, -50], atol=1e-4)
