"""The chats that the Telegram adapter remembers: over restarts, with other processes, and with damaged files."""

import stat
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiogram.types import Update

from participation.bots.bot_api.chats import FILE, Chats
from tests.standins import telegram_updates as tg
from tests.worker import SECONDS

OLD, NEW, OTHER, BOT = -4001, -1_001_000_004_001, -1_001_000_000_001, 123_456


def settle() -> None:
    """Wait for the threads that write the file."""
    for thread in threading.enumerate():
        if thread.name == "participation-chats":
            thread.join(SECONDS)


def test_chats__that_have_migrated_keep_their_place_over_a_restart(tmp_path: Path) -> None:
    """The place of the new id is the old id, also in the next process."""
    chats = Chats(tmp_path / "spool", {})
    chats.see(OLD, BOT)
    chats.migrate(OLD, NEW, BOT)
    settle()
    for each in (chats, Chats(tmp_path / "spool", {})):
        assert (each.place(NEW), each.place(OLD), each.place(OTHER)) == (OLD, OLD, OTHER)
        assert each.of(BOT) == {NEW}
    assert chats.places() == {OLD}


def test_chats__named_by_the_developer_are_what_they_are_named(tmp_path: Path) -> None:
    """If the new id has a name, its place is the new id. Otherwise it is the old id."""
    for communities, place in (({NEW: "new"}, NEW), ({OLD: "old"}, OLD), ({OLD: "old", NEW: "new"}, NEW), ({}, OLD)):
        chats = Chats(tmp_path, communities)
        chats.migrate(OLD, NEW, BOT)
        settle()
        assert chats.place(NEW) == place


def test_file__is_for_this_account_only_and_whole(tmp_path: Path) -> None:
    """Other accounts of the system cannot read the file, and no temporary file is left."""
    chats = Chats(tmp_path / "spool", {})
    chats.see(OTHER, BOT)
    chats.migrate(OLD, NEW, BOT)
    settle()
    (file,) = (tmp_path / "spool").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert orjson.loads(file.read_bytes()) == {
        "migrated": {str(NEW): OLD},
        "present": {str(BOT): [NEW, OTHER]},
        "albums": {},
    }


def test_file__of_several_processes_loses_nothing(tmp_path: Path) -> None:
    """Each process writes what it knows and what is in the file."""
    one, two = Chats(tmp_path, {}), Chats(tmp_path, {})
    one.migrate(OLD, NEW, 1)
    settle()
    two.see(OTHER, 2)
    settle()
    chats = Chats(tmp_path, {})
    assert (chats.place(NEW), chats.of(1), chats.of(2)) == (OLD, frozenset({NEW}), frozenset({OTHER}))


def test_chat__seen_for_the_first_time_may_be_one_that_another_process_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If several processes serve one webhook, only one of them gets the new id, but all get messages of the chat."""
    one, two = Chats(tmp_path, {}), Chats(tmp_path, {})
    one.migrate(OLD, NEW, BOT)
    settle()
    monkeypatch.setattr(Chats, "_write", lambda _: None)  # because it also reads the file
    two.see(NEW, BOT)
    assert two.place(NEW) == OLD


def test_chat__that_is_an_old_one_is_not_seen_again(tmp_path: Path) -> None:
    """A late update of the old chat does not add it again."""
    chats = Chats(tmp_path, {})
    chats.migrate(OLD, NEW, BOT)
    chats.see(OLD, BOT)
    settle()
    assert chats.of(BOT) == {NEW}


def test_places__are_those_of_the_bots_that_run_here(tmp_path: Path) -> None:
    """Bots in the file that do not run here are ignored."""
    one = Chats(tmp_path, {})
    one.see(OTHER, 1)
    settle()
    two = Chats(tmp_path, {})
    two.see(NEW, 2)
    settle()
    assert (one.places(), two.places()) == ({OTHER}, {NEW})


def test_chats__are_kept_where_no_thread_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, the caller writes the file."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    Chats(tmp_path, {}).migrate(OLD, NEW, BOT)
    assert Chats(tmp_path, {}).place(NEW) == OLD


def test_chat__that_the_bot_has_left_is_forgotten_until_it_is_seen_again(tmp_path: Path) -> None:
    """The bot is in a group again as soon as it sees an update from it."""
    chats = Chats(tmp_path, {})
    chats.see(OTHER, BOT)
    chats.leave(OTHER, BOT)
    settle()
    assert Chats(tmp_path, {}).of(BOT) == frozenset()
    chats.see(OTHER, BOT)
    settle()
    assert Chats(tmp_path, {}).of(BOT) == {OTHER}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'{"migrated": {}}', b'{"migrated": 1, "present": {"x": 1}}']
)
def test_file__that_is_damaged_is_begun_anew(text: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file is logged, and later changes are stored."""
    (tmp_path / FILE).write_bytes(text)
    chats = Chats(tmp_path, {})
    assert "chats_unreadable" in caplog.text
    chats.migrate(OLD, NEW, BOT)
    settle()
    assert Chats(tmp_path, {}).place(NEW) == OLD


def test_file__that_cannot_be_written_costs_nothing_but_the_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything is known until the process ends, and the log says what will be lost."""
    (tmp_path / "spool").write_bytes(b"a file, where the folder should be")
    chats = Chats(tmp_path / "spool", {})
    chats.migrate(OLD, NEW, BOT)
    settle()
    assert chats.place(NEW) == OLD
    assert "chats_unwritable" in caplog.text


def test_chats__many_at_once_are_written_by_few_threads(tmp_path: Path) -> None:
    """Changes during a slow write are stored together by the next write, and none is missing."""
    chats = Chats(tmp_path, {})
    with chats._writing:
        for number in range(50):
            chats.see(OTHER - number, BOT)
        assert sum(thread.name == "participation-chats" for thread in threading.enumerate()) == 1
    settle()
    assert Chats(tmp_path, {}).of(BOT) == {OTHER - number for number in range(50)}


def part(message_id: int, media_group_id: str = "13379") -> Any:
    chat = tg.HARBOUR
    update = tg.message(chat, tg.ADA, message_id, photo=tg.photo(), media_group_id=media_group_id)
    return Update.model_validate({"update_id": 1, **update}).message


def test_album__cut_in_two_by_a_restart_has_one_first_message(tmp_path: Path) -> None:
    """The next process knows the album. A repeated first message is still the first."""
    assert Chats(tmp_path, {}).is_first_of_album(part(20))
    settle()
    after = Chats(tmp_path, {})
    assert [after.is_first_of_album(part(number)) for number in (21, 22, 20)] == [False, False, True]
    assert after.is_first_of_album(part(23, "13380"))


def test_album__received_by_several_processes_has_one_first_message(tmp_path: Path) -> None:
    """Processes that share the folder, for example behind a webhook, read what the others have stored."""
    one, two = Chats(tmp_path, {}), Chats(tmp_path, {})
    assert one.is_first_of_album(part(20))
    settle()
    assert not two.is_first_of_album(part(21))
    assert two.is_first_of_album(part(30, "13380"))
    settle()
    assert not one.is_first_of_album(part(31, "13380"))


def test_file__of_an_older_version_has_no_albums(tmp_path: Path) -> None:
    """What it has is read, and albums are added."""
    (tmp_path / FILE).write_bytes(orjson.dumps({"migrated": {str(NEW): OLD}, "present": {}}))
    chats = Chats(tmp_path, {})
    assert chats.place(NEW) == OLD
    assert chats.is_first_of_album(part(20))
    settle()
    assert orjson.loads((tmp_path / FILE).read_bytes())["albums"] == {f"{OTHER}/13379": 20}
