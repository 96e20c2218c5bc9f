"""The net under every handler: an unexpected error is one 500, never a dead process."""

from goticket_platform.logs import get_logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Problem, problem_response

logger = get_logger(__name__)


class Recovery:
    """Logs what nobody caught and answers 500 as problem details."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            Exception: the handler failed after its answer had begun; the server
                then cuts the connection, which tells the client it is incomplete.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            logger.exception("request failed", error=type(error).__name__)
            if started:
                raise
            await problem_response(scope, Problem("internal"))(scope, receive, send)
