"""The errors of participation: one class for each decision that whoever catches it has to take."""


class ParticipationError(Exception):
    """Anything that participation raises on purpose. Its text says what is wrong, where, and what to do."""


class ConfigError(ParticipationError):
    """A setting, an argument or the state of a server is wrong: stop, a repeat will not help."""


class Unavailable(ParticipationError):
    """A server does not answer or refuses for now: nothing was lost, try again later."""


class InvalidEvent(ParticipationError, ValueError):
    """An event breaks the contract: never retry it as it is.

    field: the name of the field, or "event" when the value as a whole is wrong.
    rule: what the field must be.
    raw: the value that was refused, as it was given.
    """

    def __init__(self, field: str, rule: str, raw: object = None) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule
        self.raw = raw

    def __reduce__(self) -> tuple[type["InvalidEvent"], tuple[str, str, object]]:
        return type(self), (self.field, self.rule, self.raw)
