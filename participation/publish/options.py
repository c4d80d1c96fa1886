"""Tells errors of the caller of `apply_async` from a Redis that is away: sending again would never help.

In: the options of a call, and what Celery or kombu raised. `delay` does not load this module.
"""

from collections.abc import Mapping
from typing import Any, Final

from kombu import compression
from kombu.exceptions import OperationalError, SerializationError, SerializerNotInstalled
from redis.exceptions import DataError

from participation import keys
from participation.compression import CODECS
from participation.errors import ConfigError

WRONG: Final = (DataError, LookupError, SerializationError, SerializerNotInstalled, TypeError, ValueError)
"""What Celery and kombu raise for arguments that they cannot use."""


def check(options: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for an option with which the event would be lost, or could not be read by a worker."""
    if options.get("serializer") not in (None, "json"):
        raise ConfigError(f"serializer={options['serializer']!r}: workers read only JSON; leave the option out")
    for name in ("queue", "exchange", "routing_key"):
        value = options.get(name)
        if value and getattr(value, "name", value) != keys.EVENTS:
            raise ConfigError(
                f"{name}={value!r}: events go to the queue {keys.EVENTS}, and no worker stores those that are "
                "elsewhere; leave the option out"
            )
    for name in ("connection", "producer"):
        if options.get(name) is not None:
            raise ConfigError(f"{name}: events go to the Redis in REDIS_URL; leave the option out")
    if options.get("compression"):
        _check_compression(options["compression"])


def _check_compression(name: object) -> None:
    find: Any = compression.get_encoder  # the stubs have another return type
    try:
        is_known = find(name)[1] in {codec.content_type for codec in CODECS}
    except (LookupError, TypeError):
        is_known = False
    if not is_known:
        raise ConfigError(f"compression={name!r}: workers unpack only gzip, bzip2 and lzma; use one of them, or none")


def is_callers(error: Exception) -> bool:
    """Return whether the caller's arguments caused the error. kombu wraps some of them in an `OperationalError`."""
    return isinstance(_unwrapped(error), WRONG)


def refused(error: Exception, options: Mapping[str, Any]) -> ConfigError:
    """Return the error for a call that Celery cannot make."""
    names, cause = ", ".join(sorted(options)) or "none", _unwrapped(error)
    return ConfigError(
        f"Celery cannot send an event with these options ({names}): {type(cause).__name__}: {cause}; correct them, or "
        "leave them out"
    )


def _unwrapped(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, OperationalError) else error
