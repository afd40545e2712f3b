"""Who runs the server, as its pages say it."""

import re
from dataclasses import dataclass

from dermis.gateway.settings import GatewaySettings

_EMAIL = re.compile(r"[^\s@:/?&#]+@[^\s@:/?&#]+\.[^\s@:/?&#]+")
_PHONE = re.compile(r"\+?[\d ()-]{6,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """`name` and `contact` may be empty; `contact_address` is None where the contact is plain words."""

    name: str
    contact: str
    contact_address: str | None
    privacy_url: str


def operator_of(settings: GatewaySettings) -> Operator:
    return Operator(
        name=settings.operator,
        contact=settings.contact,
        contact_address=_address(settings.contact),
        privacy_url=settings.privacy_url,
    )


def _address(contact: str) -> str | None:
    """Return the address by which a browser reaches a contact: e-mail, telephone or a page."""
    if _EMAIL.fullmatch(contact):
        return f"mailto:{contact}"
    if _PHONE.fullmatch(contact):
        return "tel:" + re.sub(r"[ ()-]", "", contact)
    return contact if re.fullmatch(r"https?://\S+", contact) else None
