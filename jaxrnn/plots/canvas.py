"""The canvas of the figures. Imports matplotlib, so it is itself imported by the first figure that is drawn."""

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image


class Canvas(FigureCanvasAgg):
    """Writes PNG files in 256 colours, the nearest to the figure's own: no eye sees it, and files are a third as large.

    What is see-through anywhere is written as it is, and so is a file that is to have matplotlib's extras.
    """

    def print_png(
        self,
        filename_or_obj: Any,
        *,
        metadata: dict[str, str | None] | None = None,
        pil_kwargs: dict[str, Any] | None = None,
        **_: Any,  # of any canvas: the colours that are set already, and what is for other kinds of files
    ) -> None:
        self.draw()
        pixels = np.asarray(self.buffer_rgba())
        if metadata is not None or pil_kwargs is not None or pixels[..., 3].min() < 255:
            super().print_png(filename_or_obj, metadata=metadata, pil_kwargs=pil_kwargs)
            return
        image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        few = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(filename_or_obj, format="png", optimize=True, dpi=(self.figure.dpi, self.figure.dpi))
