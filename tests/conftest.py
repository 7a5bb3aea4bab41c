"""Every test sees two CPU devices, so that what spreads over devices is spread, compiles no program twice, and is not
timed."""

import gc
import itertools
import os

import jax
import pytest
from hypothesis import settings

jax.config.update("jax_num_cpu_devices", 2)
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


_tests = itertools.count(1)


@pytest.fixture(autouse=True)
def forget_programs():
    """A compiled program takes some twenty of the 65,530 maps of memory that Linux gives a process; where there are no
    more, the process is aborted."""
    yield
    if next(_tests) % 50 == 0:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True, scope="session")
def compile_once(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("compiled"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder  # for the commands that tests start
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
