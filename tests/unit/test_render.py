"""A digest as people and programs see it, to the letter."""

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from participation.highlights.digest import Digest, NamedMember
from participation.highlights.renderers.json import render_json
from participation.highlights.renderers.text import render_text
from participation.highlights.summary import summarize
from participation.store.days.digests import ChannelDay, MemberDay, UsualDay


def member(member_id: str, **values: Any) -> MemberDay:
    """Return a member's row of zeroes, with `values` laid over it."""
    row = {
        "message_count": 0,
        "reaction_count": 0,
        "reactions_received": 0,
        "voice_minutes": 0,
        "active_hours": 1,
        "reputation_earned": 0,
        "voice_minutes_together": None,
        "streak_days": 1,
        "newcomer": False,
        "returned": False,
    }
    return MemberDay(member_id, **(row | values))


EMPTY = Digest(
    community_id="c",
    name=None,
    timezone="UTC",
    highlight_date=date(2026, 3, 10),
    computed_at=None,
    active_members=0,
    message_count=0,
    reaction_count=0,
    voice_minutes=0,
    members_joined=0,
    members_left=0,
    peak_hour=None,
    usual=None,
    members=[],
    gone_quiet=[],
    channels=[],
)
QUIET = replace(EMPTY, computed_at=datetime(2026, 3, 11, 0, 5, tzinfo=UTC))
FULL = Digest(
    community_id="harbour",
    name="The Harbour",
    timezone="Europe/Berlin",
    highlight_date=date(2026, 3, 29),
    computed_at=datetime(2026, 3, 30, 0, 5, tzinfo=UTC),
    active_members=1_204,
    message_count=23_456,
    reaction_count=900,
    voice_minutes=0,
    members_joined=12,
    members_left=1_003,
    peak_hour=23,
    usual=UsualDay(weeks=4, active_members=1_000, message_count=23_456.0, reaction_count=1_800.5, voice_minutes=0),
    members=[
        member("ada", message_count=1_500, reactions_received=7, reputation_earned=84, streak_days=12),
        member("bea", message_count=900, voice_minutes=95, reputation_earned=69, newcomer=True),
        member("cyn", message_count=900, reactions_received=30, reputation_earned=110, streak_days=3),
        member("dee", message_count=899, voice_minutes=1_200, reputation_earned=69, streak_days=2, returned=True),
        member("discord:1", streak_days=12),
    ],
    gone_quiet=[NamedMember(name, None) for name in ("eve", "fay", "gil", "hal", "ivy", "jan", "kit")],
    channels=[
        ChannelDay("discord", "11", 1_000, 9_000, 0, 0),
        ChannelDay("telegram", "-5/1", 20, 7, 0, 0),
        ChannelDay("irc", "#deck\x07", 3, 3, 0, 0),
        ChannelDay("irc", "#quay", 2, 2, 0, 0),
    ],
)


def test_as_text__writes_a_full_day() -> None:
    """Title, figures beside what is usual, people, and the first three of each count."""
    assert render_text(summarize(FULL)) == (
        "The Harbour · Sunday 29 March 2026 · Europe/Berlin\n"
        "──────────────────────────────────────────────────\n"
        "\n"
        "Active members        1,204   +20% (usual 1,000)\n"
        "Messages             23,456   +0% (usual 23,456)\n"
        "Reactions               900   -50% (usual 1,800)\n"
        "Voice minutes             0   (usual 0)\n"
        "Joined / left            12 / 1,003\n"
        "Peak hour             23:00–0:00\n"
        "\n"
        "New               bea\n"
        "Came back         dee\n"
        "Gone quiet        eve, fay, gil, hal, ivy and 2 more\n"
        "Streaks           ada 12 days, discord:1 12 days, cyn 3 days\n"
        "\n"
        "Top messages      ada 1,500 · bea 900 · cyn 900\n"
        "Top received      cyn 30 · ada 7\n"
        "Top voice         dee 1,200 min · bea 95 min\n"
        "Top reputation    cyn 110 · ada 84 · bea 69\n"
        "Top channels      discord:11 1,000 active · telegram:-5/1 20 active ·\n"
        "                  irc:#deck� 3 active"
    )


def test_as_text__writes_a_day_on_which_nothing_was_counted() -> None:
    """A day without a row says so, under the community's id where it has no name."""
    assert render_text(summarize(EMPTY)) == (
        "c · Tuesday 10 March 2026 · UTC\n"
        "───────────────────────────────\n"
        "\n"
        "Nothing was counted on this day."
    )  # fmt: skip


def test_as_text__writes_a_day_without_anybody() -> None:
    """A computed day on which members only came and went names nobody, and has no line for what nobody did."""
    assert render_text(summarize(replace(QUIET, members_joined=1))) == (
        "c · Tuesday 10 March 2026 · UTC\n"
        "───────────────────────────────\n"
        "\n"
        "Active members            0\n"
        "Messages                  0\n"
        "Reactions                 0\n"
        "Voice minutes             0\n"
        "Joined / left             1 / 0\n"
        "\n"
        "New               nobody\n"
        "Came back         nobody\n"
        "Gone quiet        nobody\n"
        "Streaks           nobody"
    )


@pytest.mark.parametrize(
    ("value", "usual", "shown"),
    [
        (10, 10, "+0% (usual 10)"),
        (1_003, 1_000, "+0% (usual 1,000)"),
        (997, 1_000, "+0% (usual 1,000)"),
        (994, 1_000, "-1% (usual 1,000)"),
        (15, 10, "+50% (usual 10)"),
        (0, 10, "-100% (usual 10)"),
        (3, 2.6, "+15% (usual 3)"),
        (10_000, 1, "+999,900% (usual 1)"),
        (5, 0, "(usual 0)"),
    ],
)
def test_as_text__compares_with_what_is_usual(value: int, usual: float, shown: str) -> None:
    """The difference is a whole percentage of the usual, and left out where the usual is nothing."""
    day = replace(QUIET, message_count=value, usual=UsualDay(1, 0, usual, 0, 0))
    line = render_text(summarize(day)).splitlines()[4]
    assert line == f"Messages          {value:>9,}   {shown}"


@pytest.mark.parametrize(
    ("hour", "shown"), [(0, "     0:00–1:00"), (9, "     9:00–10:00"), (12, "    12:00–13:00"), (23, "    23:00–0:00")]
)
def test_as_text__writes_the_peak_hour(hour: int, shown: str) -> None:
    """The peak hour is one hour of the local clock, midnight included."""
    assert f"Peak hour         {shown}\n" in render_text(summarize(replace(QUIET, peak_hour=hour)))


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, "m0"), (5, "m0, m1, m2, m3, m4"), (6, "m0, m1, m2, m3, m4 and 1 more")],
)
def test_as_text__names_five_and_counts_the_rest(count: int, shown: str) -> None:
    """Up to five people are named in a line."""
    newcomers = [member(f"m{number}", newcomer=True) for number in range(count)]
    assert f"New               {shown}\n" in render_text(summarize(replace(QUIET, members=newcomers)))


@pytest.mark.parametrize(("days", "shown"), [(2, "nobody"), (3, "ada 3 days"), (400, "ada 400 days")])
def test_as_text__names_streaks_from_three_days_on(days: int, shown: str) -> None:
    """Two days in a row are not worth a word."""
    assert render_text(summarize(replace(QUIET, members=[member("ada", streak_days=days)]))).endswith(
        f"Streaks           {shown}"
    )


@pytest.mark.parametrize(
    "name", ["a\nb", "a\rb", "a\x1b[2Jb", "a\0b", "a\x85b", "a\u2028b", "a\u202eb", "a\x7fb", "a\tb"]
)
def test_as_text__lets_no_name_break_a_line(name: str) -> None:
    """Names come from strangers: line breaks, escapes and what turns the direction of writing are shown as �."""
    stranger = member(name, message_count=1, reactions_received=1, voice_minutes=1, reputation_earned=1)
    hostile = replace(stranger, newcomer=True, returned=True, streak_days=3)
    day = replace(QUIET, name=name, members=[hostile], gone_quiet=[NamedMember("x", name)])
    tame = replace(QUIET, name="ab", members=[replace(hostile, member_id="ab")], gone_quiet=[NamedMember("x", "ab")])
    marked = "".join(char if char.isprintable() else "�" for char in name)
    assert render_text(summarize(day)).splitlines()[3:] == [
        line.replace("ab", marked) for line in render_text(summarize(tame)).splitlines()[3:]
    ]
    assert render_text(summarize(day)).splitlines()[0] == f"{marked} · Tuesday 10 March 2026 · UTC"


def test_as_text__keeps_names_of_any_script() -> None:
    """What can be printed is shown as it is."""
    assert "New               Ünal, 明日, 👍🏽\n" in render_text(
        summarize(replace(QUIET, members=[member(name, newcomer=True) for name in ("Ünal", "明日", "👍🏽")]))
    )


def test_as_json__writes_every_field() -> None:
    """A day is one object with the fields of `Digest`, dates and times as ISO 8601."""
    expected = asdict(FULL) | {"highlight_date": "2026-03-29", "computed_at": "2026-03-30T00:05:00+00:00"}
    assert json.loads(render_json(FULL)) == expected


def test_as_json__writes_an_empty_day_to_the_letter() -> None:
    """Null stands for what is not known."""
    assert render_json(EMPTY) == json.dumps(asdict(EMPTY) | {"highlight_date": "2026-03-10"}, indent=2)


def test_as_json__writes_several_days_as_an_array() -> None:
    """Days keep their order."""
    assert json.loads(render_json([FULL, EMPTY])) == [json.loads(render_json(FULL)), json.loads(render_json(EMPTY))]
    assert render_json([]) == "[]"


def test_as_json__keeps_hostile_names_within_their_strings() -> None:
    """Control characters are escaped, so that a name is read back as it is and breaks no line."""
    name = 'a\n"\x1b\0\u2028b'
    text = render_json(replace(QUIET, name=name, gone_quiet=[NamedMember("x", name)]))
    assert json.loads(text)["name"] == json.loads(text)["gone_quiet"][0]["name"] == name
    assert not {"\x1b", "\0"} & {*text}
    assert text.count("\n") == render_json(replace(QUIET, name="x", gone_quiet=[NamedMember("x", "x")])).count("\n")
