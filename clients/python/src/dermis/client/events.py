"""Server-sent events of a case (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import json

from dermis.client.answers import Case, ResponseModel

LAST: frozenset[str] = frozenset({"outcome", "failed", "erased"})


class Event(ResponseModel):
    """One fact of a case.

    `id` is its ordinal, `name` received, assessed, outcome, failed or erased, `case` what is known with it; None if the
    case was `erased`.
    """

    id: int
    name: str
    case: Case | None


class EventParser:
    """Makes events of the lines of a stream."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Event | None:
        """Return the event that an empty line ends, None at any other line.

        Comments and fields of no event are passed over.
        """
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields[name]}\n{value}" if name == "data" and name in self._fields else value
            return None
        fields, self._fields = self._fields, {}
        if not {"id", "event", "data"} <= fields.keys():
            return None
        data = json.loads(fields["data"])
        case = None if fields["event"] == "erased" else Case.model_validate(data)
        return Event(id=int(fields["id"]), name=fields["event"], case=case)
