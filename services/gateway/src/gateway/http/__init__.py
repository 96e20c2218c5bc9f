"""The HTTP server, the ASGI application and what every request passes."""
