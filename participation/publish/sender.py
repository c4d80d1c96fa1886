"""The shortest way into the events list: one command and its answer, on a connection that stays open."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NoReturn

from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from participation import keys
from participation.errors import Unavailable

CHUNK: Final = 500
"""Most messages that go with one round trip."""


@cache
def _start(name: str) -> bytes:
    return b"$5\r\nLPUSH\r\n$%d\r\n%b\r\n" % (len(name), name.encode("ascii"))


class Sender:
    """Puts messages into a list, for any number of threads, on as many connections as send at once.

    It does what `redis.lpush` does without the generic work for any command, which takes most of the time there.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._pool = redis.connection_pool
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def push(self, messages: Sequence[bytes], name: str = keys.EVENTS) -> None:
        """Put the messages into the list. When this returns, Redis has acknowledged them.

        Raises what redis-py raises.
        """
        arguments = b"".join([b"$%d\r\n%b\r\n" % (len(message), message) for message in messages])
        connection = self._connection()
        connection.send_packed_command([b"*%d\r\n%b%b" % (2 + len(messages), _start(name), arguments)])
        try:
            connection.read_response()
        except ReadOnlyError:
            # The server is no longer the primary. The name may lead to another server by now.
            connection.disconnect()
            raise
        except ResponseError:
            self._idle.append(connection)
            raise
        # Kept only now: while its answer is outstanding, no other command may read it.
        self._idle.append(connection)

    def _connection(self) -> Any:
        """Take a connection that nobody uses. It connects when it sends, if it is not connected."""
        if self._pid != os.getpid():
            # After a fork, the parent's connections belong to the parent.
            self._idle = []
            self._pid = os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            # There is nothing to read unless Redis closed the connection.
            is_closed = connection.can_read()
        except (RedisError, OSError):
            is_closed = True
        if is_closed:
            connection.disconnect()
        return connection


def raise_unavailable(error: Exception, taken: str, unknown: str) -> NoReturn:
    """Raise `Unavailable` for an error of sending.

    taken: what is certain of the events if Redis answered and refused. unknown: what is certain if it did not answer.
    """
    if isinstance(error, ResponseError) or isinstance(error.__cause__, ResponseError):
        raise Unavailable(f"Redis refuses to take events ({error}): {taken}") from error
    raise Unavailable(
        f"Redis did not acknowledge ({error}): is it running, and is REDIS_URL right? {unknown}"
    ) from error
