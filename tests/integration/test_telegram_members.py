"""The member commands on Telegram, with the real libraries, the stand-in, and a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, text

from participation.bots.aiogram import Participation
from participation.bots.bot_api import member_commands
from participation.bots.member_answers import COMMANDS
from participation.bots.telegram import add_participation
from participation.errors import ConfigError
from participation.local.valkey import Valkey
from tests.integration.telegram_bots import BOTS, AiogramBot, TelegramBot, application
from tests.rows import event, put
from tests.standins import telegram_updates as tg
from tests.standins.telegram import Refused, Telegram
from tests.standins.telegram_updates import ADA, BEN, HARBOUR, NEWS_DIRECT, ROBOT, Json
from tests.worker import eventually

MakeBot = type[AiogramBot] | type[TelegramBot]

libraries = pytest.mark.parametrize("make", BOTS.values(), ids=BOTS)

LINK = "Please ask me privately: https://t.me/harbour_bot?start=privacy"


@pytest.fixture(autouse=True)
def servers(engine: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("REDIS_URL", valkey.url.rsplit("/", 1)[0] + "/8")
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path))


@pytest.fixture
def server() -> Iterator[Telegram]:
    with Telegram() as server:
        yield server


def said(words: str, chat: Json | None = None, sender: Json = ADA, **more: Any) -> Json:
    return tg.message(chat or tg.private(sender), sender, 7, text=words, **more)


def answers(server: Telegram) -> list[tuple[int, str]]:
    """Return the messages that the bot sent: the chat's id and the text."""
    return [(int(call.parameters["chat_id"]), call.parameters["text"]) for call in server.called("sendMessage")]


def ask(make: MakeBot, server: Telegram, *updates: Json, answered: int) -> AiogramBot | TelegramBot:
    """Run a bot with the commands until it has sent this number of answers."""
    with make(server, member_commands=True) as bot:
        server.wait_until_polled()
        server.happens(*updates)
        eventually(lambda: len(bot.heard) >= len(updates))
        eventually(lambda: len(server.called("sendMessage")) + len(server.called("sendDocument")) >= answered)
    return bot


def remember(engine: Engine, occurred_at: str = "2026-03-10T12:00:00Z") -> None:
    """Store one event of Ada and one of Ben."""
    fields = {"platform": "telegram", "community_id": "telegram:-1001000000001", "occurred_at": occurred_at}
    put(engine, [event(**fields, member_id=str(who["id"]), object_id="1") for who in (ADA, BEN)])


def left(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [*connection.execute(text("SELECT member_id FROM participation_events")).scalars()]


@libraries
def test_privately__a_member_sees_takes_and_erases(make: MakeBot, server: Telegram, engine: Engine) -> None:
    """A member gets their data as numbers and as a file. It is erased only after confirmation, and only theirs."""
    remember(engine)
    ask(make, server, said("/what_is_kept"), said("/my_data"), said("/forget_me"), answered=3)
    assert sorted(left(engine)) == ["42", "7000000001"]
    texts = [words for chat, words in answers(server) if chat == ADA["id"]]
    assert any(words.startswith("Kept about you, from 2026-03-10 to 2026-03-10") for words in texts)
    assert any(words.endswith("You cannot undo this. To confirm, send /forget_me_yes") for words in texts)
    (file,) = server.called("sendDocument")
    document = next(value for value in file.parameters.values() if isinstance(value, bytes))
    assert [orjson.loads(line)["kind"] for line in document.splitlines()] == ["about", "event"]
    assert int(file.parameters["chat_id"]) == ADA["id"]
    ask(make, server, said("/forget_me_yes"), answered=4)
    assert left(engine) == ["42"]
    assert answers(server)[-1][1].startswith("Done: everything about you is erased")


@libraries
def test_privately__opting_out_asks_back_and_holds(make: MakeBot, server: Telegram, engine: Engine) -> None:
    """Opting out asks for confirmation. Then nothing is stored until the member opts in again."""
    remember(engine)
    ask(make, server, said("/opt_out"), answered=1)
    assert len(left(engine)) == 2
    ask(make, server, said("/opt_out_yes"), answered=2)
    remember(engine)
    assert left(engine) == ["42"]
    ask(make, server, said("/opt_in"), answered=3)
    remember(engine, datetime.now(UTC).isoformat())
    assert sorted(left(engine)) == ["42", "42", "7000000001"]


@libraries
def test_policy__is_told_to_whoever_asks_privately(make: MakeBot, server: Telegram) -> None:
    """The policy names all commands. A member who follows the link from a group gets it too."""
    ask(make, server, said("/privacy"), said("/start privacy"), said("/privacy@HARBOUR_bot"), answered=3)
    texts = {words for _, words in answers(server)}
    (policy,) = texts
    assert all(f"/{name}" in policy for name in COMMANDS if name != "privacy")
    assert len(policy) <= 4096


@libraries
def test_group__is_told_where_to_ask_and_nothing_else(make: MakeBot, server: Telegram, engine: Engine) -> None:
    """Personal data goes to the private chat. A group gets only the link, in the topic, at most once a minute."""
    remember(engine)
    topic: Json = {"message_thread_id": 5, "is_topic_message": True}
    words = ["/my_data", "/forget_me_yes", "/what_is_kept@harbour_bot", "/opt_out_yes", "/privacy"]
    ask(make, server, *(said(each, HARBOUR, **topic) for each in words), answered=1)
    assert answers(server) == [(HARBOUR["id"], LINK)]
    assert server.called("sendMessage")[0].parameters["message_thread_id"] == "5"
    assert server.called("sendDocument") == []
    assert sorted(left(engine)) == ["42", "7000000001"]


@libraries
def test_other_messages__are_left_to_the_bot(make: MakeBot, server: Telegram) -> None:
    """Other commands, messages of bots and direct messages to a channel get no answer. The bot's handlers get all."""
    others = [
        said("/start"),
        said("/start privacy_and_more"),
        said("/privacy@other_bot"),
        said("privacy"),
        said("tell me /privacy"),
        said("/privacies"),
        said("/privacy", HARBOUR, ROBOT),
        said("/privacy", NEWS_DIRECT),
    ]
    bot = ask(make, server, *others, said("/privacy"), answered=1)
    assert len(answers(server)) == 1
    assert len(bot.heard) == len(others) + 1


@libraries
def test_answer__that_cannot_be_sent_is_not_noticed(
    make: MakeBot, server: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    """If a member has blocked the bot, the error is logged without the account."""
    server.refuse["sendMessage"] = Refused(403, "Forbidden: bot was blocked by the user")
    with make(server, member_commands=True) as bot:
        server.wait_until_polled()
        server.happens(said("/privacy"))
        eventually(lambda: "member_answer_failed command=privacy" in caplog.text)
    assert len(bot.heard) == 1
    assert str(ADA["id"]) not in "".join(line for line in caplog.messages if "member_answer" in line)


def test_without_the_option__nobody_is_answered(server: Telegram) -> None:
    """The commands are off by default."""
    with AiogramBot(server) as bot:
        server.wait_until_polled()
        server.happens(said("/privacy"), said("/forget_me_yes"))
        eventually(lambda: len(bot.heard) == 2)
    assert server.called("sendMessage") == []


def test_commands__without_a_database_are_refused_at_once(
    server: Telegram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error is raised at the start, and not when the first member asks."""
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setattr("participation.settings.DATA_DIR", tmp_path)
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        Participation(member_commands=True)
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        add_participation(application(server).build(), member_commands=True)


def test_groups__that_were_answered_are_forgotten_in_time() -> None:
    """Only a limited number of groups is remembered."""
    asked = member_commands.MemberCommands(lambda content, name: (content, name))
    assert all(asked._may_answer_in(number) for number in range(member_commands.GROUPS + 10))
    assert len(asked._answered_at) == member_commands.GROUPS
    assert not asked._may_answer_in(member_commands.GROUPS)
