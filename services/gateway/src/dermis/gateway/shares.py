"""Links to a case: who has one may see the case, or erase it too, until the link ends or is revoked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dermis.gateway.facts import erased_problem, get_fact, put_fact
from dermis.shared.api_keys import Scope
from dermis.shared.case import PUBLIC_OWNER, Fact, case_key, fact_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_id
from dermis.shared.ports import BlobStore, has
from dermis.shared.secret import digest_of, is_secret, matches, new_secret

MOST_LINKS = 20
"""Of one case, revoked ones among them."""
_READERS = (Scope.CASES_READ,)
_OWNERS = (Scope.CASES_READ, Scope.CASES_WRITE)


class SharedLink(Fact):
    """`shares/<id>.json` of a case: a link without its secret."""

    share_id: str
    created_at: datetime
    expires_at: datetime
    may_erase: bool = False
    secret_sha256: str
    scopes: tuple[Scope, ...] = ()
    """What it lets do with its case; empty in links from before it, which `may_erase` tells."""

    @property
    def rights(self) -> frozenset[Scope]:
        """The scopes that the link has for its case."""
        return frozenset(self.scopes or (_OWNERS if self.may_erase else _READERS))


class LinkRevoked(Fact):
    """`shares/<id>.revoked.json`: from then on the link opens nothing."""

    share_id: str
    revoked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToken:
    """What a link holds: where its fact lies, so that no list is needed to find it, and its secret."""

    share_id: str
    case_id: str
    owner: str
    secret: str

    @property
    def text(self) -> str:
        return ".".join((self.share_id, self.case_id.removeprefix("case_"), self.owner, self.secret))


def token_of(text: str) -> LinkToken | None:
    """Return what a link's text names, None if it is none of ours."""
    parts = text.split(".")
    if len(parts) != 4:
        return None
    share_id, case_part, owner, secret = parts
    case_id, owned = f"case_{case_part}", owner == PUBLIC_OWNER or is_id("key", owner) or is_id("session", owner)
    if not (is_id("share", share_id) and is_id("case", case_id) and owned and is_secret(secret)):
        return None
    return LinkToken(share_id=share_id, case_id=case_id, owner=owner, secret=secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The links of all cases; they are part of their case, and go when it is erased."""

    store: BlobStore
    clock: Callable[[], datetime]

    def create(self, case_id: str, *, owner: str, lasts: timedelta, may_erase: bool) -> tuple[SharedLink, LinkToken]:
        """Put a link and return it with its token, which is shown once and kept nowhere.

        NOT_FOUND if there is no such case, CONFLICT if it has too many links.
        """
        self._check_case(case_id, owner)
        if len(self.of(case_id, owner=owner)) >= MOST_LINKS:
            detail = f"case {case_id} has had {MOST_LINKS} links; no more are made"
            raise DermisError(Kind.CONFLICT, "LINKS_FULL", detail)
        token = LinkToken(share_id=new_id("share"), case_id=case_id, owner=owner, secret=new_secret())
        at = self.clock()
        link = SharedLink(
            share_id=token.share_id,
            created_at=at,
            expires_at=at + lasts,
            may_erase=may_erase,
            scopes=_OWNERS if may_erase else _READERS,
            secret_sha256=digest_of(token.secret),
        )
        put_fact(self.store, _link_key(token), link)
        if has(self.store, fact_key(owner, case_id, "erased")):  # meanwhile: nothing may stay
            self.store.delete(_link_key(token))
            raise erased_problem(case_id)
        return link, token

    def of(self, case_id: str, *, owner: str) -> list[tuple[SharedLink, LinkRevoked | None]]:
        """Return a case's links, the oldest first, and since when each is revoked."""
        keys = [key for key in self.store.list(_folder(owner, case_id)) if not key.endswith(".revoked.json")]
        return [
            (link, get_fact(self.store, _revoked_key(key), LinkRevoked))
            for key in keys
            if (link := get_fact(self.store, key, SharedLink))
        ]

    def revoke(self, case_id: str, share_id: str, *, owner: str) -> None:
        """End a link for good; nothing happens if it is revoked already. NOT_FOUND if there is none."""
        key = f"{_folder(owner, case_id)}{share_id}.json"
        self._check_case(case_id, owner)
        if not is_id("share", share_id) or not has(self.store, key):
            raise DermisError(Kind.NOT_FOUND, "LINK_NOT_FOUND", f"case {case_id} has no link {share_id[:64]!r}")
        put_fact(self.store, _revoked_key(key), LinkRevoked(share_id=share_id, revoked_at=self.clock()))
        if has(self.store, fact_key(owner, case_id, "erased")):
            self.store.delete(_revoked_key(key))

    def open(self, token: LinkToken) -> SharedLink | None:
        """Return the link that a token opens, None if there is none or the secret is another.

        NOT_FOUND, with the reason, once it has ended or is revoked.
        """
        link = get_fact(self.store, _link_key(token), SharedLink)
        if link is None or not matches(token.secret, link.secret_sha256):
            return None
        if has(self.store, _revoked_key(_link_key(token))):
            raise DermisError(Kind.NOT_FOUND, "LINK_REVOKED", "this link was revoked; ask whoever sent it for another")
        if self.clock() >= link.expires_at:
            raise DermisError(Kind.NOT_FOUND, "LINK_EXPIRED", "this link has ended; ask whoever sent it for another")
        return link

    def _check_case(self, case_id: str, owner: str) -> None:
        if is_id("case", case_id) and has(self.store, fact_key(owner, case_id, "erased")):
            raise erased_problem(case_id)
        if not is_id("case", case_id) or not has(self.store, fact_key(owner, case_id, "received")):
            raise DermisError(Kind.NOT_FOUND, "CASE_NOT_FOUND", f"there is no case {case_id[:64]!r}")


def _folder(owner: str, case_id: str) -> str:
    return f"{case_key(owner, case_id)}/shares/"


def _link_key(token: LinkToken) -> str:
    return f"{_folder(token.owner, token.case_id)}{token.share_id}.json"


def _revoked_key(link_key: str) -> str:
    return f"{link_key.removesuffix('.json')}.revoked.json"
