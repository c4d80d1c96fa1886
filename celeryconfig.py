"""The configuration of Celery: queues, reliability and the Beat schedule.

`participation.app` reads it, on first use, as `participation.celeryconfig`, which is this file: a program that
publishes may have a `celeryconfig` of its own.
"""

from kombu import Exchange, Queue

from participation import keys, settings

_settings = settings.load()


def __getattr__(name: str) -> str:
    # Asked for when the first connection is made: a program may import tasks before its environment is complete.
    if name == "broker_url":
        return settings.load().redis()
    raise AttributeError(name)


broker_connection_retry_on_startup = True
# A Redis that refuses the declaration of a queue because it is full is waited for like one that is away.
broker_channel_error_retry = True
broker_connection_max_retries = None
worker_consumer = "participation.worker:Consumer"
broker_transport_options = {
    # One list a queue: what the claim and everybody else looks at.
    "priority_steps": [0],
    # What a worker has in hand is not written down in Redis: a lost pointer is published again (`ingest.claim.sweep`),
    # a day that was not computed is still due. So a worker also goes on while Redis is too full for that writing.
    "ack_emulation": False,
    # By default a Redis that accepts connections and never answers is waited for without limit. Half of the setting,
    # for a message is tried twice: the first connection may be one that Redis has forgotten.
    "socket_timeout": _settings.publish_timeout_seconds / 2,
    "socket_connect_timeout": _settings.publish_timeout_seconds / 2,
    "socket_keepalive": True,
}
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

# The default, written down: `delay` asks for it at each call, and Celery finds it here sooner.
task_always_eager = False

# JSON only, everywhere.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

# Results go to whoever watches (Flower), not into a store.
task_ignore_result = True
worker_send_task_events = True

task_routes = {keys.TRACK_EVENT: {"queue": keys.EVENTS}, keys.FLUSH_BATCH: {"queue": keys.FLUSH}}
task_default_queue = keys.NIGHTLY
# The events queue is not among them: a worker claims it in batches.
task_queues = [Queue(name, Exchange(name), routing_key=name) for name in (keys.FLUSH, keys.NIGHTLY)]

# A database that took the commit and never says so is not waited for without end: a batch is handed out again, a day
# is still due.
task_time_limit = _settings.task_time_limit_seconds

# A pointer is acknowledged when its batch is committed, and each process takes one at a time.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1

timezone = "UTC"
enable_utc = True

beat_schedule = {
    "compute-due-days": {
        "task": "participation.compute_due_days",
        "schedule": _settings.compute_interval_seconds,
        # An answer that nobody fetched in time is out of date: the next question finds the same days.
        "options": {"expires": _settings.compute_interval_seconds},
    },
    "maintain": {
        "task": "participation.maintain",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
}
