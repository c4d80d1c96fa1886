"""The answers of a bot to members, with a real database."""

import asyncio
import gzip
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
import pytest
from sqlalchemy import Engine

from participation.bots import member_answers
from participation.bots.member_answers import MemberAnswers
from participation.errors import ConfigError
from participation.store.database import connect
from tests.rows import event, put

Result = TypeVar("Result")


def answer(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)


def test_members__a_life(engine: Engine) -> None:
    """A member sees and downloads what is kept, opts out, and opts in. Another member is not affected."""
    asks = MemberAnswers("irc", engine)
    other = event(member_id="bob", event_type="REACTION_ADDED", object_id="1", object_author_id="ada")
    put(engine, [event(object_id="1"), event(object_id="2", occurred_at="2026-03-11T12:00:00Z"), other])
    assert answer(asks.what_is_kept("ada")).splitlines() == [
        "Kept about you, from 2026-03-10 to 2026-03-11:",
        "- communities: 1",
        "- messages sent: 2",
        "- reactions to your messages: 1",
        "What you write is never kept. To get all of your data, use /my_data.",
    ]
    file = answer(asks.my_data("ada"))
    assert file.file_name == "my-data.ndjson"
    lines = [orjson.loads(line) for line in (file.content or b"").splitlines()]
    assert [line["kind"] for line in lines] == ["about", "event", "event", "reaction_received"]
    assert b"bob" not in (file.content or b"")
    assert answer(asks.opt_out("ada")) == (
        "Done: everything about you is erased. Erased events: 2. From now on, nothing that you do is kept. "
        "If you change your mind, use /opt_in."
    )
    put(engine, [event(object_id="3")])
    assert answer(asks.what_is_kept("ada")) == "Nothing is kept about you.\nYou have opted out. Nothing new is kept."
    assert answer(asks.opt_in("ada")).startswith("Welcome back")
    assert answer(asks.opt_in("ada")).startswith("You had not opted out")
    assert answer(asks.forget_me("ada")).startswith("Done: there was nothing about you to erase.")
    assert answer(asks.what_is_kept("bob")).splitlines()[2] == "- reactions added: 1"


def test_members__database_away_is_a_calm_word_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """The member gets a text instead of a traceback, and the log does not contain the account."""
    asks = MemberAnswers("irc", connect("postgresql://nobody@127.0.0.1:1/nothing"))
    with caplog.at_level(logging.ERROR):
        texts = [
            answer(each("ada-80351110")) for each in (asks.what_is_kept, asks.forget_me, asks.opt_out, asks.opt_in)
        ]
        file = answer(asks.my_data("ada-80351110"))
    assert [*texts, file.text] == [member_answers.FAILED] * 5
    assert file.content is None
    assert "member_command_failed command=opt_in detail='PostgreSQL: " in caplog.text
    assert "80351110" not in caplog.text


@pytest.mark.usefixtures("environment")
def test_members__own_database_is_that_of_the_settings_and_let_go() -> None:
    """Without an engine, the first question connects to `DATABASE_URL`."""

    async def ask() -> str:
        asks = MemberAnswers("irc")
        found = await asks.what_is_kept("ada")
        await asks.close()
        return found

    assert answer(ask()) == member_answers.NOTHING


def test_my_data__large_is_compressed_and_too_large_is_said(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is compressed. If it is still too large to send, the member gets only a text."""
    put(engine, [event(object_id=str(number)) for number in range(50)])
    asks = MemberAnswers("irc", engine)
    monkeypatch.setattr(member_answers, "UNCOMPRESSED_BYTES", 1_000)
    file = answer(asks.my_data("ada"))
    assert file.file_name == "my-data.ndjson.gz"
    assert len(gzip.decompress(file.content or b"").splitlines()) == 51
    monkeypatch.setattr(member_answers, "FILE_BYTES", 9)
    assert answer(asks.my_data("ada")).content is None


def test_privacy__says_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy names the period and the contact, and fits into one message. A wrong setting raises an error."""
    monkeypatch.setenv("PARTICIPATION_DELETION_GRACE_DAYS", "7")
    monkeypatch.setenv("PARTICIPATION_PRIVACY_CONTACT", "privacy@example.org")
    text = MemberAnswers("irc").privacy()
    assert "deleted 7 days after that" in text
    assert text.endswith("Questions: privacy@example.org")
    assert all(f"/{name}:" in text for name in member_answers.COMMANDS if name != "privacy")
    assert len(text) < 2_000
    monkeypatch.setenv("PARTICIPATION_DELETION_GRACE_DAYS", "-1")
    with pytest.raises(ConfigError):
        MemberAnswers("irc").privacy()
