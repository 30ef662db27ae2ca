"""What comes from the environment, and only from there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from deployments.engine.persona.openai_engine import ExternalLlm
from deployments.jobs.notices.settings import NoticeSettings, WebhookSecret
from models.storage import AwsAccess, check_root

CHECKOUT = Path(__file__).resolve().parent.parent

_SHARED_QUEUE = "SQS_URL"


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute():
        raise ValueError(f"must be an absolute folder, got {str(folder)!r}")
    return folder


def _bucket(name: str) -> str:
    check_root(f"s3://{name}")
    if "/" in name:
        raise ValueError(f"must be a bucket's name alone, got {name!r}")
    return name


AbsoluteFile = Annotated[Path, AfterValidator(_absolute)]
StorageRoot = Annotated[str, AfterValidator(check_root)]


class Settings(BaseSettings):
    """Environment variables; a `.env` file at the root of the checkout is read as well."""

    model_config = SettingsConfigDict(
        env_file=CHECKOUT / ".env",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # a mistyped secret is still a secret
    )

    baewoo_storage: StorageRoot | None = Field(
        default=None, description="Absolute folder, or s3://bucket/prefix; see `storage_root`."
    )
    baewoo_api_keys: str = Field(
        default="", description="API keys, name:sha256 each, separated by spaces or commas."
    )
    baewoo_api_keys_file: AbsoluteFile | None = Field(
        default=None, description="Absolute path of a file of API keys, one name:sha256 a line."
    )
    port: int = Field(default=8000, ge=1, le=65535, description="HTTP port of `make run`.")
    openai_api_key: SecretStr | None = Field(
        default=None, description="Of the server that `openai_base_url` names."
    )
    openai_base_url: str | None = Field(
        default=None, description="An OpenAI-compatible server; OpenAI's own if absent."
    )
    openai_model: str | None = Field(
        default=None,
        description="Chat model there, for requests that ask for the external one; off without it.",
    )
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_default_region: str | None = None
    aws_endpoint_url: str | None = Field(
        default=None, description="A server other than AWS's that speaks S3 and SQS."
    )
    aws_bucket_name: Annotated[str, AfterValidator(_bucket)] | None = Field(
        default=None, validation_alias=AliasChoices("AWS_BUCKET_NAME", "S3_BUCKET_NAME")
    )
    aws_sqs_register_queue_url: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_SQS_REGISTER_QUEUE_URL", _SHARED_QUEUE)
    )
    aws_sqs_synthesize_queue_url: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_SQS_SYNTHESIZE_QUEUE_URL", _SHARED_QUEUE)
    )
    aws_sqs_assistant_queue_url: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_SQS_ASSISTANT_QUEUE_URL", _SHARED_QUEUE)
    )
    baewoo_webhook_secret: WebhookSecret | None = Field(
        default=None,
        description="whsec_ and 24 to 64 bytes in base64: signs webhooks, off without it.",
    )
    baewoo_webhook_allow_private: bool = Field(
        default=False, description="Webhooks may go to private addresses, and over http."
    )

    @property
    def storage_root(self) -> str:
        """Where voices and job results lie: as configured, in the bucket, or in the checkout."""
        if self.baewoo_storage is not None:
            return self.baewoo_storage
        if self.aws_bucket_name is not None:
            return f"s3://{self.aws_bucket_name}/baewoo"
        return str(CHECKOUT / "data")

    def aws_access(self) -> AwsAccess:
        """How S3 and SQS are reached."""
        return AwsAccess(
            access_key_id=_revealed(self.aws_access_key_id),
            secret_access_key=_revealed(self.aws_secret_access_key),
            session_token=_revealed(self.aws_session_token),
            region=self.aws_default_region,
            endpoint_url=self.aws_endpoint_url,
        )

    def external_llm(self) -> ExternalLlm | None:
        """The language model elsewhere, if there is one; a server of one's own may need no key.

        Raises:
            ValueError: OpenAI's own server is meant, and there is no key for it.
        """
        if self.openai_model is None:
            return None
        if self.openai_api_key is None and self.openai_base_url is None:
            raise ValueError("OPENAI_MODEL is set, but neither OPENAI_API_KEY nor OPENAI_BASE_URL")
        key = self.openai_api_key or SecretStr("none")
        return ExternalLlm(self.openai_base_url, key, self.openai_model)

    def notice_settings(self) -> NoticeSettings:
        """Whom to tell when a job has ended."""
        queues = {
            "register_speaker": self.aws_sqs_register_queue_url,
            "synthesize": self.aws_sqs_synthesize_queue_url,
            "assistant": self.aws_sqs_assistant_queue_url,
        }
        return NoticeSettings(
            queue_urls={kind: url for kind, url in queues.items() if url is not None},
            webhook_secret=self.baewoo_webhook_secret,
            webhook_allow_private=self.baewoo_webhook_allow_private,
        )


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
