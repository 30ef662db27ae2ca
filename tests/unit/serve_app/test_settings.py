import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from deployments.engine.persona.openai_engine import ExternalLlm
from models.storage import AwsAccess
from serve_app.settings import CHECKOUT, Settings

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_", "SQS_", "BAEWOO_", "OPENAI_")):
            monkeypatch.delenv(name)


def settings_from(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)  # type: ignore[call-arg]


def test_without_aws_storage_is_the_folder_and_notices_are_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_from(monkeypatch)
    assert settings.storage_root == str(CHECKOUT / "data")
    assert settings.aws_access() == AwsAccess()
    assert settings.notice_settings().queue_urls == {}


@pytest.mark.parametrize("name", ["AWS_BUCKET_NAME", "S3_BUCKET_NAME"])
def test_a_bucket_alone_is_the_storage(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert settings_from(monkeypatch, **{name: "voices"}).storage_root == "s3://voices/baewoo"


@pytest.mark.parametrize("name", ["No", "a/b", "under_score"])
def test_what_is_no_buckets_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(ValidationError, match="bucket"):
        settings_from(monkeypatch, AWS_BUCKET_NAME=name)


@pytest.mark.parametrize("root", ["/srv/voices", "s3://bucket/prefix"])
def test_a_storage_root_wins_over_the_bucket(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    settings = settings_from(monkeypatch, AWS_BUCKET_NAME="voices", BAEWOO_STORAGE=root)
    assert settings.storage_root == root


@pytest.mark.parametrize("root", ["data", "s3://", "gs://bucket"])
def test_a_storage_root_of_another_form_is_refused(
    monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    with pytest.raises(ValidationError, match="storage root"):
        settings_from(monkeypatch, BAEWOO_STORAGE=root)


def test_one_queue_serves_all_kinds_of_which_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_from(
        monkeypatch, SQS_URL="https://q/all", AWS_SQS_ASSISTANT_QUEUE_URL="https://q/lines"
    )
    assert settings.notice_settings().queue_urls == {
        "register_speaker": "https://q/all",
        "synthesize": "https://q/all",
        "assistant": "https://q/lines",
    }


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_from(
        monkeypatch,
        AWS_SECRET_ACCESS_KEY="aws-hidden",
        OPENAI_API_KEY="openai-hidden",
        BAEWOO_WEBHOOK_SECRET=SECRET,
    )
    shown = repr(settings) + repr(settings.aws_access()) + repr(settings.notice_settings())
    assert "hidden" not in shown and SECRET not in shown
    assert settings.aws_access().secret_access_key == "aws-hidden"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", SECRET[6:], "whsec_!" + SECRET[6:]])
def test_a_webhook_secret_of_another_form_is_refused(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with pytest.raises(ValidationError, match="whsec_ followed by") as refused:
        settings_from(monkeypatch, BAEWOO_WEBHOOK_SECRET=secret)
    assert secret[6:] == "" or secret[6:] not in str(refused.value)


def test_a_dotenv_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("S3_BUCKET_NAME=from-file\nPORT=\n")
    settings = Settings(_env_file=tmp_path / ".env")  # type: ignore[call-arg]
    assert (settings.storage_root, settings.port) == ("s3://from-file/baewoo", 8000)


def test_without_a_model_no_language_model_elsewhere_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_from(monkeypatch, OPENAI_API_KEY="key", OPENAI_BASE_URL="http://x/v1")
    assert settings.external_llm() is None


def test_a_language_model_elsewhere_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_from(
        monkeypatch, OPENAI_API_KEY="key", OPENAI_BASE_URL="http://x/v1", OPENAI_MODEL="big"
    )
    assert settings.external_llm() == ExternalLlm("http://x/v1", SecretStr("key"), "big")
    assert "key" not in repr(settings.external_llm()).replace("api_key", "")


def test_openais_own_server_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="OPENAI_MODEL is set"):
        settings_from(monkeypatch, OPENAI_MODEL="big").external_llm()
