"""Python's search for garbage in a process that runs for long."""

from __future__ import annotations

import gc


def spare_what_stays() -> None:
    """What there is now stays to the end: it is searched once more, then never again.

    To be called when a process has started. Modules, classes and tables are 80,000 objects in a controller; a search
    through them holds all answers up for 50 ms, and comes back the sooner, the more connections come and go.
    """
    gc.collect()  # else what is garbage now would stay, too
    gc.freeze()
