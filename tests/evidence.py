"""Numbers in the answers of a ``result.json`` that nothing else in it bears out."""

import re
import statistics
from collections.abc import Iterator
from typing import Any

from jaxrnn import runfolder

QUOTED: dict[str, tuple[str, ...]] = {
    "I6": ("1,000",),
    "N6": ("0.028",),
    "R2": ("256",),
    "R8": ("0.5032", "0.3133", "0.6931", "25,729", "789,761", "256"),
    "R9": ("74.32", "49.97"),
    "R10": ("256", "0.0001", "128", "0.001"),
    "T1": ("0.5", "1.5"),
    "U4": ("99.9",),
    "U5": ("99.9", "100", "0.0001"),
    "U7": ("128",),
    "U8": ("99.9",),
    "U14": ("0.5",),
    "U16": ("0.5",),
    "U17": ("0.001",),
}
"""Numbers that an answer repeats from its question, or that belong to a formula: by the question's id."""

NUMBER = re.compile(r"(?<![\w.,^])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?![\w^]|\.\d)")


def unsupported(result: dict[str, Any]) -> dict[str, list[str]]:
    """The numbers in each answer that are neither in the result, as they are or rounded, nor quoted; without the
    answers that have none.

    Whole numbers below 100 are let through: they count layers and steps. A number of the result counts as it is, in
    percent, without its sign, and a fraction as what is left of 1 or of 100%; so do the median of a metric's runs and
    half of their 95% interval.
    """
    known = set(_known(result))
    found = {
        question: [text for text in NUMBER.findall(answer) if text not in QUOTED.get(question, ())]
        for question, answer in result["answers"].items()
    }
    odd = {question: [text for text in texts if not _borne_out(text, known)] for question, texts in found.items()}
    return {question: texts for question, texts in odd.items() if texts}


def _borne_out(text: str, known: set[float]) -> bool:
    digits = text.lstrip("+-")
    if digits.isdigit() and int(digits) < 100:
        return True
    mantissa, _, exponent = digits.replace(",", "").partition("e")
    last_place = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    printed = float(digits.replace(",", ""))
    return any(abs(abs(value) - printed) <= 0.5001 * last_place for value in known)


def _known(result: dict[str, Any]) -> Iterator[float]:
    values = list(_numbers({key: value for key, value in result.items() if key not in ("answers", "made", "versions")}))
    for metric in result["metrics"].values():
        runs = [run for run in metric["runs"] if run is not None]
        half = runfolder.half_width(metric["runs"])
        values += [statistics.median(runs)] if runs else []
        values += [half] if half is not None else []
    for value in values:
        yield from (value, 100 * value)
        if 0 <= value <= 1:
            yield from (1 - value, 100 - 100 * value)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, str):
        yield from (float(text.replace(",", "")) for text in NUMBER.findall(value))
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
