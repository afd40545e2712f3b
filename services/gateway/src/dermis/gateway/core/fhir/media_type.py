"""The media type of FHIR's JSON, and who takes it (RFC 9110, 12.5.1; hl7.org/fhir/R4/http.html#mime-type)."""

from email.message import Message

JSON = "application/fhir+json"
CONTENT_TYPE = f"{JSON}; fhirVersion=4.0"
_RANGES = (JSON, "application/json", "application/*", "*/*")
"""What takes it, the most specific first."""
_FORMATS = {"json", JSON, "application/fhir json", "application/json"}
"""Values of `_format`; an unescaped + arrives as a space."""
_VERSIONS = {"", "4.0", "4.0.1"}


def takes_fhir(accept: str | None, chosen: str | None = None) -> bool:
    """Tell whether a caller takes FHIR R4 as JSON, by the header Accept, or by `_format`, which comes before it."""
    if chosen is not None:
        return chosen in _FORMATS
    weights = dict(filter(None, map(_weight, (accept or "*/*").lower().split(","))))
    return next((weights[name] > 0 for name in _RANGES if name in weights), False)


def _weight(part: str) -> tuple[str, float] | None:
    """Return a media range with its weight; None for what can't be read, and for another version of FHIR."""
    message = Message()
    message["Content-Type"] = part.strip()
    version, weight = str(message.get_param("fhirversion", "")), str(message.get_param("q", "1"))
    try:
        return (part.partition(";")[0].strip(), float(weight)) if version in _VERSIONS else None
    except ValueError:
        return None
