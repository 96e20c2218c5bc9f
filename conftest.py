"""What every test of the workspace can use."""

# In this order: each is imported before the next one may import it.
pytest_plugins = [
    "goticket_testing.spread",
    "goticket_testing.plugin",
    "goticket_testing.spans",
    "goticket_testing.chaos.plugin",
]
