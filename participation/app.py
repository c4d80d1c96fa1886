"""The Celery app. `celery -A participation.app worker`, `beat` and `flower` work as anyone expects."""

from typing import Any

from celery import Celery
from celery.signals import worker_init

app = Celery("participation", include=["participation.tasks"])
app.config_from_object("participation.celeryconfig")


@worker_init.connect
def _prepare(sender: Any, **_: object) -> None:
    """Give this app's workers the step that claims events, and stop one whose database is not migrated."""
    if sender.app is app:
        from participation.worker import prepare

        prepare(sender)
