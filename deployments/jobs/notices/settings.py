"""Whom to tell when a job has ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, SecretStr

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)  # what Standard Webhooks asks for


def webhook_key(secret: SecretStr) -> bytes:
    """The signing key in a secret of the form `whsec_<base64>`.

    Raises:
        ValueError: it has another form, or holds fewer than 24 or more than 64 bytes.
    """
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_PREFIX) or len(key) not in _KEY_BYTES:
        raise ValueError("must be whsec_ followed by 24 to 64 bytes in base64")
    return key


def _with_key(secret: SecretStr) -> SecretStr:
    webhook_key(secret)
    return secret


WebhookSecret = Annotated[SecretStr, AfterValidator(_with_key)]


@dataclass(frozen=True)
class NoticeSettings:
    """Where notices go; nowhere by default.

    Args:
        queue_urls: SQS queue of each type of job that has one.
        webhook_secret: signs webhooks; without it no job may name a webhook.
        webhook_allow_private: webhooks may go to private addresses, and over http.
    """

    queue_urls: Mapping[str, str] = field(default_factory=dict)
    webhook_secret: SecretStr | None = None
    webhook_allow_private: bool = False
