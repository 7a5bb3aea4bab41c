"""What hidden units do while a text is read, as a page for a browser that needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.neurons import sign

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1a1a1a; --faint: #595959; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --ink: #ececec; --faint: #a8a8a8; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 1.5rem 0 0.3rem; } p { color: var(--faint); }
.text { font: 15px/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.text span { padding: 0.15em 0; }
.scale span { padding: 0.15em 0.6em; font: 14px ui-monospace, monospace; }
"""


def page(text: str, units: Mapping[str, Any], expected: Sequence[Sequence[tuple[str, float]]], title: str) -> str:
    """The whole text once for each unit, every character on the colour of the unit's output after it.

    ``units`` and ``expected`` are those of `jaxrnn.plots.neurons.neurons`. What was expected next is shown where the
    pointer rests on a character. Every colour comes with that of its letter, so it reads on dark and light pages.
    """
    hints = [
        f"after {sign(character)} comes "
        + ", ".join(f"{sign(guess)} {probability:.0%}" for guess, probability in guesses)
        for character, guesses in zip(text, expected, strict=True)
    ]
    scale = "".join(_coloured(f"{value:+.2f}", value, "") for value in np.linspace(-1, 1, 9))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        "<p>The colour of a character is the unit's output after it was read; r is the correlation with what stands "
        "before it. Rest the pointer on a character to see what is expected next.</p>",
        f'<div class="scale">{scale}</div>',
    ]
    for name, values in units.items():
        spans = [
            _coloured(_visible(character), value, f"{value:+.2f}; {hint}")
            for character, value, hint in zip(text, np.asarray(values, float).tolist(), hints, strict=True)
        ]
        parts += [f"<h2>{escape(name)}</h2>", f'<div class="text">{"".join(spans)}</div>']
    return "\n".join([*parts, "</body></html>\n"])


def _visible(character: str) -> str:
    """A character in running text: a line break is seen, and breaks the line; a space stays one."""
    return character if character == " " else sign(character) + ("\n" if character == "\n" else "")


def _coloured(text: str, value: float, hint: str) -> str:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    colour = colormaps[style.SIGNED](0.5 + value / 2)
    said = f' title="{escape(hint)}"' if hint else ""
    return f'<span style="background:{to_hex(colour)};color:{style.ink_on(colour)}"{said}>{escape(text)}</span>'
