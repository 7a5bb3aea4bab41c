"""An image file of one's own, brought to the form of MNIST: light ink on black, scaled to a box and centred.

The background is found rather than asked for, so dark on light, light on dark and any two colours are one and the same.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from jaxrnn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

# Of the strongest ink. Paper in uneven light, the noise of a camera and the rings that JPEG draws around a stroke stay
# below three tenths of a pen's contrast; the soft edges of a stroke that fall below it too are thinner than a pixel of
# the result. At a quarter uneven light begins to show, at two fifths faint strokes of MNIST itself begin to be lost.
FAINT = 0.3

# Of 255. Every image of MNIST and of scikit-learn's digits has stronger ink somewhere, so all of them stay what they
# are; a digit in light blue, say, does not.
PALE = 0.8

# Of the inked pixels, after scaling down: these are left below full ink, the others reach it. A stroke thinner than a
# pixel of the result comes out as faint as it is thin, and where two of them cross twice as strong; going by the single
# strongest pixel would leave all the rest faint. In nine of ten images of MNIST a quarter of the ink has 252 or more.
BELOW_FULL = 0.75

# Box sides: an image of at least twice this is first averaged down, to one or two times it. A digit that takes a tenth
# of the image keeps a pixel for each of the result, and the noise of a camera averages out before it reaches FAINT.
DETAIL = 10

_STRIP = 1 << 20  # pixels in floating point at a time: an image of 8000x8000 whole would take gigabytes
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
_WORDS = {"I;16", "I;16L", "I;16B", "I;16N"}
_DEEP = _WORDS | {"I", "F"}
_ADVICE = "save it again as PNG or JPEG"


def read_ink(path: str | os.PathLike) -> np.ndarray:
    """How far the colour of each pixel lies from the background's: uint8 ``(height, width)``, 0 for the background.

    ``path``: a file in any format that Pillow reads by itself, so not PostScript; of several frames the first, turned
    upright as its EXIF says. The background is the colour of most of the border, the distance the root mean square over
    red, green and blue, so that a grey image gives exactly ``|grey - background|``. 16-bit grey counts as 0 to 65535,
    floating point as 0 to 1, 0 to 255 or from its least to its greatest, whichever is the first to hold it. Where most
    of the border is transparent, what is visible lies on white, or on black where it is light; else transparent pixels
    are background.

    Raises ``DataError``: no such file, or not readable, or not an image that Pillow can decode, or more pixels than
    ``PIL.Image.MAX_IMAGE_PIXELS``, or nothing in it but one colour.
    """
    path = Path(os.path.expanduser(path))
    with _decoded(path) as image:
        scale = _scale(image, path)
        border, visible = _border(image, scale)
        if visible.mean() >= 0.5:
            background = paper = _prevalent(border[visible >= 0.5])
        else:
            paper = np.full(border.shape[-1], 0.0 if _is_light(image, scale) else 255.0, np.float32)
            background = _prevalent(_over(border, visible, paper))
        width, height = image.size
        ink = np.empty((height, width), np.uint8)
        for rows, colours, alpha in _strips(image, scale):
            distance = _over(colours, alpha, paper) - background
            ink[rows] = np.rint(np.sqrt(np.einsum("...c,...c->...", distance, distance) / distance.shape[-1]))
    if not ink.any():
        raise DataError(f"{path}: has nothing in it, all of its {width}x{height} pixels are alike; draw a digit there")
    return ink


def as_example(path: str | os.PathLike, shape: tuple[int, int], box: int) -> np.ndarray:
    """The image file ``path`` as an example for a model: uint8 ``shape`` (rows, columns), light ink on black.

    An image that has this shape is taken as it is (``read_ink``), but for a pale one, whose strongest ink is below
    ``PALE`` of 255: that is scaled to 255; any other image as ``normalise`` makes it, with
    ``box`` as the longer side of the ink in pixels: 28x28 and 20 for MNIST, 8x8 and 8 for scikit-learn's digits.

    Raises ``DataError`` as ``read_ink`` does.
    """
    ink = read_ink(path)
    if ink.shape != tuple(shape):
        return normalise(ink, shape, box)
    return ink if ink.max() >= PALE * 255 else np.rint(ink * (255 / ink.max())).astype(np.uint8)


def normalise(ink: np.ndarray, shape: tuple[int, int], box: int) -> np.ndarray:
    """``ink``, uint8 of any size and not all 0, as MNIST was made: uint8 ``shape`` (rows, columns), strongest ink 255.

    Ink below ``FAINT`` of the strongest is background. What remains is cropped, scaled with its aspect ratio kept
    until the longer side is ``box`` pixels (fewer where ``shape`` has not that many) and shifted by whole pixels until
    its centre of mass is nearest to the image's middle, as far as it stays inside. The middle is, as in MNIST, the
    pixel ``(rows // 2, columns // 2)``; without a margin around the box, half a pixel earlier along an even side.
    """
    from PIL import Image

    rows, columns = shape
    if not (ink.any() and min(rows, columns, box) >= 1):
        raise ValueError(f"needs ink, and a shape and a box of at least 1, not {shape} and {box}")
    drawn = _averaged(ink, max(1, max(ink.shape) // (DETAIL * box)))
    drawn[drawn < FAINT * drawn.max()] = 0
    top, bottom = _extent(drawn.max(1))
    left, right = _extent(drawn.max(0))

    height, width = bottom - top, right - left
    scale = min(box / max(height, width), rows / height, columns / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(drawn[top:bottom, left:right]).resize(size, Image.Resampling.HAMMING))
    small = small / np.quantile(small[small >= FAINT * small.max()], BELOW_FULL)
    small = np.rint(255 * small.clip(max=1)).astype(np.uint8)

    example = np.zeros(shape, np.uint8)
    # In MNIST every image has its centre of mass in the later of the two middle pixels, between 13.5 and 14.5. The
    # digits of scikit-learn, which leave no margin, have it on average between the two, at 3.5.
    late = box < min(shape)
    top, left = (_offset(small.sum(1 - axis), shape[axis], late) for axis in (0, 1))
    example[top : top + small.shape[0], left : left + small.shape[1]] = small
    return example


@contextmanager
def _decoded(path: Path) -> "Iterator[Image.Image]":
    """The first frame of the file, upright, in mode L, RGB, RGBA or one of ``_DEEP``."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.is_dir():
        raise DataError(f"{path}: is a folder; give the image file itself")
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the name")
    try:
        file = open(path, "rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow finds odd is either decoded all the same or refused here
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            raise DataError(f"{path}: not an image, or a broken one; {_ADVICE}") from error
        except Image.DecompressionBombError as error:
            count = re.search(r"\d+", str(error))  # Pillow refuses before it would tell the size in any other way
            _refuse_size(path, f"{count[0] if count else 'far too many'} pixels", error)
        except Exception as error:
            raise _broken(path, error) from error
        with image:
            if image.format == "EPS":  # a program, that Pillow has another one run
                raise DataError(f"{path}: is PostScript, which is not run here; {_ADVICE}")
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                _refuse_size(path, f"{image.width}x{image.height} pixels")
            try:
                ImageOps.exif_transpose(image, in_place=True)
                plain = _plain(image)
            except Exception as error:
                raise _broken(path, error) from error
            yield plain


def _refuse_size(path: Path, what: str, error: Exception | None = None) -> NoReturn:
    from PIL import Image

    raise DataError(f"{path}: {what}, over the limit of {Image.MAX_IMAGE_PIXELS}; scale the image down") from error


def _broken(path: Path, error: Exception) -> Exception:
    # Broken content makes Pillow raise whatever it runs into, from SyntaxError to struct.error; only a lack of memory
    # is no fault of the file.
    if isinstance(error, MemoryError):
        return error
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path}: a broken image, or of a kind that Pillow cannot decode ({reason}); {_ADVICE}")


def _scale(image: "Image.Image", path: Path) -> tuple[float, float]:
    """What to subtract from the values of a grey image and what to multiply them by, for 0 to 255."""
    if image.mode in _WORDS:
        return 0, 255 / 65535
    if image.mode not in _DEEP:
        return 0, 1
    pixels = np.asarray(image)
    least, greatest = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(least) and np.isfinite(greatest)):
        raise DataError(f"{path}: has pixels that are not numbers; {_ADVICE}")
    for bound in (65535,) if image.mode == "I" else (1, 255):
        if 0 <= least and greatest <= bound:
            return 0, 255 / bound
    return least, 255 / (greatest - least or 1)


def _plain(image: "Image.Image") -> "Image.Image":
    """The image in mode L, RGB, RGBA or one of ``_DEEP``, the same one where it already is."""
    if image.mode in _DEEP:
        return image
    if image.mode == "LAB":
        return image.getchannel("L")  # its lightness: Pillow has no way from there to RGB
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in _ALPHA or "transparency" in image.info:
        mode = "RGBA"
    else:
        mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _pixels(image: "Image.Image", scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Colours, float32 ``(height, width, 1 or 3)`` from 0 to 255, and opacity, ``(height, width)`` from 0 to 1."""
    pixels = np.asarray(image)
    if image.mode == "RGBA":
        return pixels[..., :3].astype(np.float32), pixels[..., 3] / np.float32(255)
    opaque = np.ones(pixels.shape[:2], np.float32)
    if image.mode in _DEEP:
        if isinstance(transparent := image.info.get("transparency"), int):
            opaque[pixels == transparent] = 0
        pixels = (pixels.astype(np.float64) - scale[0]) * scale[1]
    return pixels.reshape(*opaque.shape, -1).astype(np.float32), opaque


def _strips(image: "Image.Image", scale: tuple[float, float]) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    height = max(1, _STRIP // image.width)
    for top in range(0, image.height, height):
        rows = slice(top, min(top + height, image.height))
        yield rows, *_pixels(image.crop((0, rows.start, image.width, rows.stop)), scale)


def _border(image: "Image.Image", scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The outermost pixels, each once: colours ``(pixels, channels)`` and opacity ``(pixels,)``."""
    width, height = image.size
    lines = [(0, 0, width, 1)]
    if height > 1:
        lines.append((0, height - 1, width, height))
    if height > 2:
        lines.append((0, 1, 1, height - 1))
        if width > 1:
            lines.append((width - 1, 1, width, height - 1))
    colours, alphas = zip(*(_pixels(image.crop(line), scale) for line in lines), strict=True)
    return (
        np.concatenate([part.reshape(-1, part.shape[-1]) for part in colours]),
        np.concatenate([part.ravel() for part in alphas]),
    )


def _prevalent(colours: np.ndarray) -> np.ndarray:
    """The median of each channel of ``(pixels, channels)``."""
    # Between the two middle ones of an even number the more frequent decides, not their mean: ink covers exactly half
    # of the border of one of scikit-learn's digits, and the background is the other half, not what lies midway.
    ordered = np.sort(colours, axis=0)
    middle = ordered[[(len(ordered) - 1) // 2, len(ordered) // 2]]
    counts = (colours == middle[:, None]).sum(1)
    return np.where(counts[0] == counts[1], middle.mean(0), np.where(counts[0] > counts[1], *middle))


def _over(colours: np.ndarray, alpha: np.ndarray, paper: np.ndarray) -> np.ndarray:
    # what no image but a transparent one needs is half of the time that a large one takes
    return colours if alpha.min() == 1 else paper + (colours - paper) * alpha[..., None]


def _is_light(image: "Image.Image", scale: tuple[float, float]) -> bool:
    """Whether what is visible of an image is lighter than medium grey."""
    light = visible = 0.0
    for _, colours, alpha in _strips(image, scale):
        light += float((colours.mean(-1) * alpha).sum())
        visible += float(alpha.sum())
    return light > 127.5 * visible


def _averaged(ink: np.ndarray, factor: int) -> np.ndarray:
    """Means over blocks of ``factor`` x ``factor`` pixels, float32; beyond the image there is no ink."""
    rows, columns = (min(factor, length) for length in ink.shape)  # of a strip, whole blocks could take any memory
    padded = np.pad(ink, [(0, -length % block) for length, block in zip(ink.shape, (rows, columns), strict=True)])
    height, width = padded.shape
    means = padded.reshape(height // rows, rows, width // columns, columns).mean((1, 3), dtype=np.float32)
    return means * np.float32(rows * columns / factor**2)


def _extent(profile: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(profile)
    return int(where[0]), int(where[-1]) + 1


def _offset(profile: np.ndarray, room: int, late: bool) -> int:
    """Where a profile of ink begins among ``room`` pixels for its centre of mass to be nearest to their middle."""
    middle = room // 2 if late else (room - 1) / 2
    centre = (profile * np.arange(len(profile))).sum() / profile.sum()
    return int(np.clip(np.ceil(middle - 0.5 - centre), 0, room - len(profile)))
