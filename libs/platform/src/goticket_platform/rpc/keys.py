"""Makes the key of a service: `python -m goticket_platform.rpc.keys` prints a new pair."""

import base64
import secrets
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from goticket_platform.settings import KEY_BYTES


def new_seed() -> str:
    """Return a random Ed25519 seed in base64, as `<SERVICE>_RPC_KEY` has it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def public_key(seed: str) -> str:
    """Return the public key in base64, as `<SERVICE>_RPC_CALLER_KEYS` of other services have it."""
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed, validate=True))
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


if __name__ == "__main__":
    seed = new_seed()
    sys.stdout.write(f"secret: {seed}\npublic: {public_key(seed)}\n")
