"""What people see: names of members, channels and communities in digests and commands, on real servers."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from uuid import uuid4

import orjson
import pytest
from rich.cells import cell_len
from sqlalchemy import Engine, text

from participation import keys, message
from participation.accounts import Account
from participation.cli import main
from participation.highlights.compute import compute_day
from participation.highlights.digest import read_digest
from participation.highlights.renderers.text import render_text
from participation.highlights.summary import summarize
from participation.ingest.flush import store_elements
from participation.store.communities import grouping, shown_names
from participation.store.communities.settings import configure
from participation.store.communities.shown_names import Told, tell_apart
from participation.store.database import connect, transaction
from participation.store.members import links, requests
from tests.rows import event, put

DAY = date(2026, 3, 10)
AT = "2026-03-10T12:00:00Z"
LATER = "2026-03-11T12:00:00Z"

Tell = Callable[..., tuple[str, str]]


@pytest.fixture
def engine(environment: None, database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


@pytest.fixture
def tell(engine: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command in this process; return what it says on standard output and standard error."""

    def tell(*arguments: str, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["participation", *arguments])
        with pytest.raises(SystemExit, match=f"^{code}$"):
            main()
        return tuple(capfd.readouterr())  # type: ignore[return-value]

    return tell


def account(member: str, name: str, **values: Any) -> dict[str, Any]:
    """Return the name of an account, given as PLATFORM:ACCOUNT."""
    platform, _, id_ = member.partition(":")
    told = {"kind": "account", "community_id": "c", "platform": platform, "id": id_, "name": name, "seen_at": AT}
    return {**told, **values}


def note(engine: Engine, *names: dict[str, Any]) -> None:
    """Store names as a worker does."""
    counts = store_elements(engine, uuid4().hex, [message.encode_call(keys.NOTE_NAMES, orjson.dumps(names))])
    assert counts is not None
    assert (counts.notices, counts.dead) == (1, 0)


def write(engine: Engine, *members: str, community_id: str = "c") -> None:
    """Let each member write one message more than the one after, and compute the day."""
    events = [
        event(platform=who.partition(":")[0], member_id=who.partition(":")[2], object_id=f"{who} {number}")
        for place, who in enumerate(members)
        for number in range(len(members) - place)
    ]
    put(engine, [{**each, "community_id": community_id} for each in events])
    compute(engine, community_id)


def compute(engine: Engine, community_id: str = "c") -> None:
    with transaction(engine) as connection:
        compute_day(connection, community_id, DAY)


def digest(engine: Engine, community_id: str = "c") -> str:
    with transaction(engine) as connection:
        return render_text(summarize(read_digest(connection, community_id, DAY)))


def line(told: str, label: str) -> str:
    """Return what stands behind a label, with the lines that continue it."""
    rest = told.split(f"\n{label}", 1)[1].lstrip()
    return " ".join(rest.split("\n\n")[0].split("\n" + label[0])[0].split("\nTop")[0].split())


def top(engine: Engine) -> str:
    return line(digest(engine), "Top messages")


# ---- digests ----


def test_digest__names_everyone_and_json_keeps_the_ids(engine: Engine, tell: Tell) -> None:
    """The text has names, or ids of those without a name; in JSON each id has the name beside it."""
    write(engine, "discord:1", "irc:bob")
    note(engine, account("discord:1", "Ada 🚢"))
    assert top(engine) == "Ada 🚢 2 · irc:bob 1"
    read = json.loads(tell("highlights", "show", "--community", "c", "--format", "json")[0])
    assert [(each["member_id"], each["name"], each["message_count"]) for each in read["members"]] == [
        ("discord:1", "Ada 🚢", 2),
        ("irc:bob", None, 1),
    ]
    with transaction(engine) as connection:
        connection.execute(text("UPDATE member_daily_highlights SET highlight_date = highlight_date - 8"))
        connection.execute(
            text(
                "INSERT INTO member_daily_highlights SELECT community_id, highlight_date - n, member_id, "
                "message_count, reaction_count, reactions_received, voice_minutes, active_hours, reputation_earned, "
                "computed_at "
                "FROM member_daily_highlights, generate_series(1, 2) AS n"
            )
        )
    assert line(digest(engine), "Gone quiet").startswith("Ada 🚢, irc:bob")
    read = json.loads(tell("highlights", "show", "--community", "c", "--date", str(DAY), "--format", "json")[0])
    assert read["gone_quiet"] == [{"member_id": "discord:1", "name": "Ada 🚢"}, {"member_id": "irc:bob", "name": None}]


def test_digest__newest_name_of_linked_accounts_in_that_community(engine: Engine) -> None:
    """After a change of the nickname, and never by the name that somebody has in another community."""
    write(engine, "discord:1", "irc:ada")
    note(engine, account("discord:1", "Ada"), account("irc:ada", "Ada of the Sea", seen_at=LATER))
    note(engine, account("discord:1", "Elsewhere", community_id="d", seen_at="2026-03-20T00:00:00Z"))
    with transaction(engine) as connection:
        links.link(connection, "ada", [Account("discord", "1"), Account("irc", "ada")])
    compute(engine)
    assert top(engine) == "Ada of the Sea 3"
    note(engine, account("discord:1", "Countess", seen_at="2026-03-12T00:00:00Z"))
    assert top(engine) == "Countess 3"
    note(engine, account("discord:1", "Late", seen_at="2026-03-11T00:00:00Z"))
    assert top(engine) == "Countess 3"


def test_digest__parts_name_the_members_of_the_whole(engine: Engine) -> None:
    """A grouped community shows the names that were told for its parts."""
    write(engine, "discord:1", community_id="one")
    note(engine, account("discord:1", "Ada", community_id="one"))
    assert "Top messages      Ada 1" in digest(engine, "one")
    with transaction(engine) as connection:
        grouping.group(connection, "all", ["one"])
    compute(engine, "all")
    assert "Top messages      Ada 1" in digest(engine, "all")


def test_digest__equal_names_are_told_apart(engine: Engine) -> None:
    """By the platform, or else by the username, or else by the id; case and invisible characters do not matter."""
    write(engine, "discord:1", "irc:ada")
    note(engine, account("discord:1", "Ada"), account("irc:ada", "ada\u200b"))
    assert top(engine) == "Ada (discord) 2 · ada (irc) 1"
    note(engine, *(account(f"discord:{n}", "Ada", username=f"ada.{n}", seen_at=LATER) for n in (1, 2)))
    write(engine, "discord:1", "discord:2")
    note(engine, account("irc:ada", "Bea", seen_at=LATER))
    assert top(engine) == "Ada (@ada.1) 2 · Ada (@ada.2) 1 · Bea 1"
    note(engine, account("discord:2", "Ada", seen_at="2026-03-12T00:00:00Z"))
    assert top(engine) == "Ada (discord:1) 2 · Ada (discord:2) 1 · Bea 1"


def test_digest__name_like_an_id_is_never_taken_for_that_member(engine: Engine) -> None:
    """Neither for an account, a linked person, nor one that is not in the digest; not with tricks either."""
    write(engine, "irc:ada", "irc:eve", "irc:mal")
    with transaction(engine) as connection:
        links.link(connection, "ada", [Account("irc", "ada")])
        links.link(connection, "countess", [Account("irc", "away")])
    compute(engine)
    for name, shown in {
        "ada": "ada (irc:eve)",
        "Ada\u200b": "Ada (irc:eve)",
        "irc:mal": "irc:mal (irc:eve)",
        "irc:nobody": "irc:nobody (irc:eve)",
        "ｉｒｃ:nobody": "ｉｒｃ:nobody (irc:eve)",
        "Countess": "Countess (irc:eve)",
        "Ada (irc:ada)": "Ada (irc:ada) (irc:eve)",
        "irc:eve": "irc:eve",
        "Eve (she/her)": "Eve (she/her)",
    }.items():
        with transaction(engine) as connection:
            connection.execute(text("DELETE FROM account_names"))
        note(engine, account("irc:eve", name))
        assert top(engine) == f"ada 3 · {shown} 2 · irc:mal 1"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ([("a", "Ada", "irc"), ("b", "Ada", "x"), ("c", "Ada (irc)", "x")], ["Ada (a)", "Ada (x)", "Ada (irc) (c)"]),
        ([("a", "Ada", "x"), ("b", "Ada", "x"), ("c", "Ada (a)", "x")], ["Ada (a)", "Ada (b)", "Ada (a) (c)"]),
        ([("a", "x" * 100, "x"), ("b", "x" * 99, "x")], ["x" * 39 + "… (a)", "x" * 39 + "… (b)"]),
    ],
)
def test_tell_apart__what_is_added_is_no_other_name(told: list[tuple[str, str, str]], shown: list[str]) -> None:
    """A name that looks like a label of somebody else gets the id as well."""
    assert list(tell_apart([Told(*each) for each in told], [each[0] for each in told]).values()) == shown


def test_digest__hostile_names_cannot_move_the_terminal(engine: Engine) -> None:
    """No control characters, few marks, and columns that stay aligned with the widest names."""
    write(engine, "irc:a", "irc:b", "irc:c")
    note(
        engine,
        account("irc:a", "\u202e\x1b[2JZ" + "\u0335" * 900),
        account("irc:b", "明" * 255),
        account("irc:c", "👩‍👩‍👧‍👦" * 40),
        {**account("irc:net", "海" * 255), "kind": "space"},
    )
    told = digest(engine)
    for each in told.splitlines():
        assert cell_len(each) <= 80 + cell_len(each.split("·")[0]) * ("202" in each)
        assert not [char for char in each if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]
    title, rule = told.splitlines()[:2]
    assert cell_len(title) == len(rule)
    marked = "[2JZ" + "\u0335" * 4
    assert top(engine) == f"{marked} 3 · {'明' * 19}… 2 · {'👩‍👩‍👧‍👦' * 19}… 1"


def test_digest__text_from_right_to_left_leaves_numbers_in_their_place(engine: Engine) -> None:
    """An invisible mark on both sides ends the direction; JSON has the name as it is."""
    write(engine, "irc:a", "irc:b")
    note(engine, account("irc:a", "נועה"), account("irc:b", "ليلى"))
    assert top(engine) == "\u200eנועה\u200e 2 · \u200eليلى\u200e 1"
    with transaction(engine) as connection:
        assert read_digest(connection, "c", DAY).members[0].name == "נועה"


def test_digest__who_opted_out_or_was_forgotten_is_absent(engine: Engine, tell: Tell) -> None:
    """Also when a bot tells the name again afterwards."""
    write(engine, "irc:ada", "irc:bob", "irc:cleo")
    note(engine, account("irc:ada", "Ada"), account("irc:bob", "Bob"), account("irc:cleo", "Cleo"))
    requests.opt_out(engine, "irc:ada")
    requests.forget(engine, "irc:cleo")
    note_again = [account("irc:ada", "Ada"), account("irc:cleo", "Cleo")]
    store_elements(engine, uuid4().hex, [message.encode_call(keys.NOTE_NAMES, orjson.dumps(note_again))])
    compute(engine)
    outputs = [digest(engine), tell("members", "list", "--community", "c")[0]]
    assert all("Bob" in each and "Ada" not in each and "Cleo" not in each for each in outputs)


# ---- communities and channels ----


def test_communities__operators_name_wins_over_those_of_the_platforms(engine: Engine, tell: Tell) -> None:
    """Without one, the names of all spaces are shown; a former id of a chat is not another space."""
    write(engine, "irc:ada")
    space = {"kind": "space", "community_id": "c", "platform": "telegram", "seen_at": AT}
    note(engine, {**space, "id": "-1", "name": "Old"}, {**space, "id": "-100", "name": "Quay", "former_id": "-1"})
    assert digest(engine).startswith("Quay · ")
    note(engine, *({**space, "id": str(n), "name": f"Pier {n}\u202e"} for n in range(3)))
    assert digest(engine).startswith("Pier 0 + Pier 1 + Pier 2 and 1 more · ")
    assert "Pier 0 + Pier 1 + Pier 2 and 1 more" in tell("communities", "list")[0]
    with transaction(engine) as connection:
        configure(connection, "c", None, "The Harbour")
    assert digest(engine).startswith("The Harbour · ")
    assert "The Harbour" in tell("communities", "list")[0]


def test_channels__have_a_sign_and_their_parent(engine: Engine) -> None:
    """A topic or thread is shown below its parent; equal names are told apart."""
    put(engine, [event()])
    channel = {"kind": "channel", "community_id": "c", "platform": "discord", "seen_at": AT}
    note(
        engine,
        {**channel, "id": "1", "name": "quay"},
        {**channel, "id": "2", "name": "Boats", "parent_id": "1"},
        {**channel, "id": "3", "name": "quay", "platform": "telegram"},
        {**channel, "id": "#sea", "name": "#sea", "platform": "irc"},
    )
    places = [("discord", "1"), ("discord", "2"), ("telegram", "3"), ("irc", "#sea"), ("irc", "unknown")]
    with transaction(engine) as connection:
        assert shown_names.of_channels(connection, "c", places) == {
            places[0]: "#quay (discord)",
            places[1]: "#quay › Boats",
            places[2]: "#quay (telegram)",
            places[3]: "#sea",
        }


# ---- commands ----


def test_members_list__finds_by_name_username_and_id(engine: Engine, tell: Tell) -> None:
    """Any part of them, in upper or lower case; linked accounts are one member."""
    write(engine, "discord:1", "irc:bob", "irc:nameless")
    note(
        engine, account("discord:1", "Ada Ünal", username="ada.u"), account("irc:ada", "ada"), account("irc:new", "New")
    )
    note(engine, account("irc:bob", "明日"))
    with transaction(engine) as connection:
        links.link(connection, "countess", [Account("discord", "1"), Account("irc", "ada")])
    compute(engine)
    out, _ = tell("members", "list", "--community", "c")
    assert out.splitlines() == [
        "name          last active  usernames  id            linked accounts",
        "irc:nameless  2026-03-10              irc:nameless",
        "Ada Ünal      2026-03-10   ada.u      countess      discord:1, irc:ada",
        "明日          2026-03-10              irc:bob",
        "New           never                   irc:new",
        "",
        "4 member(s)",
    ]

    def found(search: str) -> list[str]:
        lines = tell("members", "list", "--community", "c", "--search", search, "--json")[0].splitlines()
        return [json.loads(each)["member_id"] for each in lines]

    for search in ("ünal", "U\u0308NAL", "ADA.U", "@ada.u", "discord:1", "count", "irc:ad"):
        assert found(search) == ["countess"], search
    assert found("a") == ["irc:nameless", "countess"]
    assert found("nobody") == []
    assert tell("members", "list", "--community", "c", "--search", "nobody")[0].startswith("no member found")
    assert "--search: the text is empty" in tell("members", "list", "--community", "c", "--search", " ", code=2)[1]
    assert "unknown community 'x'" in tell("members", "list", "--community", "x", code=2)[1]


def test_members_list__json_and_limit(engine: Engine, tell: Tell) -> None:
    """One object per line with all ids; if there are more, the hint says how to see them."""
    write(engine, "irc:ada", "irc:bob")
    note(engine, account("irc:ada", "Ada", username="a"))
    assert json.loads(tell("members", "list", "--community", "c", "--json", "--search", "ADA")[0]) == {
        "member_id": "irc:ada",
        "name": "Ada",
        "accounts": [{"platform": "irc", "account_id": "ada", "name": "Ada", "username": "a"}],
        "last_active_date": "2026-03-10",
    }
    out, error = tell("members", "list", "--community", "c", "--json", "--limit", "1")
    assert len(out.splitlines()) == 1
    assert error == "only 1 of 2 members are listed; --limit N lists more\n"
    told, _ = tell("members", "list", "--community", "c", "--limit", "1")
    assert told.splitlines()[-1] == "1 of 2 member(s): --limit N lists more, --search TEXT finds some"


def test_members_list__leaves_out_bots(engine: Engine, tell: Tell) -> None:
    """An account that is known as something else than a user is no member."""
    put(engine, [event(member_id="robot", actor_kind="bot")])
    note(engine, account("irc:robot", "Robot"))
    assert tell("members", "list", "--community", "c")[0].startswith("no member found")


@pytest.mark.parametrize(
    "words",
    [
        ["forget", "irc:bob", "ADA", "--yes"],
        ["opt-out", "Ada"],
        ["opt-in", "@ada.l"],
        ["export", "Ada"],
        ["unlink", "irc:bob", "Ada"],
        ["link", "x", "irc:bob", "Ada"],
    ],
    ids=lambda words: words[0],
)
def test_commands__that_change_or_hand_out_take_no_name(engine: Engine, tell: Tell, words: list[str]) -> None:
    """They list who has that name, and nothing changes; an id of somebody is never read as a name."""
    write(engine, "discord:1", "irc:ada", "irc:bob")
    note(engine, account("discord:1", "Ada"), account("irc:ada", "ada", username="ada.l"), account("irc:x", "irc:bob"))
    with transaction(engine) as connection:
        links.link(connection, "bob", [Account("irc", "bob")])
    before = stored(engine)
    out, error = tell("members", *words, code=2)
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "is a name, and this command takes only ids" in error
    if "@ada.l" in words:
        assert error.endswith("give the id of irc:ada (ada in c)\n")
    else:
        assert error.endswith("give the id of discord:1 (Ada (discord) in c) or irc:ada (ada (irc) in c)\n")
    assert stored(engine) == before


def test_commands__id_wins_over_a_name(engine: Engine, tell: Tell) -> None:
    """An account or a linked person is taken, whoever is called the same."""
    write(engine, "irc:eve", "irc:ada", "irc:bob")
    note(engine, account("irc:eve", "irc:ada"), account("irc:bob", "countess"))
    with transaction(engine) as connection:
        links.link(connection, "countess", [Account("irc", "ada")])
    assert '"accounts":[{"platform":"irc","account_id":"ada"}]' in tell("members", "export", "countess")[0]
    assert tell("members", "forget", "irc:ada", "--yes")[0].startswith("irc:ada: erased: 2 event(s)")


def stored(engine: Engine) -> list[int]:
    tables = ("participation_events", "account_names", "member_accounts", "opt_outs", "due_days")
    with engine.connect() as connection:
        return [connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in tables]


def test_dead_letter__shows_names_beside_the_ids(engine: Engine, tell: Tell) -> None:
    """Of the member, the channel and the community, as far as they are known; also for an id sent as a number."""
    put(engine, [event()])
    channel = {"kind": "channel", "community_id": "c", "platform": "discord", "seen_at": AT, "id": "3", "name": "quay"}
    note(engine, account("discord:7", "Ada"), channel, {**channel, "kind": "space", "name": "Net"})
    wrong = event(platform="discord", member_id=7, channel_id="3")
    others = [
        {**wrong, "channel_id": [1], "member_id": {}},
        {**wrong, "community_id": "\0"},
        {**wrong, "platform": 5},
        [],
    ]
    store_elements(engine, uuid4().hex, [message.encode(each) for each in (wrong, *others)])
    lines = tell("dead-letters", "show", "1")[0].splitlines()
    assert lines[8:11] == ["community     c  Net", "channel       3  #quay", "member        7  Ada"]
    named = [json.loads(tell("dead-letters", "show", str(n), "--json")[0])["names"] for n in range(1, 6)]
    assert named[0] == {"community": "Net", "channel": "#quay", "member": "Ada"}
    assert named[1:] == [{"community": "Net"}, {}, {"community": "Net"}, {}]
