"""jaxrnn: recurrent networks in JAX and Flax, built around compiled scan loops."""
