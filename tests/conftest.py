"""Every test sees two CPU devices, so that what spreads over devices is spread."""

import jax

jax.config.update("jax_num_cpu_devices", 2)
