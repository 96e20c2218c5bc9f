"""The pytest plugins of the workspace."""

# The order matters: a plugin may import only modules of earlier ones.
pytest_plugins = [
    "goticket_testing.spread",
    "goticket_testing.plugin",
    "goticket_testing.spans",
    "goticket_testing.chaos.plugin",
]
