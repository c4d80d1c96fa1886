"""`participation bot telegram`, as an operator runs it, with the stand-in for Telegram."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from participation import keys, settings
from participation.bots.aiogram.runner import NO_GROUP, run
from participation.bots.member_answers import COMMANDS
from participation.cli import main
from participation.errors import ConfigError, ParticipationError
from participation.local.valkey import Valkey
from tests.commands import PARTICIPATION
from tests.standins import telegram_updates as tg
from tests.standins.telegram import TOKEN, Refused, Telegram
from tests.standins.telegram_updates import ADA, BOATS, HARBOUR
from tests.worker import eventually, queued

SECRET = TOKEN.partition(":")[2]


@pytest.fixture
def redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Redis]:
    """A database of the server that no worker reads."""
    url = valkey.url.rsplit("/", 1)[0] + "/6"
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("PARTICIPATION_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("PARTICIPATION_TELEGRAM_TOKEN", TOKEN)
    with Redis.from_url(url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Telegram]:
    with Telegram() as server:
        server.administrator_in = {HARBOUR["id"]}
        monkeypatch.setenv("PARTICIPATION_TELEGRAM_API_URL", server.url)
        yield server


def checked(code: int) -> list[str]:
    """Run the check in this process, and return the printed lines."""
    said: list[str] = []
    assert run(said.append, only_check=True, member_commands=False) == code
    return said


def test_check__of_a_bot_that_lacks_nothing_is_0(redis: Redis, server: Telegram) -> None:
    """The check prints the bot's name. It requests no updates, because that would disturb a running bot."""
    assert checked(0) == ["telegram: @harbour_bot, id 123456", NO_GROUP]
    assert {call.method for call in server.calls} == {"getMe", "getWebhookInfo"}


def test_check__says_what_is_missing_and_what_will_not_be_seen(redis: Redis, server: Telegram, tmp_path: Path) -> None:
    """Privacy mode, that it cannot be added to groups, and the groups in which it is not an administrator."""
    server.me |= {"can_join_groups": False, "can_read_all_group_messages": False}
    server.statuses = {BOATS["id"]: "member"}
    (tmp_path / "spool").mkdir()
    known = {"migrated": {}, "present": {"123456": [HARBOUR["id"], BOATS["id"], -77], "5": [-99]}}
    (tmp_path / "spool" / "telegram-chats.json").write_bytes(orjson.dumps(known))
    lines = checked(2)
    assert lines[0] == "telegram: @harbour_bot, id 123456"
    assert [line[:50] for line in lines[1:]] == [
        "missing: the bot cannot be added to groups, so it ",
        "missing: privacy mode is on, so in groups where th",
        "missing: chat -4001: the bot is not an administrat",
        "missing: chat -77: Telegram answers TelegramBadReq",
    ]


def _wrong_token(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    setenv("PARTICIPATION_TELEGRAM_TOKEN", f"123457:{SECRET}")


def _no_token(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    setenv("PARTICIPATION_TELEGRAM_TOKEN", "")


def _half_a_token(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    setenv("PARTICIPATION_TELEGRAM_TOKEN", SECRET)


def _webhook(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    server.webhook = {"url": f"https://bots.example.org/{TOKEN}"}


def _away(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    setenv("PARTICIPATION_TELEGRAM_API_URL", "http://127.0.0.1:1")


def _web_page(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    server.refuse["getMe"] = Refused(500, f"no such page: /bot{TOKEN}/getMe")


def _no_such_host(server: Telegram, setenv: Callable[[str, str], None]) -> None:
    setenv("PARTICIPATION_TELEGRAM_API_URL", f"http://{'a' * 70}..invalid")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_wrong_token, "PARTICIPATION_TELEGRAM_TOKEN: Telegram does not know this token"),
        (_half_a_token, "PARTICIPATION_TELEGRAM_TOKEN: Telegram does not know this token"),
        (_no_token, "PARTICIPATION_TELEGRAM_TOKEN is not set: put the token that BotFather gave you"),
        (_webhook, "a webhook is set at bots.example.org, so Telegram sends @harbour_bot's updates there"),
        (_away, "Telegram at http://127.0.0.1:1: HTTP Client says - ClientConnectorError"),
        (_web_page, "Telegram server says - no such page: /bot123456:…/getMe"),
        (_no_such_host, "Telegram at http://aaa"),
    ],
)
def test_start__that_can_see_nothing_is_one_line_without_the_token(
    spoil: Callable[[Telegram, Callable[[str, str], None]], None],
    error: str,
    redis: Redis,
    server: Telegram,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong token, a webhook or an unavailable server ends the check. The error does not contain the secret."""
    spoil(server, monkeypatch.setenv)
    with pytest.raises(ParticipationError) as caught:
        checked(2)
    assert error in str(caught.value)
    assert SECRET not in str(caught.value)


UPDATES = [
    tg.message(HARBOUR, ADA, 1),
    tg.reaction(HARBOUR, ADA, 1, [], [tg.thumb()]),
    tg.membership(HARBOUR, tg.BEN, "left", "member"),
]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Let the runner set up logging without removing pytest's handlers. Return a function that returns the log."""
    monkeypatch.setattr(logging.root, "handlers", [])
    return lambda: capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run__records_until_it_is_told_to_end(
    number: signal.Signals, redis: Redis, server: Telegram, logged: Callable[[], str]
) -> None:
    """The bot asks for all types of updates that are recorded. When it has ended, the last events are in Redis."""

    def script() -> None:
        server.wait_until_polled()
        server.happens(*UPDATES)
        server.wait_until_polled()
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=script)
    thread.start()
    said: list[str] = []
    assert run(said.append, only_check=False, member_commands=False) == 0
    thread.join()
    assert len(queued(redis, keys.TRACK_EVENT)) == len(UPDATES)
    assert set(server.allowed) == {"message", "message_reaction", "chat_member", "my_chat_member"}
    assert said[-2:] == ["running; Ctrl-C stops it", "stopped"]
    assert "aiogram.dispatcher Start polling" in logged()


def test_run__refuses_a_channel_that_cannot_be(redis: Redis, server: Telegram) -> None:
    """Before Telegram is asked for anything."""
    with pytest.raises(ConfigError, match="ignored_channels: 'quay' cannot be the id of a channel"):
        run(print, only_check=True, member_commands=False, ignored_channels=["-1001", "quay"])
    assert server.calls == []


def test_run__sends_nothing_of_an_ignored_chat(redis: Redis, server: Telegram, logged: Callable[[], str]) -> None:
    """The option of the command line is the one of the adapter."""

    def script() -> None:
        server.wait_until_polled()
        server.happens(*UPDATES)
        server.wait_until_polled()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=script)
    thread.start()
    assert run(print, only_check=False, member_commands=False, ignored_channels=[str(HARBOUR["id"])]) == 0
    thread.join()
    assert redis.llen(keys.EVENTS) == 0


def test_run__says_that_another_program_polls_and_goes_on(
    redis: Redis, server: Telegram, logged: Callable[[], str]
) -> None:
    """The bot continues, because the other program may be its old version. The log does not contain the token."""
    server.refuse["getUpdates"] = Refused(409, f"Conflict: terminated by other getUpdates request of {TOKEN}")

    def script() -> None:
        eventually(lambda: bool(server.called("getUpdates")))
        server.refuse.clear()
        server.wait_until_polled()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=script)
    thread.start()
    assert run(print, only_check=False, member_commands=False) == 0
    thread.join()
    written = logged()
    assert "telegram_conflict bot=123456: another program asks for this bot's updates" in written
    assert "of 123456:…" in written
    assert SECRET not in written


def started(server: Telegram, *, member_commands: bool) -> list[str]:
    """Run the bot until it polls, and return the lines that it printed about commands."""
    polls = len(server.called("getUpdates"))

    def script() -> None:
        eventually(lambda: len(server.called("getUpdates")) > polls)
        os.kill(os.getpid(), signal.SIGTERM)

    said: list[str] = []
    thread = threading.Thread(target=script)
    thread.start()
    assert run(said.append, only_check=False, member_commands=member_commands) == 0
    thread.join()
    return [line for line in said if line.startswith("commands: ")]


@pytest.fixture
def database(redis: Redis, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")


OURS = [{"command": name, "description": text} for name, text in COMMANDS.items()]
LISTED = ", ".join(f"/{name}" for name in COMMANDS)
HELP = {"command": "help", "description": "Show what this bot can do"}
HILFE = {"command": "help", "description": "Zeigt, was dieser Bot kann"}
PRIVATE, DEFAULT, GERMAN = ("all_private_chats", ""), ("default", ""), ("default", "de")


def test_commands__of_a_new_bot_are_listed_in_private_chats_and_sent_once(database: None, server: Telegram) -> None:
    """The second start changes nothing. A start without the option removes them."""
    assert started(server, member_commands=True) == [f"commands: added or changed {LISTED}"]
    assert server.menus == {PRIVATE: OURS}
    assert started(server, member_commands=True) == []
    assert len(server.called("setMyCommands")) == 1
    assert started(server, member_commands=False) == [
        f"commands: removed {LISTED}, because the bot was started without --member-commands"
    ]
    assert server.menus == {PRIVATE: []}
    assert started(server, member_commands=False) == []


@pytest.mark.parametrize("menu", [PRIVATE, DEFAULT])
def test_commands__of_a_bot_that_exists_stay(database: None, server: Telegram, menu: tuple[str, str]) -> None:
    """Ours are added to the list that private chats show. No list hides another, and other lists stay as they are."""
    groups = ("all_group_chats", "")
    before = {menu: [HELP], GERMAN: [HILFE], groups: [HELP]}
    server.menus = dict(before)
    started(server, member_commands=True)
    assert server.menus == {**before, menu: [HELP, *OURS]}
    started(server, member_commands=False)
    assert server.menus == before


def test_commands__one_that_differs_is_changed_and_is_never_removed(database: None, server: Telegram) -> None:
    """The bot's own /privacy is replaced when ours is turned on. Without the option it is not ours, and stays."""
    own = {"command": "privacy", "description": "The policy of this club"}
    server.menus = {DEFAULT: [own, HELP]}
    assert started(server, member_commands=False) == []
    assert server.menus == {DEFAULT: [own, HELP]}
    server.menus = {DEFAULT: [own, HELP, *OURS[1:]]}
    assert started(server, member_commands=True) == ["commands: added or changed /privacy"]
    assert server.menus == {DEFAULT: [HELP, *OURS[1:], OURS[0]]}


def test_commands__a_list_of_an_older_version_no_longer_hides_the_bots_own(database: None, server: Telegram) -> None:
    """Older versions set a list for private chats, which Telegram shows instead of the default one."""
    server.menus = {PRIVATE: OURS, DEFAULT: [HELP]}
    started(server, member_commands=True)
    assert server.menus == {PRIVATE: [], DEFAULT: [HELP, *OURS]}


def test_check__leaves_the_commands_as_they_are(redis: Redis, server: Telegram) -> None:
    """Another program may run with this token."""
    server.menus = {PRIVATE: OURS}
    checked(0)
    assert server.menus == {PRIVATE: OURS}


def test_run__without_redis_ends_before_it_takes_any_update(
    redis: Redis, server: Telegram, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If REDIS_URL is missing, the bot ends before it requests updates, so Telegram keeps them."""
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="REDIS_URL is not set"):
        run(print, only_check=False, member_commands=False)
    assert server.called("getUpdates") == []


def test_command__checks(
    redis: Redis, server: Telegram, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`participation bot telegram --check` runs the check, and ends with its exit code. An error is one line."""
    monkeypatch.setattr(sys, "argv", ["participation", "bot", "telegram", "--check"])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert capfd.readouterr().out.startswith("telegram: @harbour_bot, id 123456\nnothing is missing")
    monkeypatch.setenv("PARTICIPATION_TELEGRAM_TOKEN", f"1:{SECRET}")
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: PARTICIPATION_TELEGRAM_TOKEN: Telegram does not know this token")


def test_run__without_the_extra_says_how_to_install_it(tmp_path: Path) -> None:
    """If aiogram is not installed, one line says what to do."""
    program = "import sys; sys.modules['aiogram'] = None; from participation.cli import main; main()"
    done: Any = subprocess.run(
        [PARTICIPATION[0], "-c", program, "bot", "telegram"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ,
    )
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "error: the module aiogram is not installed: install community-participation[aiogram], "
        "as docs/install.md says\n"
    )
