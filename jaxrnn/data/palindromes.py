"""Palindromes of digits, drawn from a key: inside a compiled training step as well as for a fixed test set (UVA 1.1).

A palindrome of length T is a half of ceil(T/2) digits, every one of 0 to 9 alike, and its mirror image; it may begin
with zeros. All but its last digit are the input; the last one, which is the first one again, is the target: a network
has to keep it for T - 1 steps.

A tenth of all palindromes is held out, those whose half adds up to a multiple of ten: what a network is tested on, it
never saw, also where there are few of them (1,000 of length 5). In both parts every target is as frequent as another.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxrnn.typing import Array, Float, Int, Key

DIGITS = 10

Encoding = Literal["onehot", "scalar"]
"""How a digit is given to a network: as ten numbers of which one is 1, or as one number from 0 to 9."""


def features(encoding: Encoding) -> int:
    """How many numbers a digit is given as."""
    return DIGITS if encoding == "onehot" else 1


def held_out_count(length: int) -> int:
    """How many different palindromes are held out."""
    return DIGITS ** (-(-length // 2) - 1)


def draw(
    key: Key[Array, ""], n: int, length: int, encoding: Encoding = "onehot", *, held_out: bool = False
) -> tuple[Float[Array, "n t d"], Int[Array, "n"]]:
    """Inputs ``(n, length - 1, d)``, d 10 (one-hot) or 1 (scalar), and targets ``(n,)``, of palindromes drawn alike.

    Of those held out, or of the others. Raises ValueError for a length below 3 (a palindrome of two digits has but one
    digit to choose) or an unknown encoding.
    """
    if encoding not in ("onehot", "scalar"):
        raise ValueError(f"encoding must be 'onehot' or 'scalar', not {encoding!r}")
    digits = halves(key, n, -(-length // 2), held_out=held_out)
    digits = jnp.concatenate([digits, digits[:, : length // 2][:, ::-1]], axis=1)
    inputs = digits[:, :-1]
    x = jax.nn.one_hot(inputs, DIGITS) if encoding == "onehot" else inputs[..., None].astype(jnp.result_type(float))
    return x, digits[:, -1]


def halves(key: Key[Array, ""], n: int, half: int, *, held_out: bool) -> Int[Array, "n half"]:
    """The first halves, int32 ``(n, half)``, whose sum is a multiple of ten if held out and else is not.

    All digits but the last are free; the last is what the sum lacks of a multiple of ten, or one of the nine others.
    """
    if half < 2:
        raise ValueError("a palindrome needs a length of at least 3, so that its half has two digits")
    numbers = jax.random.randint(key, (n, half), 0, jnp.array([DIGITS] * (half - 1) + [DIGITS - 1]))
    free, rest = numbers[:, :-1], 0 if held_out else numbers[:, -1] + 1
    return jnp.concatenate([free, ((rest - free.sum(1)) % DIGITS)[:, None]], axis=1)
