"""The command line: exit codes, one clear line for each mistake, and signals."""

import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import jax
import pytest
from rich.table import Table

from jaxrnn.command import (
    EpochSettings,
    Settings,
    Stopped,
    command,
    config,
    plain_console,
    prepare_devices,
    stop_requests,
)
from jaxrnn.errors import DataError, SettingsError


@dataclass(frozen=True, kw_only=True)
class Own(EpochSettings):
    """Settings of a command that only this test knows."""

    size: int = 3
    """How large."""

    @classmethod
    def quick_defaults(cls):
        return cls(quick=True, size=1, epochs=2)


def parsed(*argv):
    found = []
    assert command("own", Own, lambda name, settings: found.append((name, settings)), argv) == 0
    ((name, settings),) = found
    assert name == "own"
    return settings


def test_what_is_typed_reaches_the_experiment():
    assert parsed() == Own()
    assert parsed("--size", "7", "--seeds", "2", "--resume") == Own(size=7, seeds=2, resume=True)


def test_quick_gives_other_defaults_and_what_is_typed_goes_before_them():
    assert parsed("--quick") == Own(quick=True, size=1, epochs=2)
    assert parsed("--epochs", "5", "--quick") == Own(quick=True, size=1, epochs=5)


def test_help_explains_every_setting(capsys):
    with pytest.raises(SystemExit) as end:
        command("own", Own, lambda name, settings: None, ["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "usage: python -m experiments.own" in text and "that only this test knows" in text
    for option in (
        "--out",
        "--quick",
        "--seeds",
        "--seed",
        "--epochs",
        "--data-dir",
        "--devices",
        "--resume",
        "--size",
    ):
        assert option in text
    assert "How large. (default: 3)" in text


def test_a_mistyped_option_ends_with_2(capsys):
    with pytest.raises(SystemExit) as end:
        command("own", Own, lambda name, settings: None, ["--sizes", "3"])
    assert end.value.code == 2


def raising(error):
    def main(name, settings):
        raise error

    return main


def test_a_user_s_error_is_one_line_and_2(capsys):
    assert command("own", Own, raising(DataError("no such folder: x")), []) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "python -m experiments.own: no such folder: x\n")


def test_stopped_is_130_and_says_how_to_go_on(capsys):
    argv = ["--out", "a folder", "--size", "4"]
    assert command("own", Own, raising(Stopped("1 of 2 epochs are saved")), argv) == 130
    line = "stopped; 1 of 2 epochs are saved. To go on: python -m experiments.own --out 'a folder' --size 4 --resume"
    assert capsys.readouterr().err == f"python -m experiments.own: {line}\n"
    assert command("own", Own, raising(Stopped("x")), [*argv, "--resume"]) == 130
    assert capsys.readouterr().err.endswith("--out 'a folder' --size 4 --resume\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_outside_of_training_is_130_at_once(capsys, number, request):
    if number == signal.SIGINT:  # a program in the background, such as a worker of pytest-xdist, may have it ignored
        earlier = signal.signal(number, signal.default_int_handler)
        request.addfinalizer(lambda: signal.signal(number, earlier))
    before = signal.getsignal(number)
    assert command("own", Own, lambda name, settings: os.kill(os.getpid(), number), []) == 130
    assert capsys.readouterr().err == "python -m experiments.own: stopped at once\n"
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_insists(number, capsys):
    before = signal.getsignal(number)
    with stop_requests() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert "saving first" in capsys.readouterr().err


def test_in_a_thread_nothing_is_asked():
    answers = []

    def work():
        with stop_requests() as stop:
            answers.append(stop())
        command("own", Own, lambda name, settings: answers.append(settings.size), [])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False, 3]


COMPILES = """
import sys
from pathlib import Path
import jax
from jaxrnn.command import Settings, command
def main(name, settings):
    print(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((3, 3))))
sys.exit(command("own", Settings, main, []))
"""


def test_half_a_compiled_program_is_compiled_again_and_kept_whole(tmp_path):
    kept = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def run():
        words = [sys.executable, "-c", COMPILES]
        ended = subprocess.run(words, env=os.environ | kept, capture_output=True, text=True, check=True)
        assert (ended.stdout, ended.stderr) == ("27.0\n", "")
        return {path.name: path.stat().st_size for path in tmp_path.glob("*-cache")}

    whole = run()
    assert whole
    for name, size in whole.items():
        os.truncate(tmp_path / name, size // 2)
    again = run()
    assert again.keys() == whole.keys()
    # how long it took to compile is in there, too
    assert all(0.9 * whole[name] < size for name, size in again.items())
    assert run() == again


def test_less_memory_than_any_command_needs_is_said_and_not_tried(monkeypatch, capsys):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10**9, -1))
    assert command("own", Own, lambda name, settings: pytest.fail("it began"), []) == 2
    assert "only 1 GB of memory here (ulimit -v), and a command needs 2.1 GB at least" in capsys.readouterr().err
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, -1))
    assert command("own", Own, lambda name, settings: None, []) == 0


def test_devices_below_one_are_an_error(capsys):
    with pytest.raises(SettingsError, match="--devices must be at least 1, not 0"):
        prepare_devices(0)
    assert command("own", Own, lambda name, settings: None, ["--devices", "0"]) == 2
    assert "--devices must be at least 1" in capsys.readouterr().err


def test_what_the_program_has_settled_stays():
    before = (jax.config.jax_num_cpu_devices, jax.config.jax_compilation_cache_dir)
    prepare_devices(None)
    assert (jax.config.jax_num_cpu_devices, jax.config.jax_compilation_cache_dir) == before


def test_an_experiment_without_training_has_no_devices():
    @dataclass(frozen=True, kw_only=True)
    class Plain(Settings):
        """No training."""

    assert command("plain", Plain, lambda name, settings: None, ["--quick"]) == 0


def test_the_config_is_every_setting_but_those_of_one_call():
    assert config(Own(out=Path("here"), resume=True, size=4)) == {
        "quick": False, "seeds": 1, "seed": 0, "epochs": 10, "data_dir": None, "devices": None, "size": 4,
    }  # fmt: skip


def test_what_the_terminal_cannot_show_ends_nothing():
    program = """
import sys
from jaxrnn.command import Settings, command
sys.exit(command("own", Settings, lambda name, settings: print("Łódź in n\\udcefve"), []))
"""
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"\\u0141\xf3d\\u017a in n\\udcefve\n"), done.stderr


def test_words_are_no_markup(capsys):
    table = Table("a[/b]", title="[old] :house:")
    table.add_row("runs/[/c]")
    console = plain_console()
    console.print("runs/[old]/a[/b] :house:", table)
    said = capsys.readouterr().out
    assert "runs/[old]/a[/b] :house:" in said
    assert all(words in said for words in ("[old] :house:", "a[/b]", "runs/[/c]"))


def test_freed_memory_is_kept_by_a_process_of_its_own():
    """A block that is given back and asked for again is not fetched page by page from the system a second time."""
    pytest.importorskip("resource", reason="counts page faults")
    program = """
import ctypes, resource, sys
from jaxrnn.command import keep_memory
try:
    libc = ctypes.CDLL("libc.so.6")
except OSError:
    sys.exit()
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def faults(size=2**28):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
keep_memory()
first, second = faults(), faults()
assert second < first / 10, (first, second)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
