"""The Celery app: `celery -A participation.app worker`, `beat` and `flower` work as with any other app."""

from celery import Celery

app = Celery("participation", include=["participation.tasks", "participation.worker"])
app.config_from_object("participation.celeryconfig")
