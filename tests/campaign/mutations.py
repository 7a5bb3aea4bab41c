"""What is done to the bytes of a valid file, so that a reader sees what it never should.

Each mutation is ``mutation(random, seeds) -> bytes``: one of the valid contents, changed. It is a function of the state
of ``random`` alone.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

Mutation = Callable[[Random, Sequence[bytes]], bytes]

NUMBERS = (
    0,
    1,
    -1,
    7,
    8,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
)
"""Where arithmetic of so many bits goes wrong."""

LARGE = 1 << 16
"""What grows without need grows to about so many bytes: a file of megabytes is no likelier to be misread."""

BOMB = 1536
"""MiB of the same byte in a gzip bomb."""


def binary(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A few changes that ask nothing of what the bytes mean."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _change(random, data, seeds)
    return bytes(data)


def _change(random: Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    # most of what can go wrong is in a header
    at = min(int(random.expovariate(1 / random.choice((8, 64, 1 + len(data) / 2)))), len(data))
    size = min(random.choice((1, 2, 4, 8, 16, 64, 512)), LARGE)
    match random.randrange(9):
        case 0 if data:
            at = min(at, len(data) - 1)
            data[at] ^= 1 << random.randrange(8)
        case 1:
            width, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
            value = random.choice(NUMBERS) + random.choice((0, 0, 1, -1))
            data[at : at + width] = (value % 256**width).to_bytes(width, order)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + size]
        case 4:
            data[at:at] = random.randbytes(size)
        case 5 if len(data) < LARGE:
            data[at:at] = data[at : at + size] * random.choice((1, 2, 9))
        case 6:
            other = random.choice(seeds)
            data[at:] = other[random.randrange(len(other) + 1) :]
        case 7:
            data[at : at + size] = bytes([random.choice((0, 255, 32, 10))]) * len(data[at : at + size])
        case _:
            there = random.randrange(len(data) + 1)
            first, second = data[at : at + size], data[there : there + size]
            data[at : at + size], data[there : there + size] = second, first


def packed(inside: Mutation) -> Mutation:
    """Of gzip files: what is in it is changed and packed again, or the packing is changed, or it holds very much."""

    def mutation(random: Random, seeds: Sequence[bytes]) -> bytes:
        if random.random() < 0.3:
            return binary(random, seeds)
        if random.random() < 0.002:
            begins = gzip.decompress(random.choice(seeds))[: random.choice((0, 4, 8, 16, 20))]
            return bomb(begins, random.choice((b"\0", b"a", b"a\n", b"\n", "\u1f600 a".encode())))
        content = inside(random, [gzip.decompress(seed) for seed in seeds])
        data = gzip.compress(content, random.choice((0, 1, 6)), mtime=0)
        if random.random() < 0.05:
            data = gzip.compress(data, mtime=0)
        return binary(random, [data]) if random.random() < 0.1 else data

    return mutation


def bomb(begins: bytes, filling: bytes) -> bytes:
    """A gzip file of a megabyte or two that unpacks to `BOMB` MiB."""
    block = gzip.compress(filling * ((1 << 24) // len(filling)), mtime=0)
    return gzip.compress(begins, mtime=0) + block * (BOMB >> 4)


ODD_TEXTS = (
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"\x80",
    b"\xc3",
    b"\xed\xa0\x80",  # half a surrogate
    b"\xf4\x90\x80\x80",  # beyond the last code point
    b"\xf0\x9f\x98\x80",
    b"\r",
    b"\n\n\n",
    b"\x85",
    b"\xe2\x80\xa8",
    b"\x1b[2J",
    b"e\xcc\x81" * 40,
    b"<" * 300,
    b"<br" + b" a" * 300,
    b"a" * 5000,
    "ẞİŉ\u0345".encode(),
    b",",
    b'"',
    b"nan",
    b"inf",
    b"-0",
    b"1e999",
    b"9" * 400,
    b"9" * 5000,
)


def text(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes as in `binary`, and what no line should hold."""
    data = bytearray(binary(random, seeds) if random.random() < 0.4 else random.choice(seeds))
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        at = random.choice((0, len(data), random.randrange(len(data) + 1)))
        lines = bytes(data).split(b"\n")
        match random.randrange(4):
            case 0 | 1:
                data[at : at + random.choice((0, 0, 1, 5))] = random.choice(ODD_TEXTS)
            case 2:
                random.shuffle(lines)
                data[:] = b"\n".join(lines)
            case 3:
                data[:] = b"\n".join(lines[: random.randrange(len(lines) + 1)])
    return bytes(data)


ODD_VALUES: Sequence[Any] = (
    None,
    True,
    False,
    *NUMBERS,
    -(2**63),
    2**64,
    10**30,
    10**400,
    0.5,
    -0.0,
    1e-320,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    "x",
    "../../../etc/passwd",
    "/dev/zero",
    "\0",
    "\ud800",
    "\n",
    "[bold]",
    "é" * 300,
    "float32",
    "2026-11-26T12:00:00+00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    [],
    [0],
    [[[]]],
    [None, "x", 1.5],
    {},
    {"x": {}},
    {"": None},
)


def structured(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Of JSON: other types, keys that lack, are new or come twice, numbers without end, depth; and `text`."""
    if random.random() < 0.2:
        return text(random, seeds)
    value = json.loads(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        value = _restructured(random, value, seeds)
    data = json.dumps(value, ensure_ascii=random.random() < 0.9).encode(errors="surrogatepass")
    match random.randrange(40):
        case 0:
            depth = random.choice((50, 200, 900, 990, 2000, 100_000))
            odd = random.choice((b"[", b'{"a":')) * depth
            closed = odd + b"0" + (b"]" if odd[:1] == b"[" else b"}") * depth
            return random.choice((odd, closed, data[:-1] + b', "deep": ' + closed + b"}"))
        case 1:
            return data[:-1] + b", " + data[1:]  # every key twice
        case 2:
            return data.decode(errors="surrogatepass").encode(random.choice(("utf-16", "utf-32-le")), "surrogatepass")
        case 3:
            return binary(random, [data])
    return data


def _restructured(random: Random, value: Any, seeds: Sequence[bytes]) -> Any:
    places = list(_places(value))
    if not places:
        return deepcopy(random.choice(ODD_VALUES))
    holder, key = random.choice(places)
    new = deepcopy(random.choice(ODD_VALUES))
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(("x", "", "run", "seeds", "\ud800", f"{key}2"))] = holder.pop(key)
        case 1:
            holder.insert(key, holder[key])
        case 2:
            other, name = random.choice(places)
            if isinstance(other, dict) and name in other or isinstance(other, list) and name < len(other):
                holder[key] = deepcopy(other[name])
        case 3 if type(holder[key]) in (int, float) and abs(holder[key]) < 1e300:
            holder[key] += random.choice((1, -1, 0.5))
        case 4 if isinstance(holder[key], str):
            holder[key] = text(random, [holder[key].encode(errors="surrogatepass")]).decode(errors="replace")
        case 5:
            return _restructured(random, json.loads(random.choice(seeds)), seeds)
        case _:
            holder[key] = new
    return value


def _places(value: Any):
    """Every container in a value, and each of its keys."""
    left = [value]
    while left:
        holder = left.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, inner in items:
            yield holder, key
            left.append(inner)


def png(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Of PNG: chunks that are changed, swapped, doubled or left out, their checksums right; also huge ones; others are
    changed as in `binary`."""
    seed = random.choice(seeds)
    if seed[:4] != b"\x89PNG" or random.random() < 0.2:
        return binary(random, [seed, random.choice(seeds)])
    chunks = _chunks(seed)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(chunks))
        kind, data = chunks[at]
        match random.randrange(9):
            case 0:
                del chunks[at]
            case 1:
                chunks.insert(random.randrange(len(chunks) + 1), chunks[at])
            case 2:
                there = random.randrange(len(chunks))
                chunks[at], chunks[there] = chunks[there], chunks[at]
            case 3:
                odd = (
                    b"tRNS",
                    b"PLTE",
                    b"acTL",
                    b"fdAT",
                    b"eXIf",
                    b"iCCP",
                    b"zTXt",
                    b"iTXt",
                    b"gAMA",
                    b"pHYs",
                    b"sBIT",
                )
                content = random.choice((data, random.randbytes(12), b"a\0\0" + zlib.compress(bytes(1 << 22)), b""))
                chunks.insert(random.randrange(len(chunks) + 1), (random.choice(odd), content))
            case 4:
                size = [random.choice((0, 1, 2, 28, 3000, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
                kinds = bytes([random.choice((1, 2, 4, 8, 16)), random.randrange(7), 0, 0, random.randrange(2)])
                header = struct.pack(">II", *size) + (kinds if random.random() < 0.5 else chunks[0][1][8:])
                chunks[0] = b"IHDR", header
            case 5 if kind == b"IDAT":
                chunks[at] = kind, zlib.compress(binary(random, [_inflated(data)]))
            case _:
                chunks[at] = kind, binary(random, [data])
        if not chunks:
            break
    if random.random() < 0.002:
        side = random.choice((9000, 9400, 20000))
        rows = zlib.compressobj()
        body = b"".join(rows.compress(bytes(side + 1)) for _ in range(side)) + rows.flush()
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")]
    return seed[:8] + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


NAMES = ("../outside_1.txt", "/tmp/outside_1.txt", "aclImdb/train/neg/../../../../9_9.txt", "aclImdb/train/neg/7_1.txt")
KINDS = (
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
    tarfile.DIRTYPE,
    tarfile.GNUTYPE_SPARSE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    b"Z",
)


def archive(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Of a tar file: members of every kind and name, links from one to the other, headers that promise too much, an
    archive as a member; and `binary`."""
    if random.random() < 0.4:
        return binary(random, seeds)
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(random.choice(seeds))) as tar:
        members = tar.getmembers()
        names = [member.name for member in members]
        for member in members:
            file = tar.extractfile(member)
            content = b"" if file is None else file.read()
            if random.random() < 0.2:
                match random.randrange(6):
                    case 0:
                        continue
                    case 1:
                        member.name = random.choice((*NAMES, *names))
                    case 2:
                        member.type, member.linkname = (
                            random.choice(KINDS),
                            random.choice((*NAMES, *names, member.name)),
                        )
                    case 3:
                        content = random.choice((random.choice(seeds), b"", text(random, [content])))
                        member.size = len(content)
                    case 4:
                        entries = (("size", str(random.choice(NUMBERS))), ("path", random.choice(NAMES)))
                        sparse = (("GNU.sparse.map", "0,x,5"), ("GNU.sparse.major", "1"), ("GNU.sparse.size", "9" * 30))
                        member.pax_headers = dict([random.choice((*entries, *sparse, ("mtime", "nan")))])
                    case _:
                        member.size = random.choice((2**31, 2**33 - 1, 2**30 + 1, len(content) + 1))
            # by hand, for the module writes no header that promises what does not come
            made.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
            made.write(content + bytes(-len(content) % tarfile.BLOCKSIZE))
    data = made.getvalue() + bytes(2 * tarfile.BLOCKSIZE)
    return binary(random, [data]) if random.random() < 0.2 else data


def zipped(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Of a zip file: what is in a member is changed and stored with a right checksum, members lack, are doubled or
    compressed; and `binary`."""
    seed = random.choice(seeds)
    if random.random() < 0.3 or not zipfile.is_zipfile(io.BytesIO(seed)):
        return binary(random, [seed, random.choice(seeds)])
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seed)) as before, zipfile.ZipFile(made, "w") as new:
        names = before.namelist()
        changed = random.choice(names) if random.random() < 0.4 else next(n for n in names if n.endswith("data.pkl"))
        for name in names:
            content = before.read(name)
            if name == changed:
                match random.randrange(10):
                    case 0:
                        continue
                    case 1:
                        content = before.read(random.choice(names))
                    case 2:
                        content = bytes(random.choice((1 << 20, 1 << 22)))
                    case _:
                        content = binary(random, [content])
            new.writestr(name, content, zipfile.ZIP_DEFLATED if random.random() < 0.02 else zipfile.ZIP_STORED)
    data = made.getvalue()
    return binary(random, [data]) if random.random() < 0.1 else data
