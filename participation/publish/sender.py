"""Sends messages to the events queue with a single command, on a connection that stays open."""

import os
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from participation import keys
from participation.errors import Unavailable

CHUNK: Final = 500
"""Maximum number of messages in one round trip."""


_START: Final = b"$5\r\nLPUSH\r\n$%d\r\n%b\r\n" % (len(keys.EVENTS), keys.EVENTS.encode("ascii"))


class Sender:
    """Puts messages into the events queue. Any number of threads may use it; each sends on a connection of its own.

    It is faster than `redis.lpush`, which spends most of its time on work that is the same for any command.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._pool = redis.connection_pool
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def send(self, messages: Sequence[bytes]) -> None:
        """Put the messages into the list. When this returns, Redis has acknowledged them.

        Raises the errors of redis-py.
        """
        arguments = b"".join([b"$%d\r\n%b\r\n" % (len(message), message) for message in messages])
        connection = self._connection()
        connection.send_packed_command([b"*%d\r\n%b%b" % (2 + len(messages), _START, arguments)])
        try:
            connection.read_response()
        except ReadOnlyError:
            # The server is no longer the primary. Its name may lead to another server now.
            connection.disconnect()
            raise
        except ResponseError:
            self._idle.append(connection)
            raise
        # Free only now: before its answer is read, no other command may use the connection.
        self._idle.append(connection)

    def _connection(self) -> Any:
        """Take a connection that no thread uses. If it is not connected, it connects when it sends."""
        if self._pid != os.getpid():
            # After a fork, the connections belong to the parent process.
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

    taken: the end of the message if Redis refused the events. unknown: the end of the message if it did not answer.
    """
    if isinstance(error, ResponseError) or isinstance(error.__cause__, ResponseError):
        raise Unavailable(f"Redis refuses to take events ({error}): {taken}") from error
    raise Unavailable(
        f"Redis did not acknowledge ({error}): is it running, and is REDIS_URL right? {unknown}"
    ) from error
