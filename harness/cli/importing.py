"""Import what takes seconds without looking for garbage among what it makes.

Torch and Transformers make a million objects, and all of them stay. Python's collector goes through
them again and again while they are made, which takes a sixth of the time of a short command.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing(package: str = "torch") -> Iterator[None]:
    """Collect no garbage in this block, and later none of what was made in it.

    Where the package is there already, nothing changes: what then is garbage may be a model.
    """
    if package in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
