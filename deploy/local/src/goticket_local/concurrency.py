"""Runs independent blocking actions at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def run_concurrently(*actions: Callable[[], object]) -> None:
    """Run the actions in threads and wait for all; raises the first action's error."""
    with ThreadPoolExecutor(max_workers=len(actions)) as pool:
        for future in [pool.submit(action) for action in actions]:
            future.result()
