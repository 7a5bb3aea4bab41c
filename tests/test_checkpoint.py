"""What is restored is what was saved, bit for bit; damage is found; no kill and no full disk costs the last state."""

import contextlib
import hashlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrnn import checkpoint
from jaxrnn.errors import CheckpointError, UserError
from permissions import held_back, reachable_folder

META = {"experiment": "test", "position": 7, "config": {"lr": 1e-3}, "history": [{"epoch": 1, "test_loss": 0.1 + 0.2}]}


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.w = nnx.Param(jax.random.normal(rngs.params(), (4, 3)))
        self.layers = nnx.List([nnx.Linear(3, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)])


def start(key):
    """A run as training has it: model, optimiser state, best weights, typed key, position, flag."""
    model = Net(nnx.Rngs(jax.random.fold_in(key, 0)))
    return {
        "model": model,
        "optimiser": optax.adam(1e-3).init(model),
        "best": jax.tree.map(jnp.zeros_like, model),
        "key": key,
        "position": jnp.int32(3),
        "stopped": jnp.bool_(True),
    }


def bits(tree):
    """Structure, paths, dtypes, shapes and bytes of a pytree: equal for two trees that are the same in every bit."""

    def of(leaf):
        data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        return str(leaf.dtype), leaf.shape, np.asarray(data).tobytes()

    leaves = [(jax.tree_util.keystr(path), of(leaf)) for path, leaf in jax.tree.leaves_with_path(tree)]
    return jax.tree.structure(tree), leaves


def abstract(tree):
    return jax.eval_shape(lambda: tree)


def contents(folder):
    """Every name, byte and time of change below a folder."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


def refused(folder, tree, match=None):
    """A restore raises CheckpointError in one line, and touches nothing."""
    before = contents(folder)
    with pytest.raises(CheckpointError, match=match) as raised:
        checkpoint.restore(folder, abstract(tree))
    assert "\n" not in str(raised.value) and str(raised.value).isprintable()
    assert contents(folder) == before
    return str(raised.value)


# --- round trips


def three(key):
    return jax.vmap(start)(jax.random.split(key, 3))


@pytest.mark.parametrize("make", [start, three])
def test_a_run_comes_back_bit_for_bit(tmp_path, make):
    key = jax.random.key(5)
    run = make(key)
    checkpoint.save(tmp_path / "run" / "checkpoint", run, META)
    before = contents(tmp_path)
    back, meta = checkpoint.restore(tmp_path / "run" / "checkpoint", jax.eval_shape(make, key))
    assert bits(back) == bits(run)
    assert meta == META == checkpoint.read_meta(tmp_path / "run" / "checkpoint")
    assert contents(tmp_path) == before
    assert jnp.array_equal(jax.random.normal(back["key"].ravel()[0]), jax.random.normal(run["key"].ravel()[0]))


def test_arrays_spread_over_devices_come_back_on_one(tmp_path):
    mesh = jax.make_mesh((2,), ("run",), devices=jax.devices("cpu")[:2])  # there are two of them in every test
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("run"))
    run = jax.device_put(jax.vmap(start)(jax.random.split(jax.random.key(1), 4)), spread)
    assert len(run["key"].sharding.device_set) == 2
    checkpoint.save(tmp_path, run, META)
    back, _ = checkpoint.restore(tmp_path, abstract(run))
    assert bits(back) == bits(run)
    assert all(leaf.devices() == {jax.devices()[0]} and not leaf.committed for leaf in jax.tree.leaves(back))


def raw(dtype, shape, seed):
    """An array of random bits, so NaNs with payloads, infinities and subnormal numbers as well."""
    dtype = np.dtype(dtype)
    data = np.random.default_rng(seed).bytes(dtype.itemsize * int(np.prod(shape)))
    if dtype.kind == "b":
        return (np.frombuffer(data, np.uint8) % 2 == 1).reshape(shape)
    return np.frombuffer(data, dtype).reshape(shape)


DTYPES = ["float32", "float16", ml_dtypes.bfloat16, "float64", "int8", "int32", "int64", "uint32", "bool", "complex64"]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_every_dtype_keeps_its_bits(tmp_path, dtype):
    with jax.enable_x64(True):
        shaped = {"scalar": (), "vector": (7,), "w": (2, 5), "none": (0, 3)}
        run = {name: jnp.asarray(raw(dtype, shape, len(name))) for name, shape in shaped.items()}
        assert run["w"].dtype == np.dtype(dtype)
        shapes = abstract(run)
    checkpoint.save(tmp_path, run, {})
    # outside enable_x64, where placing a float64 naively gives a float32
    assert bits(checkpoint.restore(tmp_path, shapes)[0]) == bits(run)


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_keys_of_every_kind_and_shape(tmp_path, implementation):
    key = jax.random.key(3, impl=implementation)
    run = {"key": key, "keys": jax.random.split(key, (2, 3))}
    checkpoint.save(tmp_path, run, {})
    assert bits(checkpoint.restore(tmp_path, abstract(run))[0]) == bits(run)


dtypes, shapes = st.sampled_from(["float32", "int32", "bool"]), st.lists(st.integers(0, 3), max_size=3)
trees = st.recursive(
    st.builds(raw, dtypes, shapes, st.integers(0, 9)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=15, deadline=None)
@given(trees)
def test_any_tree_of_arrays_comes_back(tree):
    run = jax.tree.map(jnp.asarray, {"tree": tree, "position": np.int32(1)})
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(folder, run, {})
        assert bits(checkpoint.restore(folder, abstract(run))[0]) == bits(run)


def test_meta_comes_back_as_it_was(tmp_path):
    meta = {"loss": [float("inf"), 0.1, 1e-300], "text": "naïve\n\u2028", "none": None, "deep": {"a": [True, 2**70]}}
    checkpoint.save(tmp_path, {"w": jnp.ones(2)}, meta | {"nan": float("nan")})
    back = checkpoint.read_meta(tmp_path)
    assert np.isnan(back.pop("nan")) and back == meta


def test_what_comes_back_can_be_donated(tmp_path):
    run = {"w": jnp.arange(1000.0)}
    checkpoint.save(tmp_path, run, {})
    back, _ = checkpoint.restore(tmp_path, abstract(run))
    stepped = jax.jit(lambda run: jax.tree.map(lambda w: w + 1, run), donate_argnums=0)(back)
    assert back["w"].is_deleted()
    assert jnp.array_equal(stepped["w"], jnp.arange(1000.0) + 1)
    assert jnp.array_equal(checkpoint.restore(tmp_path, abstract(run))[0]["w"], run["w"])


def test_the_memory_of_a_donated_array_is_used_again():
    """Also where the array from the file lies so that JAX could share it: at a multiple of 64 bytes."""
    memory = np.zeros(4160, np.uint8)
    begin = -memory.ctypes.data % 64
    aligned = memory[begin : begin + 4096].view(np.float32)
    placed = checkpoint._to_device(aligned, None)
    address = placed.unsafe_buffer_pointer()
    stepped = jax.jit(lambda x: x + 1, donate_argnums=0)(placed)
    if jax.default_backend() == "cpu":
        assert address != aligned.ctypes.data
    assert stepped.unsafe_buffer_pointer() == address
    assert aligned.max() == 0 and stepped.min() == 1


def test_the_newest_is_kept_and_nothing_else(tmp_path):
    assert not checkpoint.exists(tmp_path) and not checkpoint.exists(tmp_path / "absent")
    for position in range(12):
        checkpoint.save(tmp_path, {"w": jnp.full(3, position)}, {"position": position})
        assert checkpoint.exists(tmp_path)
        back, meta = checkpoint.restore(tmp_path, {"w": jax.ShapeDtypeStruct((3,), np.int32)})
        assert meta == {"position": position} and back["w"].tolist() == [position] * 3
        assert len(list(tmp_path.iterdir())) == 1


def test_the_digests_are_what_sha256sum_says(tmp_path):
    checkpoint.save(tmp_path, start(jax.random.key(0)), META)
    (folder,) = tmp_path.iterdir()
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    named = {folder / name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(named) == {path for path in folder.rglob("*") if path.is_file()} - {folder / "SHA256SUMS"}
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == digest for path, digest in named.items())


# --- damage


def flipped(data, place, bit):
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def damages(data, dice):
    """None (the file is gone), truncations, and single flipped bits at both ends and at random."""
    yield None
    yield from (data[:-1], data[: len(data) // 2], b"")
    for place in {0, len(data) - 1, *(dice.randrange(len(data)) for _ in range(6))}:
        yield flipped(data, place, dice.randrange(8))


def test_any_damage_to_any_file_is_found(tmp_path):
    run, dice = start(jax.random.key(0)), random.Random(0)
    checkpoint.save(tmp_path, run, META)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]
    assert len(files) >= 4
    for path in files:
        data = path.read_bytes()
        for damaged in damages(data, dice):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            message = refused(tmp_path, run, "is damaged: .*; it was left untouched: put an intact copy")
            assert str(path.relative_to(tmp_path).parts[0]) in message
            with pytest.raises(CheckpointError, match="damaged"):
                checkpoint.read_meta(tmp_path)
            path.write_bytes(data)
    assert bits(checkpoint.restore(tmp_path, abstract(run))[0]) == bits(run)


def test_every_byte_of_the_list_of_digests_counts(tmp_path):
    run = {"w": jnp.ones(2)}
    checkpoint.save(tmp_path, run, {})
    path = tmp_path / "1" / "SHA256SUMS"
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(flipped(data, place, place % 8))
        refused(tmp_path, run, "damaged")


def test_the_message_names_the_file(tmp_path):
    run = {"w": jnp.ones(2)}
    checkpoint.save(tmp_path, run, {})
    (tmp_path / "1" / "meta.json").write_text("{}")
    assert "meta.json is not as SHA256SUMS has it" in refused(tmp_path, run)


def reseal(folder):
    (folder / "SHA256SUMS").write_bytes(b"".join(checkpoint._sums(folder)))


def test_other_numbers_than_were_saved_are_found_even_in_sound_files(tmp_path):
    run = {"w": jnp.ones(2)}
    checkpoint.save(tmp_path / "a", run, {})
    checkpoint.save(tmp_path / "b", {"w": jnp.array([1.0, 1.0000001])}, {})
    shutil.rmtree(tmp_path / "a" / "1" / "arrays")
    shutil.copytree(tmp_path / "b" / "1" / "arrays", tmp_path / "a" / "1" / "arrays")
    reseal(tmp_path / "a" / "1")
    refused(tmp_path / "a", run, "its arrays are not the ones that were saved")


def test_what_orbax_cannot_read_is_one_line_too(tmp_path, capfd):
    run = {"w": jnp.ones(2)}
    checkpoint.save(tmp_path, run, {})
    (tmp_path / "1" / "arrays" / "_METADATA").write_text("{")
    reseal(tmp_path / "1")
    refused(tmp_path, run, "orbax cannot read")
    assert capfd.readouterr() == ("", "")


def test_no_checkpoint(tmp_path):
    run = {"w": jnp.ones(2)}
    refused(tmp_path, run, "holds no checkpoint")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint.restore(tmp_path / "absent", abstract(run))
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint.read_meta(tmp_path / "file" / "checkpoint")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"w": jnp.ones((2, 4)), "n": jnp.int32(0)}, r"\['w'\] is float32\[2, 3\] there and float32\[2, 4\] here"),
        ({"w": jnp.ones((2, 3), jnp.bfloat16), "n": jnp.int32(0)}, r"\['w'\] is float32.* there and bfloat16.* here"),
        ({"w": jnp.ones((2, 3))}, r"\['n'\] is int32\[\] there and absent here"),
        ({"w": jnp.ones((2, 3)), "n": jnp.int32(0), "x": jnp.ones(1)}, r"\['x'\] is absent there and float32.* here"),
        ({"w": jnp.ones((2, 3)), "n": jax.random.key(0)}, r"\['n'\] is int32\[\] there and key<fry>\[\] here"),
        ([jnp.ones((2, 3)), jnp.int32(0)], "absent here"),
    ],
)
def test_another_runs_checkpoint(tmp_path, other, says):
    checkpoint.save(tmp_path, {"w": jnp.ones((2, 3)), "n": jnp.int32(0)}, {})
    refused(tmp_path, other, f"belongs to another run: .*{says}; resume with the settings it was made with")


def test_only_jax_arrays_are_taken(tmp_path):
    with pytest.raises(TypeError, match=r"\['rate'\] is float"):
        checkpoint.save(tmp_path, {"w": jnp.ones(2), "rate": 0.1}, {})
    assert not checkpoint.exists(tmp_path)


# --- kills and full disks


class Killed(BaseException):
    """The program ends here: nothing behind this point happens, no tidying either."""


FILES = ["Path.write_text", "Path.write_bytes", "Path.rename", "shutil.rmtree"]
STEPS = ["_reserve", "_write_arrays", "_sums", "sync", *FILES]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_a_whole_state(tmp_path, step):
    """Each step of a save in turn is the last, done and not done; the next save then tidies up."""
    names = step.split(".")
    home = {"Path": Path, "shutil": checkpoint.shutil}.get(names[0], checkpoint)
    real = getattr(home, names[-1])
    shapes = {"w": jax.ShapeDtypeStruct((3,), np.float32)}
    for count in range(4):
        for done in (False, True):
            checkpoint.save(tmp_path, {"w": jnp.zeros(3)}, {"position": 0})
            calls = iter(range(100))

            def dies(*args, calls=calls, count=count, done=done, **options):
                call = next(calls)
                if call > count:
                    raise Killed  # the tidying, which a killed program never comes to
                if call == count and not done:
                    raise Killed
                result = real(*args, **options)
                if call == count:
                    raise Killed
                return result

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(home, names[-1], dies)
                if home is not checkpoint.shutil:
                    patch.setattr(checkpoint.shutil, "rmtree", lambda *args, **options: None)
                with contextlib.suppress(Killed):
                    checkpoint.save(tmp_path, {"w": jnp.ones(3)}, {"position": 1})
            back, meta = checkpoint.restore(tmp_path, shapes)
            assert back["w"].tolist() == [meta["position"]] * 3
            checkpoint.save(tmp_path, {"w": jnp.full(3, 2.0)}, {"position": 2})
            assert len(list(tmp_path.iterdir())) == 1
            assert checkpoint.restore(tmp_path, shapes)[0]["w"].tolist() == [2, 2, 2]


SAVES = """
import sys, jax.numpy as jnp
from jaxrnn import checkpoint
for position in range(1, 10**6):
    run = {str(number): jnp.full((50, 200), position, jnp.float32) for number in range(8)}
    checkpoint.save(sys.argv[1], run, {"position": position})
    print(position, flush=True)
"""


def test_kill_9_at_random_moments(tmp_path):
    """A program that does nothing but save is killed: the last state it reported, or the next, is there and whole."""
    dice = random.Random(2)
    shapes = {str(number): jax.ShapeDtypeStruct((50, 200), np.float32) for number in range(8)}
    folders = [tmp_path / str(number) for number in range(5)]
    command = [sys.executable, "-c", SAVES]
    programs = [subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True) for folder in folders]
    for program, folder in zip(programs, folders, strict=True):
        with program:
            assert program.stdout is not None
            program.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                program.wait(dice.uniform(0.0, 0.15))
            program.send_signal(signal.SIGKILL)
            reported = [1, *map(int, program.stdout.read().split())][-1]
        assert program.returncode == -signal.SIGKILL
        run, meta = checkpoint.restore(folder, shapes)
        assert meta["position"] in (reported, reported + 1)
        assert all((np.asarray(leaf) == meta["position"]).all() for leaf in run.values())
        checkpoint.save(folder, run, {"position": 0})
        assert len(list(folder.iterdir())) == 1


def test_a_save_that_does_not_fit_leaves_the_earlier_one(tmp_path, capfd):
    """The limit on the size of a file is a disk that is full, one that root meets too."""
    run = {"w": jnp.arange(100.0)}
    checkpoint.save(tmp_path, run, META)
    before = contents(tmp_path / "1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*: File too large; .* intact") as raised:
            checkpoint.save(tmp_path, {"w": jnp.zeros(100_000)}, META)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")
    assert contents(tmp_path / "1") == before and len(list(tmp_path.iterdir())) == 1
    assert bits(checkpoint.restore(tmp_path, abstract(run))[0]) == bits(run)


def test_a_folder_whose_name_is_not_in_utf8_holds_no_checkpoint(tmp_path):
    """Orbax's storage takes every name for UTF-8, and would write beside it, or fail."""
    folder = tmp_path / "na\udcefve"
    with pytest.raises(UserError, match="cannot write .* is not in UTF-8"):
        checkpoint.save(folder, {"w": jnp.arange(100.0)}, META)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CheckpointError, match="cannot read .* is not in UTF-8"):
        checkpoint.restore(folder, {})


@pytest.mark.parametrize("shape, count", [((3,), 1), ((100, 100), 5), ((3,), 200), ((500, 500), 8)])
def test_what_is_reserved_is_enough_for_all_files(tmp_path, monkeypatch, shape, count):
    """Else a disk that is full is met by orbax's threads, which all print what they met."""
    reserved = []
    monkeypatch.setattr(checkpoint, "_reserve", lambda path, size: reserved.append(size))
    checkpoint.save(tmp_path, [jax.random.normal(jax.random.key(n), shape) for n in range(count)], META)
    blocks = [-(-path.stat().st_size // 4096) for path in tmp_path.rglob("*")]
    assert 4096 * sum(blocks) < reserved[0]


FILLS_WHILE_ORBAX_WRITES = """
import resource, sys, time, jax, jax.numpy as jnp, numpy as np
from jaxrnn import checkpoint, errors
run = {"w": jnp.arange(100.0)}
checkpoint.save(sys.argv[1], run, {"position": 1})
checkpoint._reserve = lambda path, size: None
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
random = {str(n): jax.random.bits(jax.random.key(n), (50_000,)) for n in range(4)}
try:
    checkpoint.save(sys.argv[1], random, {"position": 2})
except errors.UserError as error:
    print(error)
time.sleep(0.5)
"""


def test_a_disk_that_fills_while_orbax_writes(tmp_path):
    """In a program of its own, for the storage library's threads may meet it later than the one that raises."""
    command = [sys.executable, "-c", FILLS_WHILE_ORBAX_WRITES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == "", "orbax logged what was raised, or its threads said it once more"
    assert done.stdout.startswith("cannot write") and "File too large" in done.stdout and done.stdout.count("\n") == 1
    back, meta = checkpoint.restore(tmp_path, {"w": jax.ShapeDtypeStruct((100,), np.float32)})
    assert meta == {"position": 1} and back["w"].tolist() == list(range(100))
    checkpoint.save(tmp_path, back, META)  # those threads may have gone on writing, and this removes what they left
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="cannot write .*: Not a directory"):
        checkpoint.save(tmp_path / "file" / "checkpoint", {"w": jnp.ones(2)}, {})
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_without_permission():
    with reachable_folder() as folder:
        checkpoint.save(folder, {"w": jnp.ones(2)}, {})
        folder.chmod(0o555)
        with held_back(), pytest.raises(UserError, match="cannot write .*: Permission denied"):
            checkpoint.save(folder, {"w": jnp.zeros(2)}, {})
        assert checkpoint.restore(folder, {"w": jax.ShapeDtypeStruct((2,), np.float32)})[0]["w"].tolist() == [1, 1]


# --- manners


def test_orbax_is_imported_late_and_says_nothing(tmp_path):
    code = (
        "import sys; from jaxrnn import checkpoint; assert 'orbax' not in sys.modules, 'imported'\n"
        "import jax, jax.numpy as jnp, logging; run = {'w': jnp.ones(3), 'key': jax.random.key(0)}\n"
        "checkpoint.save(sys.argv[1], run, {}); checkpoint.save(sys.argv[1], run, {})\n"
        "checkpoint.restore(sys.argv[1], jax.eval_shape(lambda: run))\n"
        "logging.getLogger('absl').warning('heard again')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "heard again" in done.stderr


# --- what the checksums do not see: a meta file that is as they say, and says nonsense


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [],
        lambda content: {**content, "meta": []},
        lambda content: {**content, "leaves": {}},
        lambda content: {**content, "leaves": [7]},
        lambda content: {key: value for key, value in content.items() if key != "digest"},
        lambda content: {**content, "leaves": [{**leaf, "shape": ["x"]} for leaf in content["leaves"]]},
        lambda content: {**content, "leaves": [{**leaf, "key": "x"} for leaf in content["leaves"]]},
        lambda content: {**content, "leaves": [{**leaf, "key": None} for leaf in content["leaves"]]},
        lambda content: {**content, "leaves": [{**leaf, "key": "rbg"} for leaf in content["leaves"]]},
        lambda content: {**content, "meta": {"deep": json.loads("[" * 500 + "]" * 500)}},
    ],
)
def test_a_meta_file_of_nonsense_is_refused(tmp_path, change):
    run = {"key": jax.random.key(0)}
    checkpoint.save(tmp_path, run, META)
    saved = tmp_path / "1"
    content = json.loads((saved / "meta.json").read_text())
    (saved / "meta.json").write_text(json.dumps(change(content)))
    (saved / "SHA256SUMS").write_bytes(b"".join(checkpoint._sums(saved)))
    refused(tmp_path, run, "damaged")


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{]"])
def test_a_meta_file_that_is_no_json_is_refused(tmp_path, text):
    run = {"key": jax.random.key(0)}
    checkpoint.save(tmp_path, run, META)
    (tmp_path / "1" / "meta.json").write_text(text)
    (tmp_path / "1" / "SHA256SUMS").write_bytes(b"".join(checkpoint._sums(tmp_path / "1")))
    refused(tmp_path, run, "no JSON")


def test_checksums_that_are_noise_are_no_noise_in_the_refusal(tmp_path):
    run = {"key": jax.random.key(0)}
    checkpoint.save(tmp_path, run, META)
    with (tmp_path / "1" / "SHA256SUMS").open("ab") as file:
        file.write(b"\x1b[2J\x13\x85\n")
    assert "damaged: SHA256SUMS is not as" in refused(tmp_path, run)
