"""How much memory a process has taken at most. Not a command itself."""

import re
import sys
from pathlib import Path


def peak() -> float:
    """MiB of memory that this process has had at once, at most so far; on the host.

    Linux counts in ``ru_maxrss`` what the process had been before it became this program, and so what a large one that
    starts it had: there the kernel's own record of the program is read.
    """
    if (status := Path("/proc/self/status")).exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found[1]) / 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)
