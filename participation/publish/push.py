"""The shortest way into the events list: one command and its answer, on a connection that is kept."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from participation import keys


@cache
def _start(name: str) -> bytes:
    return b"$5\r\nLPUSH\r\n$%d\r\n%b\r\n" % (len(name), name.encode("ascii"))


class Sender:
    """Puts messages into the events list, for any number of threads, on as many connections as send at once.

    It is what `redis.lpush` does, without what that does besides for a command of any kind: most of the time it takes.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._pool = redis.connection_pool
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def push(self, messages: Sequence[bytes], name: str = keys.EVENTS) -> None:
        """Put the messages into the list; when this returns, Redis has acknowledged them.

        Raises what redis-py raises.
        """
        arguments = b"".join([b"$%d\r\n%b\r\n" % (len(message), message) for message in messages])
        connection = self._connection()
        connection.send_packed_command([b"*%d\r\n%b%b" % (2 + len(messages), _start(name), arguments)])
        try:
            connection.read_response()
        except ReadOnlyError:
            # No longer the primary: the name may by now lead to another server.
            connection.disconnect()
            raise
        except ResponseError:
            self._idle.append(connection)
            raise
        # Kept only now: while its answer may still come, nobody may take it for that to another command.
        self._idle.append(connection)

    def _connection(self) -> Any:
        """Take a connection that nobody uses; it is connected when it sends, if it is not yet or not any longer."""
        if self._pid != os.getpid():
            # After a fork the parent's connections are the parent's.
            self._idle = []
            self._pid = os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            # Nothing can be there to read, unless Redis has cut the connection.
            is_cut = connection.can_read()
        except (RedisError, OSError):
            is_cut = True
        if is_cut:
            connection.disconnect()
        return connection


def is_refusal(error: Exception) -> bool:
    """Whether Redis has answered, and said no: then it has taken nothing."""
    return isinstance(error, ResponseError) or isinstance(error.__cause__, ResponseError)
