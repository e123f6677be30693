"""Replace secrets in every line before it is logged or sent."""

import os
import re
from collections.abc import Mapping

WEBHOOK_VARIABLE = "YOLO_WEBHOOK_URL"
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_ID)?$")
_LEAST_LENGTH = 8
"""Shorter values are words such as `true`; replacing them would spoil the log."""
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_MASK = "***"


class Redactor:
    """Replaces the secrets of an environment, and the login in a URL, with `***`."""

    def __init__(self, environ: Mapping[str, str] = os.environ):
        """Secrets: the webhook, and variables named `…_KEY`, `…_TOKEN`, `…_PASSWORD` and such."""
        secrets = {
            value
            for name, value in environ.items()
            if (name == WEBHOOK_VARIABLE or _SECRET_NAME.search(name.upper()))
            and len(value) >= _LEAST_LENGTH
        }
        # the longest first: one secret may begin with another
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return `text` without them."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _USER_IN_URL.sub(_MASK, text)
