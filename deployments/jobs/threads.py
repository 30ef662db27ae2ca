"""Storage calls of coroutines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from deployments.errors import NotReady
from models.storage import StorageUnavailable

logger = logging.getLogger("ray.serve")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def in_thread(
    function: Callable[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Result:
    """Run a storage call off the event loop; `NotReady` when the storage does not answer."""
    try:
        return await asyncio.to_thread(function, *args, **kwargs)
    except StorageUnavailable as error:
        logger.error("storage: %s", error)
        raise NotReady("the storage does not answer", {"retry_after_s": 5}) from error
