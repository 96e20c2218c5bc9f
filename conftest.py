"""What every test of the workspace can use."""

pytest_plugins = [
    "goticket_testing.plugin",
    "goticket_testing.spans",
    "goticket_testing.chaos.plugin",
]
