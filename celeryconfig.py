"""The configuration of Celery: queues, reliability and the Beat schedule.

`participation.app` reads this file on first use, under the name `participation.celeryconfig`, because a program that
publishes may have its own module `celeryconfig`.
"""

from kombu import Exchange, Queue

from participation import keys, redis_client, settings

_settings = settings.load()


def __getattr__(name: str) -> object:
    # Not `broker_url`: `participation.app` reads REDIS_URL at each connection, because a program may import the tasks
    # before it sets its environment. Flower reads this one.
    if name == "broker_use_ssl":
        return redis_client.parse(settings.load().redis()).tls_options
    raise AttributeError(name)


broker_connection_retry_on_startup = True
# Wait if Redis is too full to declare a queue, as if it did not answer.
broker_channel_error_retry = True
broker_connection_max_retries = None
worker_consumer = "participation.worker:Consumer"
broker_transport_options = {
    # One Redis list for each queue, because the claim and `status` look at one list.
    "priority_steps": [0],
    # Redis keeps no copy of the messages that a worker is processing, so a worker also works while Redis is full.
    # `ingest.claim.sweep` publishes a lost pointer again, and a day that was not computed is still due.
    "ack_emulation": False,
    # By default, Celery waits without limit for a Redis that accepts connections and never answers. Half of the
    # setting, because each message is tried twice: Redis may have closed the first connection.
    "socket_timeout": _settings.publish_timeout_seconds / 2,
    "socket_connect_timeout": _settings.publish_timeout_seconds / 2,
    "socket_keepalive": True,
}
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

# The default. `delay` reads it at each call, and Celery finds it faster if it is set here.
task_always_eager = False

# Only JSON.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

# Results are sent to Flower as events, and are not stored.
task_ignore_result = True
worker_send_task_events = True

task_routes = {keys.TRACK_EVENT: {"queue": keys.EVENTS}, keys.FLUSH_BATCH: {"queue": keys.FLUSH}}
task_default_queue = keys.NIGHTLY
# The events queue is not in this list: a worker claims its messages in batches.
task_queues = [Queue(name, Exchange(name), routing_key=name) for name in (keys.FLUSH, keys.NIGHTLY)]

# Replace a process that waits for a database that never answers. Its batch is given to a worker again, and its day is
# still due.
task_time_limit = _settings.task_time_limit_seconds

# A pointer is acknowledged after its batch is committed, and each process takes one at a time.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1

timezone = "UTC"
enable_utc = True

# With Celery's own scheduler, Beat sends no task after the clock was set back, until the old time comes again.
beat_scheduler = "participation.beat:Scheduler"
beat_schedule = {
    "compute-due-days": {
        "task": keys.COMPUTE_DUE_DAYS,
        "schedule": _settings.compute_interval_seconds,
        # After this time the next task finds the same days, so this one is not needed.
        "options": {"expires": _settings.compute_interval_seconds},
    },
    "maintain": {
        "task": keys.MAINTAIN,
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
}
