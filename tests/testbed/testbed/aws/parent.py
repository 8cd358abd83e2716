"""Ends this process when the one that is responsible for it is gone."""

import os
import threading
import time

WATCH_VARIABLE = "WINDLASS_BED_PARENT"
"""Environment variable: the process id to follow. Unset: this process lives until it is told to end."""

INTERVAL_SECONDS = 1.0


def end_with_parent() -> None:
    """Starts a watch that exits this process when the process named by WINDLASS_BED_PARENT no longer exists."""
    watched = os.environ.get(WATCH_VARIABLE)
    if watched:
        threading.Thread(target=_watch, args=(int(watched),), name="parent-watch", daemon=True).start()


def _watch(process_id: int) -> None:
    while True:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            os._exit(0)
        except PermissionError:
            pass  # it exists, under another user
        time.sleep(INTERVAL_SECONDS)
