"""Every test sees two CPU devices, so that what spreads over devices is spread, compiles no program twice, and is not
timed."""

import jax
import pytest
from hypothesis import settings

jax.config.update("jax_num_cpu_devices", 2)
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def compile_once(tmp_path_factory):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
