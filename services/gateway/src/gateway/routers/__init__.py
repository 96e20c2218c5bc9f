"""The REST API, a router per resource: translate, ask a backend, translate back."""
