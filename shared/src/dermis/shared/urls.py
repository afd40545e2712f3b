"""Masks the secrets in URLs before they are shown."""

import re

_SECRET = re.compile(r"(?i)([?&][^=&]*(?:password|secret|token|key|signature)[^=&]*=)[^&#]*")
_USER = re.compile(r"(?<=://)([^/?#@:]*):[^/?#]*@")


def masked(text: str) -> str:
    """Return `text` with the password of a URL, and query values that name a secret, replaced by ***."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1:***@", text))
