"""Sine waves and hidden windows: their periods, times and lengths, and what follows from them, are what is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import few
from jaxrnn.data import sines, windows

KEY = jax.random.key(0)
SAMPLINGS = {"regular": 1.0, "high_rate": 0.5, "asynchronous": 1.0}


def drawn(sampling, n=400, key=KEY):
    (values, times, lengths), labels = sines.draw(key, n, sampling, SAMPLINGS[sampling])
    return (*(np.asarray(array)[..., 0] for array in (values, times)), np.asarray(lengths), np.asarray(labels))


@few(max_examples=6)
@given(st.integers(0, 2**31), st.sampled_from(sorted(SAMPLINGS)))
def test_times_rise_within_the_125_ms_and_end_with_the_length(seed, sampling):
    values, times, lengths, labels = drawn(sampling, key=jax.random.key(seed))
    interval = SAMPLINGS[sampling]
    assert values.shape == times.shape == (400, round(125 / interval)) and set(labels) == {0, 1}
    assert lengths.min() >= int(15 / interval) and lengths.max() <= 125 / interval
    for value, time, length in zip(values, times, lengths, strict=True):
        assert not time[length:].any() and not value[length:].any()
        gaps = np.diff(time[:length])
        assert time[0] >= 0 and time[length - 1] <= 125
        if sampling == "asynchronous":
            assert (gaps >= 0).all() and gaps.std() > 0.3
        else:
            np.testing.assert_allclose(gaps, interval, atol=1e-4)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_wave_is_a_sine_of_a_period_that_its_label_says(sampling):
    """Of all periods, the one that fits best (least squares of a sine and a cosine) is on the label's side."""
    values, times, lengths, labels = drawn(sampling, n=12)
    periods = np.exp(np.linspace(0, np.log(100), 2000))
    for value, time, length, label in zip(values, times, lengths, labels, strict=True):
        value, time = value[:length].astype(float), time[:length].astype(float)

        def left_over(period, value=value, time=time):
            waves = np.stack([np.sin(2 * np.pi * time / period), np.cos(2 * np.pi * time / period)], 1)
            return np.square(value - waves @ np.linalg.lstsq(waves, value, rcond=None)[0]).mean()

        inside = (periods > 5) & (periods < 6)
        best = {part: min(map(left_over, periods[inside == part])) for part in (True, False)}
        # even samples see a short period as a longer one, too: then the label's own side still fits
        assert best[bool(label)] < 5e-3
        assert sampling == "regular" or best[bool(label)] < best[not label]


def test_periods_are_drawn_evenly_on_both_sides():
    labels = drawn("regular", 20_000)[3]
    assert abs(labels.mean() - 0.5) < 5 * 0.5 / np.sqrt(20_000)
    others = np.log(np.asarray(sines._others(KEY, 20_000)))
    low, high = np.log(5), np.log(6)
    assert (
        not ((others > low + 1e-5) & (others < high - 1e-5)).any() and others.min() >= 0 and others.max() <= np.log(100)
    )
    short = (others < low).mean()
    expected = low / (np.log(100) - (high - low))
    assert abs(short - expected) < 5 * np.sqrt(expected * (1 - expected) / 20_000)
    np.testing.assert_allclose(others[others < low].mean(), low / 2, atol=0.02)


def test_an_unknown_sampling_is_named():
    with pytest.raises(ValueError, match="sampling must be 'regular', 'high_rate' or 'asynchronous', not 'random'"):
        sines.draw(KEY, 2, "random")


def test_only_what_comes_while_the_window_is_open_counts():
    (x, times), y = (jax.device_get(part) for part in windows.draw(KEY, 30))
    assert x.shape == times.shape == y.shape == (30, windows.STEPS, 1)
    assert (np.diff(times, axis=1) >= 0).all() and times.min() >= 0 and times.max() < windows.SPAN
    for numbers, clock, target in zip(x[..., 0], times[..., 0], y[..., 0], strict=True):
        mean = 0.0
        for number, time, right in zip(numbers, clock, target, strict=True):
            if (time - 2.5) % 8 < 4:
                mean = (mean + number) / 2
            np.testing.assert_allclose(right, mean, atol=1e-5)
    np.testing.assert_array_equal(windows.opened(jnp.array([0.0, 2.5, 6.4, 6.6, 10.4, 10.6])), [0, 1, 1, 0, 0, 1])
