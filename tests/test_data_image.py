"""An image file of one's own: its ink exactly, whatever its colours and format, and its form that of MNIST."""

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from jaxrnn.data import image as module
from jaxrnn.data.image import as_example, normalise, read_ink
from jaxrnn.errors import DataError

MNIST = (28, 28), 20
SMALL = (8, 8), 8
SCANS = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
UPRIGHT = {
    1: lambda array: array,
    2: np.fliplr,
    3: lambda array: np.rot90(array, 2),
    4: np.flipud,
    5: lambda array: array.T,
    6: np.rot90,
    7: lambda array: np.rot90(array, 2).T,
    8: lambda array: np.rot90(array, -1),
}  # how a picture lies in the file for its EXIF orientation to turn it upright


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "file"


def encoded(picture, format="PNG", **options) -> bytes:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    content = io.BytesIO()
    picture.save(content, format, **options)
    return content.getvalue()


def stored(scratch, picture, format="PNG", **options):
    scratch.write_bytes(encoded(picture, format, **options))
    return scratch


def digit(seed: int = 0, size: int = 28) -> np.ndarray:
    """A stroke of full ink with soft ends, clear of the border, of its own kind for every seed."""
    rng = np.random.default_rng(seed)
    big = Image.new("L", (8 * size, 8 * size))
    points = [tuple(point) for point in (rng.uniform(0.2, 0.8, (4, 2)) * 8 * size).tolist()]
    ImageDraw.Draw(big).line(points, fill=255, width=size, joint="curve")
    return np.asarray(big.resize((size, size), Image.Resampling.BOX))


def on_canvas(ink: np.ndarray, shape: tuple[int, int], top: int, left: int) -> np.ndarray:
    canvas = np.zeros(shape, np.uint8)
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def extent(example: np.ndarray) -> tuple[int, int]:
    return np.ptp(np.flatnonzero(example.any(1))) + 1, np.ptp(np.flatnonzero(example.any(0))) + 1


def centre(example: np.ndarray) -> np.ndarray:
    return (np.indices(example.shape) * example).sum((1, 2)) / example.sum()


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return np.abs(one.astype(int) - other).mean()


def refusal(function, *arguments) -> str:
    """The one line with which ``function`` refuses."""
    with pytest.raises(DataError) as caught:
        function(*arguments)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"{arguments[0]}: ") and "; " in line
    return line


# An image of the right shape


@pytest.mark.parametrize("paper", [0, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16", "I", "F", "1"])
def test_a_file_of_the_right_shape_is_the_example_bit_for_bit(scratch, mode, paper):
    ink = digit()
    if mode == "1":
        ink = np.where(ink > 127, 255, 0).astype(np.uint8)
    grey = np.abs(paper - ink.astype(int))
    if mode in ("I;16", "I"):
        picture = Image.fromarray((257 * grey).astype(np.uint16 if mode == "I;16" else np.int32))
    elif mode == "F":
        picture = Image.fromarray((grey / 255).astype(np.float32))
    else:
        picture = Image.fromarray(grey.astype(np.uint8)).convert(mode)
    stored(scratch, picture, "TIFF" if mode in ("I", "F") else "PNG")
    example = as_example(scratch, *MNIST)
    np.testing.assert_array_equal(example, ink, strict=True)
    np.testing.assert_array_equal(read_ink(str(scratch)), ink)


def test_scikit_learns_digits_come_back_bit_for_bit(scratch):
    half_ink = [at for at, scan in enumerate(SCANS) if np.median(outline(scan))]
    assert len(half_ink) == 1, "the one whose border is half ink is why the background is not simply the median"
    for at in [*range(0, len(SCANS), 20), *half_ink]:
        for paper in (0, 255):
            stored(scratch, np.abs(paper - SCANS[at].astype(int)).astype(np.uint8))
            np.testing.assert_array_equal(as_example(scratch, *SMALL), SCANS[at], strict=True)


def outline(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array[0], array[-1], array[1:-1, 0], array[1:-1, -1]])


@settings(max_examples=50)
@given(ink=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))), colour=st.booleans(), paper=st.booleans())
def test_the_ink_of_a_grey_image_is_its_distance_from_the_border(scratch, ink, colour, paper):
    ink = np.pad(ink, 2)
    assume(ink.any())
    picture = Image.fromarray(255 - ink if paper else ink)
    np.testing.assert_array_equal(read_ink(stored(scratch, picture.convert("RGB") if colour else picture)), ink)


@settings(max_examples=50)
@given(picture=arrays(np.uint8, st.tuples(st.integers(2, 7), st.integers(2, 7), st.sampled_from([1, 3]))))
def test_light_and_dark_may_change_places(scratch, picture):
    assume(np.ptp(picture, axis=(0, 1)).any())
    picture = picture.squeeze(2) if picture.shape[2] == 1 else picture
    found = read_ink(stored(scratch, picture))
    np.testing.assert_array_equal(read_ink(stored(scratch, 255 - picture)), found)


colours = st.tuples(*[st.integers(0, 255)] * 3)


@settings(max_examples=50)
@given(paper=colours, pen=colours)
def test_any_two_colours_will_do(scratch, paper, pen):
    assume(max(abs(a - b) for a, b in zip(paper, pen, strict=True)) > 1)
    drawn = digit(3) > 127
    ink = read_ink(stored(scratch, np.where(drawn[..., None], pen, paper).astype(np.uint8)))
    assert not ink[~drawn].any()
    rms = np.sqrt(sum((a - b) ** 2 for a, b in zip(paper, pen, strict=True)) / 3)
    assert set(ink[drawn].tolist()) == {round(rms)}
    ink = read_ink(stored(scratch, np.where(drawn[..., None], paper, pen).astype(np.uint8)))
    assert set(ink[drawn].tolist()) == {round(rms)}


# Formats


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_turns_the_image_upright(scratch, orientation, format):
    ink = np.zeros((24, 16), np.uint8)
    ink[4:20, 4:8] = ink[16:20, 8:12] = 255  # an L is like itself in no other orientation
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](ink))).convert("RGB")
    found = read_ink(stored(scratch, lying, format, exif=exif))
    assert found.shape == ink.shape
    assert difference(found, ink) < 8


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG", "PPM", "TGA", "ICO"])
def test_formats(scratch, format):
    ink = np.asarray(Image.fromarray(digit()).resize((64, 64)))
    options = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(64, 64)]}}.get(format, {})
    found = read_ink(stored(scratch, Image.fromarray(255 - ink).convert("RGB"), format, **options))
    assert difference(found, ink) <= (1 if format == "JPEG" else 0)


@pytest.mark.parametrize("quality", [50, 95])
def test_jpeg_in_cmyk(scratch, quality):
    ink = np.asarray(Image.fromarray(digit()).resize((112, 112)))
    picture = Image.fromarray(255 - ink).convert("RGB").convert("CMYK")
    assert difference(read_ink(stored(scratch, picture, "JPEG", quality=quality)), ink) < 3


def test_of_an_animation_the_first_frame(scratch):
    first, second = (Image.fromarray(digit(seed)) for seed in (1, 2))
    for format in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if format == "WEBP" else {}
        stored(scratch, first, format, save_all=True, append_images=[second], duration=50, **options)
        np.testing.assert_array_equal(as_example(scratch, *MNIST), digit(1))


@pytest.mark.parametrize("pen", [(0, 0, 0), (255, 255, 255), (200, 30, 30), (255, 240, 0)])
def test_ink_on_nothing_stays_visible(scratch, pen):
    alpha = digit()
    for hidden in ((0, 0, 0), (255, 255, 255)):  # the colour of what cannot be seen says nothing
        picture = np.dstack([np.where(alpha[..., None] > 0, pen, hidden), alpha]).astype(np.uint8)
        found = read_ink(stored(scratch, picture))
        paper = 0 if np.mean(pen) > 127.5 else 255
        strength = np.sqrt(np.mean([(paper - channel) ** 2 for channel in pen])) / 255
        assert strength >= 0.5
        np.testing.assert_allclose(found, strength * alpha, atol=0.51)


@pytest.mark.parametrize("paper", [0, 255])
def test_grey_ink_on_nothing(scratch, paper):
    alpha = digit()
    picture = Image.merge("LA", [Image.new("L", alpha.shape, 255 - paper), Image.fromarray(alpha)])
    np.testing.assert_array_equal(read_ink(stored(scratch, picture)), alpha)


@pytest.mark.parametrize("paper", [0, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_a_colour_declared_transparent(scratch, mode, paper):
    ink = np.where(digit() > 127, 255, 0)
    grey = Image.fromarray(np.abs(paper - ink).astype(np.uint8))
    picture = Image.fromarray((np.abs(paper - ink) * 257).astype(np.uint16)) if mode == "I;16" else grey.convert(mode)
    hidden = {"L": paper, "RGB": (paper,) * 3, "I;16": 257 * paper}.get(mode)
    if mode == "P":
        hidden = picture.getpixel((0, 0))
    found = read_ink(stored(scratch, picture, transparency=hidden))
    np.testing.assert_array_equal(found, ink)


def test_a_hole_in_the_paper_is_paper(scratch):
    ink = digit()
    alpha = np.full(ink.shape, 255)
    alpha[:2, :2] = alpha[-2:, -2:] = 0  # as a window's rounded corners
    found = read_ink(stored(scratch, np.dstack([255 - ink] * 3 + [alpha]).astype(np.uint8)))
    np.testing.assert_array_equal(found, ink)


def test_deep_greys_by_their_range(scratch):
    ink = digit()
    for deep in (
        ink * np.float32(100) - 7000,
        (ink - np.float32(127)) * np.float32(2.5e36),
        ink.astype(np.int32) * 1000,
        ink.astype(np.int32) * -9,
    ):
        found = read_ink(stored(scratch, Image.fromarray(deep), "TIFF"))
        np.testing.assert_allclose(found, ink, atol=0.51)
    np.testing.assert_array_equal(read_ink(stored(scratch, Image.fromarray(ink.astype(np.float32)), "TIFF")), ink)
    big_endian = b"P5 28 28 65535 " + (ink.astype(">u2") * 257).tobytes()
    scratch.write_bytes(big_endian)
    np.testing.assert_array_equal(read_ink(scratch), ink)


def test_strips_meet(scratch, monkeypatch):
    whole = read_ink(stored(scratch, Image.fromarray(digit()).convert("RGB")))
    monkeypatch.setattr(module, "_STRIP", 28 * 3)
    np.testing.assert_array_equal(read_ink(scratch), whole)


# The form of MNIST


@given(seed=st.integers(0, 999), factor=st.integers(2, 20), shape=st.sampled_from([MNIST, SMALL, ((20, 12), 10)]))
@settings(max_examples=40)
def test_enlarging_moves_no_edge_by_more_than_a_pixel(scratch, seed, factor, shape):
    ink = digit(seed, 40)
    once = as_example(stored(scratch, ink), *shape)
    enlarged = as_example(stored(scratch, ink.repeat(factor, 0).repeat(factor, 1)), *shape)
    assert np.abs(np.subtract(extent(once), extent(enlarged))).max() <= 1
    assert np.abs(centre(once) - centre(enlarged)).max() < 1.1


@pytest.mark.parametrize("shape", [MNIST, SMALL, ((20, 12), 10)])
def test_enlarging_changes_next_to_nothing(shape):
    differences = []
    for seed in range(25):
        once = normalise(digit(seed, 40), *shape)
        for factor in (2, 3, 7):
            enlarged = digit(seed, 40).repeat(factor, 0).repeat(factor, 1)
            differences.append(difference(normalise(enlarged, *shape), once))
    assert np.median(differences) < 2, "of 255; the means are 38 to 93"
    assert np.quantile(differences, 0.9) < 6


@given(seed=st.integers(0, 999), top=st.integers(1, 130), left=st.integers(1, 130), paper=st.booleans())
@settings(max_examples=40)
def test_where_on_the_paper_changes_nothing(scratch, seed, top, left, paper):
    ink = on_canvas(digit(seed), (160, 160), top, left)
    example = as_example(stored(scratch, 255 - ink if paper else ink), *MNIST)
    np.testing.assert_array_equal(example, normalise(digit(seed), *MNIST))


@given(seed=st.integers(0, 999), strength=st.integers(1, 5), level=st.integers(0, 255))
@settings(max_examples=40)
def test_a_weak_pen_on_any_paper_is_a_strong_one_on_black(scratch, seed, strength, level):
    ink = digit(seed, 50) // 10
    assume(ink.max() == 25)
    sign = -1 if level > 127 else 1
    example = as_example(stored(scratch, (level + sign * strength * ink.astype(int)).astype(np.uint8)), *MNIST)
    np.testing.assert_allclose(example, normalise(ink, *MNIST), atol=1)


@given(
    seed=st.integers(0, 999),
    size=st.integers(12, 150),
    shape=st.tuples(st.integers(6, 40), st.integers(6, 40)),
    box=st.integers(3, 40),
)
@settings(max_examples=100)
def test_the_box_is_filled_and_the_centre_of_mass_in_the_middle(seed, size, shape, box):
    example = normalise(digit(seed, size), shape, box)
    assert example.shape == shape and example.dtype == np.uint8 and example.max() == 255
    rows, columns = inked = np.array(extent(example))
    limit = min(box, *shape)
    assert (inked <= shape).all() and max(rows, columns) <= box
    assert max(rows, columns) >= min(limit, box)
    middle = np.array(shape) // 2 if box < min(shape) else (np.array(shape) - 1) / 2
    for axis in (0, 1):
        at_edge = example.any(1 - axis)[[0, -1]].any()
        assert at_edge or abs(centre(example)[axis] - middle[axis]) <= 0.5


@pytest.mark.parametrize("height, width", [(300, 100), (100, 300), (40, 40), (10, 5), (400, 380), (1, 30)])
def test_the_aspect_ratio_is_kept(height, width):
    ink = np.pad(np.full((height, width), 200, np.uint8), 20)
    example = normalise(ink, *MNIST)
    longer = max(height, width)
    wanted = max(1, round(20 * height / longer)), max(1, round(20 * width / longer))
    assert extent(example) == wanted
    assert set(np.unique(example)) == {0, 255}
    assert extent(normalise(ink, (12, 28), 20)) <= (12, 28)


def test_a_digit_that_is_heavy_on_one_side_stays_inside():
    ink = np.zeros((80, 80), np.uint8)
    ink[:16] = ink[:, 40:44] = 255
    for turns in range(4):
        assert extent(normalise(np.rot90(ink, turns), (28, 28), 27)) == (27, 27)
    np.testing.assert_array_equal(normalise(ink, (28, 28), 27)[:2].max(1), [0, 255])
    np.testing.assert_array_equal(normalise(ink[::-1], (28, 28), 27)[-2:].max(1), [255, 0])


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_thin_stroke_in_a_large_image_is_visible(scratch, width):
    picture = Image.new("L", (1000, 1000), 255)
    points = [(300, 250), (700, 260), (420, 900), (310, 420)]
    ImageDraw.Draw(picture).line(points, fill=40, width=width)
    example = as_example(stored(scratch, picture), *MNIST)
    assert example.max() == 255 and extent(example)[0] == 20
    assert np.median(example[example > 0]) > 75
    for x, y in points:  # the corners are where they were drawn
        row, column = 20 * (y - 250) / 650, 20 * (x - 300) / 650
        top, left = (np.flatnonzero(example.any(axis))[0] for axis in (1, 0))
        at = example[max(0, int(top + row) - 1) :, max(0, int(left + column) - 1) :][:3, :3]
        assert at.max() > 70


def test_a_strip_takes_no_more_memory_than_it_has_pixels(scratch):
    """To fill it up to whole blocks of pixels would take 20 GiB."""
    strip = np.full((2, 2_000_000), 255, np.uint8)
    strip[:, 900_000:1_100_000] = 0
    tracemalloc.start()
    try:
        example = as_example(stored(scratch, Image.fromarray(strip)), *MNIST)
        assert tracemalloc.get_traced_memory()[1] < 250 << 20
    finally:
        tracemalloc.stop()
    assert example.max() == 255 and extent(example)[1] == 20


@pytest.mark.parametrize("uneven, noise", [(0, 15), (40, 8), (60, 3)])
def test_noise_and_uneven_light_are_background(scratch, uneven, noise):
    rng = np.random.default_rng(4)
    differences = []
    for seed in range(9):
        ink = np.asarray(Image.fromarray(digit(seed, 50)).resize((500, 500)))
        drawn = on_canvas(ink, (700, 900), 100, 250) / 255
        paper = 200 - uneven * np.arange(900) / 900
        photograph = paper - 130 * drawn + noise * rng.standard_normal(drawn.shape)
        stored(scratch, photograph.clip(0, 255).astype(np.uint8), "JPEG", quality=80)
        example, clean = as_example(scratch, *MNIST), normalise(ink, *MNIST)
        assert np.abs(np.subtract(extent(example), extent(clean))).max() <= 1
        differences.append(difference(example, clean))
    assert np.median(differences) < 4, "of 255"


def test_scikit_learns_digits_enlarged_are_like_themselves(scratch):
    differences = []
    for scan in SCANS[::40]:
        large = Image.fromarray(255 - scan).resize((96, 96), Image.Resampling.NEAREST)
        differences.append(difference(as_example(stored(scratch, large), *SMALL), scan))
    assert np.median(differences) < 16, "of 255; any two of the digits differ by 65"


def test_what_makes_no_sense_is_the_callers_error():
    for ink, shape, box in [
        (np.zeros((5, 5), np.uint8), (28, 28), 20),
        (digit(), (0, 28), 20),
        (digit(), (28, 28), 0),
    ]:
        with pytest.raises(ValueError, match="needs ink, and a shape and a box"):
            normalise(ink, shape, box)


# Errors


def test_no_such_file(tmp_path):
    assert "no such file; check the name" in refusal(read_ink, tmp_path / "absent.png")
    assert "is a folder; give the image file itself" in refusal(as_example, tmp_path, *MNIST)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    assert "no such file" in refusal(read_ink, tmp_path / "pipe")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = stored(tmp_path / "secret", digit())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be read (Permission denied); check its permissions" in refusal(read_ink, path)


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    stored(tmp_path / "digit.png", digit())
    np.testing.assert_array_equal(read_ink("~/digit.png"), digit())


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_no_beginning_of_a_file_passes_for_another_image(scratch, format):
    content = encoded(Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 40), np.uint8)), format)
    scratch.write_bytes(content)
    whole = read_ink(scratch)
    refused = 0
    for cut in [0, 1, 7, 8, 20, 33, *np.linspace(40, len(content) - 1, 25).astype(int)]:
        scratch.write_bytes(content[:cut])
        try:
            found = read_ink(scratch)
        except DataError as error:
            refused += 1
            assert str(error).startswith(f"{scratch}: ") and "save it again as PNG or JPEG" in str(error)
        else:  # what is missing is not part of the image: the mark of the end, or what is said about it
            assert cut > 0.97 * len(content)
            np.testing.assert_array_equal(found, whole)
    assert refused >= 28


@pytest.mark.parametrize("size", [1, 10, 100, 10_000])
def test_random_bytes_are_not_an_image(scratch, size):
    scratch.write_bytes(np.random.default_rng(size).bytes(size))
    assert "not an image, or a broken one; save it again as PNG or JPEG" in refusal(read_ink, scratch)


@settings(max_examples=50)
@given(
    content=st.binary(max_size=200),
    start=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8\xff", b"II*\0", b"P5 2 2 "]),
)
def test_the_beginning_of_an_image_and_random_bytes_are_an_image_or_a_refusal(scratch, content, start):
    scratch.write_bytes(start + content)
    try:
        assert read_ink(scratch).any()
    except DataError:
        refusal(read_ink, scratch)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_a_damaged_file_is_an_image_or_a_refusal(scratch, format):
    rng = np.random.default_rng(6)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(digit()).convert("RGB"), format, **({} if format == "GIF" else {"exif": exif}))
    for _ in range(100):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 5)):
            damaged[at] = rng.integers(256)
        scratch.write_bytes(damaged)
        try:
            assert read_ink(scratch).any()
        except DataError as error:
            assert str(error).startswith(f"{scratch}: ") and "\n" not in str(error)


def claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises so much, black and white."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "width, height, words", [(60000, 60000, "3600000000 pixels"), (10000, 10000, "10000x10000 pixels")]
)
def test_too_large_is_said_before_decoding(scratch, width, height, words):
    scratch.write_bytes(claims(width, height))
    tracemalloc.start()
    try:
        line = refusal(read_ink, scratch)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert f"{words}, over the limit of {Image.MAX_IMAGE_PIXELS}; scale the image down" in line


def test_the_limit_is_pillows(scratch, monkeypatch):
    stored(scratch, digit())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 28 * 28 - 1)
    assert "28x28 pixels, over the limit of 783" in refusal(read_ink, scratch)
    for limit in (28 * 28, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        np.testing.assert_array_equal(read_ink(scratch), digit())


def test_a_large_image_takes_reasonable_memory(scratch):
    picture = Image.new("L", (8000, 8000), 255)
    ImageDraw.Draw(picture).line([(4000, 1000), (4000, 7000)], fill=0, width=300)
    stored(scratch, picture, compress_level=1)
    del picture
    tracemalloc.start()  # what Pillow holds is not counted: a byte or four a pixel
    try:
        example = as_example(scratch, *MNIST)
        assert tracemalloc.get_traced_memory()[1] < 250 << 20
    finally:
        tracemalloc.stop()
    assert extent(example) == (20, 1)


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(Image.new("L", (1, 1), 7), id="one pixel"),
        pytest.param(Image.new("RGB", (30, 20), (10, 20, 30)), id="one colour"),
        pytest.param(Image.new("RGBA", (28, 28), (10, 20, 30, 0)), id="transparent"),
        pytest.param(Image.fromarray(np.dstack([digit()] * 3 + [0 * digit()])), id="transparent, of several colours"),
        pytest.param(Image.new("1", (28, 28)), id="black"),
        pytest.param(Image.new("I;16", (28, 28), 999), id="16-bit"),
    ],
)
def test_nothing_in_it(scratch, picture):
    size = f"{picture.width}x{picture.height}"
    line = refusal(as_example, stored(scratch, picture), *MNIST)
    assert f"has nothing in it, all of its {size} pixels are alike; draw a digit there" in line


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_numbers(scratch, value):
    picture = digit().astype(np.float32)
    picture[4, 4] = value
    assert "has pixels that are not numbers" in refusal(read_ink, stored(scratch, Image.fromarray(picture), "TIFF"))


def test_pillow_is_imported_only_for_an_image():
    command = "import sys, jaxrnn.data.image; assert 'PIL' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("strongest, scaled", [(255, 255), (204, 204), (203, 255), (100, 255), (1, 255)])
def test_a_pale_image_of_the_right_shape_gets_full_ink(tmp_path, strongest, scaled):
    """In the same proportions; one that is not pale stays as it is."""
    image = np.zeros((8, 8), np.uint8)
    image[2:5, 3] = [strongest // 2, strongest, strongest // 4]
    Image.fromarray(image).save(tmp_path / "own.png")
    found = as_example(tmp_path / "own.png", (8, 8), 8)
    np.testing.assert_array_equal(found, np.rint(image * (scaled / strongest)))


def test_no_other_program_is_run_for_an_image(scratch, monkeypatch):
    def started(*arguments, **options):
        raise AssertionError(arguments)

    monkeypatch.setattr("subprocess.Popen.__init__", started)
    scratch.write_bytes(encoded(digit(), "EPS"))
    assert "is PostScript" in refusal(read_ink, scratch)
