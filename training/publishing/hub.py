"""Pushes published versions to a repository of a model hub."""

from __future__ import annotations

import os
from collections.abc import Mapping

from httpx import HTTPError
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from training.publishing.config import HubArgs

TOKEN_VARIABLE = "HF_TOKEN"


class HubError(ValueError):
    """The hub refused, or can't be reached."""


def push(args: HubArgs, files: Mapping[str, bytes], message: str) -> str:
    """Write files into a repository, in one commit; the repository is made if it is missing.

    Args:
        args: which repository of which hub.
        files: content by path in the repository.
        message: of the commit.

    Returns:
        Address of the commit.

    Raises:
        HubError: there is no token, or the hub refuses. The token is never part of the message.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise HubError(f"set {TOKEN_VARIABLE} to a token that may write to {args.repository}")
    api = HfApi(endpoint=args.endpoint, token=token)
    additions = [CommitOperationAdd(path, content) for path, content in files.items()]
    try:
        api.create_repo(args.repository, private=args.is_private, exist_ok=True)
        commit = api.create_commit(args.repository, additions, commit_message=message)
    except (HfHubHTTPError, HTTPError, RuntimeError, ValueError, OSError) as error:
        cause = error.__cause__ or error  # of a failed upload the client says only that it failed
        detail = f"{type(cause).__name__}: {cause}".replace(token, "…")
        raise HubError(f"{args.repository} was not pushed: {detail}") from None
    return str(commit.commit_url)
