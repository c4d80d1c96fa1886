"""⑦ A digest as JSON, for programs."""

from collections.abc import Sequence

import orjson

from participation.highlights.digest import Digest


def render_json(value: Digest | Sequence[Digest]) -> str:
    """Return a digest as a JSON object, several as an array. The fields are those of `Digest`."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
