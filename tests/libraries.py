"""The libraries that the benchmark races, where tests ask for them."""

import pytest

from experiments import peer_torch, peers


def needs(library: str) -> None:
    """Skip the test where the library is not installed; PyTorch keeps to one thread, for other tests run beside it."""
    if not peers.installed(library):
        pytest.skip(f"{library} is not installed: pip install -e '.[bench]'")
    if library.startswith("torch"):
        peer_torch.spare_threads()
