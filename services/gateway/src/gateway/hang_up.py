"""Whether a caller is still there, asked without waiting."""

from starlette.types import Receive


def has_hung_up(receive: Receive) -> bool:
    """Tell whether the caller of a request whose body was read has closed the connection.

    Takes one step of ASGI's `receive`: an answer at once can only be "http.disconnect",
    and whoever waits is still there. Starlette's `Request.is_disconnected` finds out
    the same by cancelling a task's scope, at fifty times the cost.
    """
    asking = receive().__await__()
    try:
        next(asking)
    except StopIteration as told:
        return bool(told.value["type"] == "http.disconnect")
    asking.close()
    return False
