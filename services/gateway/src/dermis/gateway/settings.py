"""The gateway's settings, from variables DERMIS_GATEWAY_<NAME>."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from dermis.gateway.core.issuer import is_issuer
from dermis.shared.settings import LISTEN, RetentionSettings, WebhookSettings
from dermis.shared.stores import is_store_url, overlap


class GatewaySettings(RetentionSettings, WebhookSettings):
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    tls_certificate: Path | None = Field(
        None, description="PEM file with a certificate: the gateway speaks TLS itself, without a proxy; with tls_key"
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key")
    max_image_bytes: int = Field(20 * 1024 * 1024, ge=1024, description="largest image, in bytes")
    max_upload_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="uploads that are read at a time, in bytes; more are refused with 503"
    )
    max_key_upload_bytes: int = Field(
        128 * 1024 * 1024, ge=1, description="the same for the uploads of one API key; more are refused with 429"
    )
    max_address_uploads: int = Field(
        128,
        ge=0,
        description="uploads at a time of one client address without an API key, where trusted_proxies say whose it "
        "is; carriers share addresses among many; more are refused with 429; 0: any number",
    )
    least_upload_bytes_per_second: float = Field(
        16_384,
        gt=0,
        description="least rate of an upload, a third of slow 3G (400 kbit/s, WebPageTest's and Chrome's profile); a "
        "slower one is refused with 408",
    )
    upload_pause_seconds: float = Field(
        20, gt=0, description="time that an upload may fall behind its least rate, or pause"
    )
    upload_seconds: float = Field(
        1800, gt=0, description="longest time that one upload may take; a slower one is refused with 408"
    )
    max_connections: int = Field(
        4096, ge=1, description="connections at a time; beyond them the one that waits longest for a request is closed"
    )
    max_address_connections: int = Field(
        512,
        ge=0,
        description="the same for one client address; 0: any number, as with trusted_proxies, where all come from a "
        "proxy",
    )
    header_seconds: float = Field(20, gt=0, description="time in which a request's line and headers are due")
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=16,
        description="proxies in front, each of which adds to X-Forwarded-For whom it was asked by; 0: the header is "
        "not read",
    )
    allowed_hosts: str = Field(
        "",
        description="host names, separated by commas, that are served beside addresses, names without a dot and local "
        "ones; *.example.org: all below it; *: any",
    )
    max_queue_depth: int = Field(
        1000,
        ge=1,
        description="waiting cases from which on new ones of those who have more than a few in line are refused with "
        "503",
    )
    max_queue_seconds: float = Field(
        15,
        gt=0,
        description="wait of the first of many waiting cases of one caller from which on new ones of the same are "
        "refused with 503",
    )
    min_free_bytes: int = Field(
        1024**3,
        ge=0,
        description="free bytes of the store's disk below which no new case is taken (507); erasing goes on",
    )
    min_free_inodes: int = Field(
        10_000, ge=0, description="free inodes of the store's disk below which no new case is taken (507)"
    )
    max_wait_seconds: float = Field(30, gt=0, description="longest wait that `Prefer: wait` gets")
    judge_seconds: float = Field(10, gt=0, description="time that a worker gets to judge an image at once")
    max_judging: int = Field(
        16, ge=1, description="images that one caller may have judged at once; more are refused with 429"
    )
    stream_seconds: float = Field(300, gt=0, description="longest stream of events; the client then connects again")
    batch_sources: str = Field(
        "",
        description="stores that batches may read from, file:///folder or gs://bucket/prefix, separated by commas; "
        "empty: none",
    )
    max_batch_bytes: int = Field(
        16 * 1024 * 1024,
        ge=1,
        description="largest CSV file of a batch, in its body or its source, in bytes",
    )
    list_public: bool = Field(False, description="let anyone list the cases that were submitted without an API key")
    keyless: bool = Field(
        False,
        description="serve callers without an API key or a session, all as one owner: whoever knows a case's id may "
        "see and erase it",
    )
    sessions: bool = Field(
        False,
        description="offer people the page without an API key: each browser gets a session, a cookie, and sees and "
        "erases its own cases alone; the page has sessions wherever callers without a key are served, too",
    )
    session_days: int = Field(
        30, ge=1, le=400, description="time for which a browser keeps its session after it last opened the page"
    )
    session_rate_per_minute: int = Field(
        240, ge=0, description="calls a minute of one session; more are refused with 429; 0: no limit"
    )
    client_secret_days: int = Field(
        7,
        ge=1,
        le=400,
        description="time for which the client_secret of a case that came by an API key opens it; its own end comes "
        "first",
    )
    key_cache_seconds: float = Field(
        30, gt=0, le=30, description="time that an API key is held for; a revoked one stops within it"
    )
    rate_per_minute: int = Field(
        600, ge=0, description="calls a minute of one API key; more are refused with 429; 0: no limit"
    )
    keyless_rate_per_minute: int = Field(
        600,
        ge=0,
        description="calls a minute of one client address without an API key, with a session or not; behind a proxy "
        "all have one address unless trusted_proxies say whose it is; 0: no limit",
    )
    unknown_keys_per_minute: int = Field(
        60,
        ge=0,
        description="calls a minute with unknown API keys of one client address; more are refused with 429; 0: no "
        "limit",
    )
    emergency_number: str = Field(
        "112",
        max_length=20,
        pattern=r"^\+?[0-9][0-9 ]*[0-9]$",
        description="telephone number that the page dials where an answer says that it is an emergency",
    )
    operator: str = Field(
        "",
        max_length=120,
        description="who runs this server, as its pages say it; empty: they say that nobody is named",
    )
    contact: str = Field(
        "",
        max_length=200,
        description="how people reach who runs this server: an e-mail or https address, a telephone number, or words",
    )
    privacy_url: str = Field(
        "",
        max_length=300,
        pattern=r"^(https?://\S+)?$",
        description="address of the operator's own privacy notice, to which the privacy page links; empty: none",
    )
    cors_origins: str = Field(
        "", description="origins, separated by commas, whose pages may call the API; empty: none but its own page"
    )
    metrics_listen: str = Field(
        "",
        pattern=LISTEN,
        description="host:port to show metrics on, apart from the API; empty: at /metrics beside the API",
    )
    oidc_issuer: str = Field(
        "",
        max_length=300,
        description="where clinicians sign in to give second reads: an OpenID Connect provider's address, https, or "
        "http on this machine; empty: second reads are off",
    )
    oidc_client_id: str = Field("", max_length=200, description="what the provider calls this server")
    oidc_client_secret_file: Path | None = Field(
        None, description="file with the secret by which this server shows the provider who it is"
    )
    oidc_scopes: str = Field("openid", max_length=200, description="scopes to ask the provider for; with openid")
    oidc_roles_claim: str = Field(
        "roles",
        max_length=200,
        description="claim of the ID token, or of UserInfo, that lists a person's roles; a dot goes into an object, "
        "as realm_access.roles",
    )
    oidc_reviewer_role: str = Field("reviewer", min_length=1, description="role of who may give second reads")
    oidc_adjudicator_role: str = Field(
        "adjudicator", min_length=1, description="role of who may settle where second reads disagree"
    )
    oidc_session_hours: float = Field(8, gt=0, le=24, description="time after which a clinician has to sign in again")
    readers_per_case: int = Field(2, ge=1, le=10, description="clinicians who read each case before it is done")
    drain_seconds: int = Field(20, ge=0, description="time that running requests get to end after SIGTERM")

    @model_validator(mode="after")
    def _sources_are_no_part_of_the_store(self) -> "GatewaySettings":
        for source in filter(None, (each.strip() for each in self.batch_sources.split(","))):
            if is_store_url(source) and is_store_url(self.store_url) and overlap(source, self.store_url):
                raise ValueError(
                    f"DERMIS_GATEWAY_BATCH_SOURCES: {source} and the store share objects, so that a batch could read "
                    "cases and keys; name a folder or bucket of its own"
                )
        return self

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> "GatewaySettings":
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("DERMIS_GATEWAY_TLS_CERTIFICATE and DERMIS_GATEWAY_TLS_KEY belong together; set both")
        return self

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_is_safe(cls, url: str) -> str:
        if url and not is_issuer(url):
            raise ValueError("not taken; use https://..., or http:// on this machine, without a query")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _issuer_has_its_client(self) -> "GatewaySettings":
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_client_secret_file):
            raise ValueError(
                "DERMIS_GATEWAY_OIDC_ISSUER needs DERMIS_GATEWAY_OIDC_CLIENT_ID and "
                "DERMIS_GATEWAY_OIDC_CLIENT_SECRET_FILE; set all three"
            )
        return self

    @property
    def offers_second_read(self) -> bool:
        return bool(self.oidc_issuer)

    @property
    def offers_page(self) -> bool:
        return self.keyless or self.sessions

    @property
    def hosts(self) -> list[str]:
        return _names_in(self.allowed_hosts)

    @property
    def origins(self) -> list[str]:
        return _names_in(self.cors_origins)


def _names_in(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
