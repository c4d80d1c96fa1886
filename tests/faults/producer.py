"""A bot as a process of its own: sends through `track_event.delay` until it is asked to stop, and keeps a ledger.

    python -m tests.faults.producer --name bot0 --seed 7 --ledgers FOLDER [--rate 400] [--count 1000] [--poison 0.01]

What `delay` has returned for goes into `<name>.accepted`, an attempt that raised into `<name>.ambiguous`; then the same
event is sent again, as the promise tells a bot to. The stream of events depends on the seed and its name, but for
`sent_at` in their metadata. On SIGTERM it writes what it has seen to `<name>.json` and ends.
"""

import argparse
import base64
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from types import FrameType
from typing import IO, Any

import redis

from participation import Unavailable, keys, message, settings, track_event
from tests.faults.poison import KINDS, poison

COMMUNITIES = ("harbour", "garden", "tower", "bridge")
MEMBERS = 60
START = datetime(2026, 3, 27, tzinfo=UTC)
"""Two days before the clocks change in Europe."""

SPAN_SECONDS = 4 * 86_400
EMOJI = ("👍", "🎉", "<:otter:12345>")
TYPES = ("MESSAGE_SENT",) * 6 + ("REACTION_ADDED",) * 3 + ("REACTION_REMOVED",) + ("VOICE_PRESENT",) * 2
RARE = ("VOICE_JOINED", "VOICE_LEFT", "MEMBER_JOINED", "MEMBER_LEFT")

GIVE_UP = 0.05
"""Share of the events whose sending raised that are not sent again: they may be stored or not."""

AGAIN = 0.02
"""Share of events that are sent twice although the first time went well."""

NAMES_EVERY = 20
"""After how many events a bot tells a name."""

PAUSE_SECONDS = 0.05


@dataclass
class Seen:
    """What a producer has to tell at its end."""

    accepted: int = 0
    raised: int = 0
    longest_seconds: float = 0.0
    """The longest that `delay` took, whether it returned or raised."""


class Stopped(Exception):
    """Asked to stop while an event could not be sent."""


class Producer:
    def __init__(self, name: str, stream: str, folder: Path, sync_every: int) -> None:
        self.stream = stream
        self.random = Random(stream)
        self.seen = Seen()
        self.stopping = False
        self._accepted = (folder / f"{name}.accepted").open("a", encoding="utf-8")
        self._ambiguous = (folder / f"{name}.ambiguous").open("a", encoding="utf-8")
        self._names = (folder / f"{name}.names").open("a", encoding="utf-8")
        self._name = name
        self._sync_every = sync_every
        self._told = 0

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of this producer, each with an object of its own, in no order of time."""
        for number in count():
            yield self._event(number)

    def send(self, event: dict[str, Any]) -> None:
        """Send one event until it is accepted or given up."""
        while not self._attempt(event):
            if self.stopping:
                raise Stopped
            if self.random.random() < GIVE_UP:
                return
            time.sleep(PAUSE_SECONDS)

    def push(self, client: redis.Redis, kind: str, number: int) -> None:
        """Put poison into the list, as a program would that knows nothing of us."""
        raw, reason = poison(kind, number)
        line = {"raw": base64.b64encode(raw).decode(), "reason": reason}
        try:
            client.lpush(keys.EVENTS, raw)
        except redis.RedisError:
            self._tell(self._ambiguous, line)
        else:
            self._tell(self._accepted, line)

    def tell_name(self, client: redis.Redis, number: int) -> None:
        """Tell another name of a member, as a bot does when it changes."""
        at = datetime.now(UTC).replace(microsecond=number % 10**6)
        name = {
            "kind": "account",
            "community_id": self.random.choice(COMMUNITIES),
            "platform": "discord",
            "id": f"{self._name}-member-{self.random.randrange(MEMBERS)}",
            "name": f"Ädä 🦦 {self._name} {number}",
            "seen_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        try:
            client.lpush(keys.EVENTS, message.encode_call(keys.NOTE_NAMES, json.dumps([name]).encode()))
            is_accepted = True
        except redis.RedisError:
            is_accepted = False
        self._tell(self._names, {"name": name, "accepted": is_accepted})

    def finish(self) -> None:
        for ledger in (self._accepted, self._ambiguous, self._names):
            os.fsync(ledger.fileno())
            ledger.close()

    def _attempt(self, event: dict[str, Any]) -> bool:
        begun = time.monotonic()
        try:
            track_event.delay(event)
        except Unavailable:
            self.seen.raised += 1
            self._tell(self._ambiguous, {"event": event})
            return False
        finally:
            self.seen.longest_seconds = max(self.seen.longest_seconds, time.monotonic() - begun)
        self.seen.accepted += 1
        self._tell(self._accepted, {"event": event})
        return True

    def _tell(self, ledger: IO[str], line: dict[str, Any]) -> None:
        ledger.write(json.dumps(line, ensure_ascii=False) + "\n")
        ledger.flush()
        self._told += 1
        if self._told % self._sync_every == 0:
            os.fsync(ledger.fileno())

    def _event(self, number: int) -> dict[str, Any]:
        random = self.random
        kind = random.choice(RARE) if random.random() < 0.05 else random.choice(TYPES)
        at = START + timedelta(seconds=random.randrange(SPAN_SECONDS), microseconds=random.randrange(10**6))
        event: dict[str, Any] = {
            "event_type": kind,
            "platform": random.choice(("discord", "telegram")),
            "community_id": random.choice(COMMUNITIES),
            "member_id": f"member-{random.randrange(MEMBERS)}",
            "channel_id": f"channel-{random.randrange(5)}",
            "object_id": f"{self.stream}-{number}",
            "occurred_at": at.isoformat(),
            "metadata": {"sent_at": time.time(), "text": "Grüße, 世界 🦦", "n": random.randrange(2**53)},
        }
        if kind.startswith("REACTION"):
            event["object_author_id"] = f"member-{random.randrange(MEMBERS)}"
            event["metadata"]["emoji"] = random.choice(EMOJI)
        return event


def run(producer: Producer, arguments: argparse.Namespace) -> None:
    kinds = list(KINDS)
    begun = time.monotonic()
    with redis.Redis.from_url(settings.load().redis(), socket_timeout=2, socket_connect_timeout=2) as client:
        for number, event in enumerate(producer.events()):
            if producer.stopping or number == arguments.count:
                return
            producer.send(event)
            if producer.random.random() < arguments.again:
                producer.send(event)
            if number % NAMES_EVERY == 0:
                producer.tell_name(client, number)
            if producer.random.random() < arguments.poison:
                # The 5 MB of the largest kind would be most of the load.
                producer.push(client, producer.random.choice([kind for kind in kinds if "4 MB" not in kind]), number)
            if arguments.rate:
                time.sleep(max(0.0, begun + (number + 1) / arguments.rate - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--stream", help="which events: bots with the same seed and stream send the same")
    parser.add_argument("--ledgers", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=-1)
    parser.add_argument("--poison", type=float, default=0.0)
    parser.add_argument("--again", type=float, default=AGAIN)
    parser.add_argument("--sync-every", type=int, default=1)
    arguments = parser.parse_args()
    stream = f"{arguments.seed}/{arguments.stream or arguments.name}"
    producer = Producer(arguments.name, stream, arguments.ledgers, arguments.sync_every)

    def stop(_number: int, _frame: FrameType | None) -> None:
        producer.stopping = True

    signal.signal(signal.SIGTERM, stop)
    with suppress(Stopped):
        run(producer, arguments)
    producer.finish()
    (arguments.ledgers / f"{arguments.name}.json").write_text(json.dumps(asdict(producer.seen)))
    sys.exit(0)


if __name__ == "__main__":
    main()
