"""Properties that the oracle must have whatever it is asked."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from participation.event import decode
from tests.reference import highlights
from tests.strategies import COMMUNITY, Community, communities


def columns(community: Community) -> list[dict[str, Any]]:
    return [decode(e).model_dump() for e in community.events]


@given(communities(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_highlights__order_of_arrival_does_not_matter(community: Community, order: Any) -> None:
    """The same events in any other order give the same day."""
    rows = columns(community)
    shuffled = list(rows)
    order.shuffle(shuffled)
    where = (COMMUNITY, community.day, community.timezone, community.persons)
    assert highlights(rows, *where) == highlights(shuffled, *where)


@given(communities())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_highlights__every_message_counts_on_exactly_one_day(community: Community) -> None:
    """Over all the days around, the messages counted are the messages that users sent here."""
    rows = columns(community)
    days = [community.day + timedelta(days=n) for n in range(-4, 5)]
    counted = [highlights(rows, COMMUNITY, day, community.timezone, community.persons)[1] for day in days]
    by_a_user_here = ("MESSAGE_SENT", "user", COMMUNITY)
    sent = [r for r in rows if (r["event_type"], r["actor_kind"], r["community_id"]) == by_a_user_here]
    assert sum(row.message_count for row in counted if row) == len(sent)
