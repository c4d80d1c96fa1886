"""Whose a dead letter is, whatever it looks like."""

import bz2
import json
import lzma
import zlib
from base64 import b64encode, encodebytes, urlsafe_b64encode
from typing import Any

import pytest

from participation import mentions, message
from participation.accounts import Account
from tests.rows import event

SNOWFLAKE = "80351110224678912"
NASTY = ["ada", "1", 'a"b', "a'b", "a\\b", "a\tb", "ä/ö", "😀 ada", "-100123", "py", "x" * 255]


def concerns(raw: bytes, account_id: str, platform: str = "irc") -> bool:
    return mentions.mentions_any(raw, frozenset({Account(platform, account_id)}))


def envelope(body: str | bytes | list[Any] | dict[str, Any], **more: Any) -> bytes:
    """Write a message of Celery, whose body need not be right."""
    text = body.decode() if isinstance(body, bytes) else body
    headers = {"task": "participation.track_event", "lang": "py", "retries": 1, "argsrepr": "(...)"}
    properties = {"body_encoding": "base64", "priority": 1, "delivery_mode": 1, "delivery_info": {"exchange": ""}}
    return json.dumps({"body": text, "headers": headers, "properties": properties, **more}).encode()


@pytest.mark.parametrize("account_id", [SNOWFLAKE, *NASTY])
def test_concerns__event_that_can_be_read_is_that_of_its_member_and_author(account_id: str) -> None:
    """An event with a broken rule names its member and the author of what was reacted to; others it does not."""
    for field in ("member_id", "object_author_id"):
        raw = message.encode(event(event_type="NONE", **{field: account_id}))
        assert concerns(raw, account_id)
        assert not concerns(raw, account_id, platform="discord")
        assert not concerns(raw, account_id + "1")
        assert not concerns(raw, account_id[1:] or "2")


def test_concerns__wrong_number_and_wrong_platform_are_still_the_members() -> None:
    """What is wrong with the event may be just its member or its platform."""
    assert concerns(message.encode(event(member_id=80351110224678912)), SNOWFLAKE)
    assert concerns(message.encode(event(member_id=SNOWFLAKE, platform="I R C")), SNOWFLAKE)
    assert concerns(message.encode(event(member_id=SNOWFLAKE, platform="IRC")), SNOWFLAKE)
    assert not concerns(message.encode(event(member_id=SNOWFLAKE, platform="Discord")), SNOWFLAKE)
    assert not concerns(message.encode(event(member_id=True)), "True")


def test_concerns__unknown_field_may_name_the_member_and_metadata_of_others_may_not() -> None:
    """A field that there is not is why the letter is dead, and may hold anything."""
    assert concerns(message.encode(event(member_id="bob", author={"id": [SNOWFLAKE]})), SNOWFLAKE)
    assert concerns(message.encode(event(member_id="bob", object_author_id={"id": SNOWFLAKE})), SNOWFLAKE)
    assert not concerns(message.encode(event(member_id="bob", author=f"x{SNOWFLAKE}")), SNOWFLAKE)
    assert not concerns(message.encode(event(member_id="bob", metadata={"note": "ada"}, event_type=1)), "ada")


def _shapes(account_id: str) -> dict[str, bytes]:
    """Return messages from which no event can be read, with the id in each as a whole JSON string."""
    said = json.dumps([["what", {"nick": account_id}], {}])
    packed = {
        "gzip": zlib.compress(said.encode()),
        "bz2": bz2.compress(said.encode()),
        "xz": lzma.compress(said.encode()),
        "lzma": lzma.compress(said.encode(), lzma.FORMAT_ALONE),
    }
    return {
        "plain": said.encode(),
        "unescaped": json.dumps([account_id], ensure_ascii=False).encode(),
        "broken": said.encode()[:-4] + b"\xff\xfe",
        "text body": envelope(said),
        "object body": envelope({"task": "x", "args": [{"who": account_id}], "kwargs": {}}),
        "kwargs": envelope([[], {"member": account_id}, {}]),
        "two events": envelope([[event(member_id=account_id), event()], {}, {}]),
        "base64 body": envelope(b64encode(said.encode())),
        "url-safe base64 body": envelope(urlsafe_b64encode(said.encode()).rstrip(b"=")),
        "base64 in lines": envelope(encodebytes(said.encode() + b" " * 500)),
        "escaped slashes": envelope(b64encode(said.encode())).replace(b"/", b"\\/"),
        "base64 in base64": envelope(b64encode(envelope(b64encode(said.encode())))),
        "cut off": envelope(b64encode(json.dumps([[account_id, "x" * 90_000]]).encode()))[:65_536],
        "shown arguments only": envelope("?", headers={"argsrepr": f"({{'member_id': {account_id!r}}},)"}),
        **{f"{name} body": envelope(b64encode(each)) for name, each in packed.items()},
        **{
            f"{name} body cut off": envelope(b64encode(each))[: -150 - len(each) // 4]
            for name, each in packed.items()
            if name in {"gzip", "lzma"}
        },
    }


@pytest.mark.parametrize("shape", _shapes("x"))
@pytest.mark.parametrize("account_id", [SNOWFLAKE, *NASTY])
def test_concerns__without_an_event_it_is_the_whole_id(shape: str, account_id: str) -> None:
    """However it is written and wrapped, the id is found, and no other one that is like it."""
    raw = _shapes(account_id)[shape]
    if "body cut off" in shape:
        account_id = "what"  # what stands at the end is cut off
    elif shape == "shown arguments only" and not account_id.replace("-", "").isalnum():
        return  # as Python writes it
    assert mentions.read_event(raw) is None
    assert concerns(raw, account_id)
    assert concerns(raw, account_id, platform="discord")
    assert not concerns(raw, account_id + "1")
    assert not concerns(raw, account_id[:-1] or "2")
    assert not concerns(raw, "9" + account_id)


def test_concerns__numbers_and_words() -> None:
    """A number is an id where its field says so; a long id is one wherever it is a word of its own."""
    assert concerns(b'{"member_id": 1, "x"', "1")
    assert concerns(b'{"userId":-100123}}', "-100123")
    assert not concerns(b'{"member_id": 11, "x"', "1")
    assert not concerns(b'{"member_id": 1.5, "x"', "1")
    assert not concerns(b'{"retries": 1, "x"', "1")
    assert concerns(f"member: {SNOWFLAKE}, <@{SNOWFLAKE}>".encode(), SNOWFLAKE)
    assert concerns(b"\x80\x04\x8c\x11" + SNOWFLAKE.encode() + b"\x94", SNOWFLAKE)
    assert not concerns(f"1{SNOWFLAKE} {SNOWFLAKE}1 a{SNOWFLAKE} {SNOWFLAKE}_".encode(), SNOWFLAKE)


def test_concerns__words_of_the_envelope_and_keys_are_nobodys_ids() -> None:
    """Somebody may be called as Celery's own words are."""
    raw = envelope("?")
    assert not any(concerns(raw, word) for word in ("py", "1", "base64", "exchange", "participation.track_event"))
    assert not concerns(b'{"ada": 1', "ada")
    assert concerns(envelope("?", headers={"member": SNOWFLAKE}), SNOWFLAKE)
    assert not concerns(b'{"nick": "ada lovelace"', "ada")


@pytest.mark.parametrize(
    "raw", [b"", b"\0", b"\xff" * 70_000, b'"' * 65_536, b"\\" * 65_536, b"A" * 65_536, b"[" * 65_536]
)
def test_concerns__rubbish_is_nobodys(raw: bytes) -> None:
    """Whatever lies in the queue is looked through, in no more time than its length takes."""
    assert not any(concerns(raw, each) for each in (SNOWFLAKE, *NASTY[:-1]))


def test_is_of__community_and_platform() -> None:
    """A letter is the community's if its event says so."""
    raw = message.encode(event(event_type="NONE"))
    assert mentions.is_in_community(raw, "c", "irc")
    assert mentions.is_in_community(raw, "c", None)
    assert not mentions.is_in_community(raw, "c", "discord")
    assert not mentions.is_in_community(raw, "d", None)
    assert not mentions.is_in_community(b"c", "c", None)
    assert not mentions.is_in_community(message.encode(["c"]), "c", None)
