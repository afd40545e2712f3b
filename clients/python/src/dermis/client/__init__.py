"""Client of the dermis HTTP API, `Client` and `AsyncClient`; dermis is not a medical device."""

from dermis.client.answers import (
    Case,
    CaseSummary,
    FeedbackKept,
    Outcome,
    QualityReport,
)
from dermis.client.asynchronous import AsyncClient
from dermis.client.batches import Batch, BatchResult, BatchSummary
from dermis.client.blocking import Client
from dermis.client.errors import ApiError, FieldFault
from dermis.client.evaluation import Evaluation
from dermis.client.events import Event
from dermis.client.images import Image
from dermis.client.models import ConditionList, ModelSummary, Promotion
from dermis.client.self_report import ConfirmedBy, Consent, SelfReport, ShotType
from dermis.client.uploads import ImageUpload
from dermis.client.webhooks import NewWebhook, Webhook, WebhookDelivery, WebhookSecretRotated

__all__ = [
    "ApiError",
    "AsyncClient",
    "Batch",
    "BatchResult",
    "BatchSummary",
    "Case",
    "CaseSummary",
    "Client",
    "ConditionList",
    "ConfirmedBy",
    "Consent",
    "Evaluation",
    "Event",
    "FeedbackKept",
    "FieldFault",
    "Image",
    "ImageUpload",
    "ModelSummary",
    "NewWebhook",
    "Outcome",
    "Promotion",
    "QualityReport",
    "SelfReport",
    "ShotType",
    "Webhook",
    "WebhookDelivery",
    "WebhookSecretRotated",
]
