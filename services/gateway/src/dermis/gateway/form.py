"""A multipart form (RFC 7578), read while it streams and refused as soon as it breaks a limit."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers

from dermis.gateway.problems import fault
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_TEXT_BYTES = 64 * 1024
_MOST_HEADER_BYTES = 8 * 1024
_MOST_NAME = 80
_SMALLER = "set the camera to 12 megapixels, or save the photo as a JPEG of lower quality, and send that"
_LENGTH = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRules:
    """The fields that a form may have."""

    images: str
    most_images: int
    texts: tuple[str, ...] = ()
    most_parts: int = 16

    def pointer(self, index: int) -> str:
        return f"/{self.images}/{index}" if self.most_images > 1 else f"/{self.images}"

    def name(self, index: int) -> str:
        return f"image {index + 1}" if self.most_images > 1 else "the image"


CASE_FORM = FormRules(
    images="images",
    most_images=MAX_IMAGES,
    texts=("uploads", "self_report", "shot_types", "consent", "second_read", "client_reference"),
)
IMAGE_FORM = FormRules(images="image", most_images=1)


@dataclass(slots=True)
class Form:
    """The parts as they came: images in order, texts by name."""

    images: list[bytearray] = field(default_factory=list)
    texts: dict[str, list[bytearray]] = field(default_factory=dict)


class FormReading(Protocol):
    """What reads a body into a form: a multipart form, or an image alone."""

    async def __call__(
        self, headers: Headers, stream: AsyncIterator[bytes], *, rules: FormRules, max_image_bytes: int
    ) -> Form: ...


async def read_form(headers: Headers, stream: AsyncIterator[bytes], *, rules: FormRules, max_image_bytes: int) -> Form:
    """Read a form that keeps `rules`.

    Raises UNSUPPORTED for another content type, TOO_LARGE as soon as more is read than may be stored, INVALID for a
    form that is broken or holds an unknown field or too many images.
    """
    boundary = _boundary(headers)
    reader = _FormReader(rules, max_image_bytes)
    try:
        parser = MultipartParser(boundary, reader.callbacks)
        most, count = _most_bytes(rules, max_image_bytes), 0
        async for chunk in stream:
            count += len(chunk)
            if count > most:
                raise _body_too_large(f"more than {most:,} bytes", most)
            parser.write(chunk)
            if reader.ended:
                break
        parser.finalize()
    except FormParserError as error:
        raise DermisError(
            Kind.INVALID,
            "FORM_BROKEN",
            "the body is no multipart form; send it whole, with the boundary that its header states",
        ) from error
    if not reader.ended:
        raise DermisError(Kind.INVALID, "FORM_BROKEN", "the multipart form breaks off before its end; send it whole")
    return reader.form


def _boundary(headers: Headers) -> bytes:
    content_type = headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise DermisError(
            Kind.UNSUPPORTED,
            "CONTENT_TYPE",
            f"Content-Type is {content_type[:100]!r}; send multipart/form-data",
        )
    if not options.get(b"boundary"):
        raise DermisError(
            Kind.INVALID, "FORM_BROKEN", "Content-Type has no boundary; let the HTTP client set this header"
        )
    return options[b"boundary"]


def check_length(headers: Headers, *, rules: FormRules, max_image_bytes: int) -> None:
    """Raise TOO_LARGE if the body says that it holds more than may be stored."""
    most = _most_bytes(rules, max_image_bytes)
    length = headers.get("content-length", "0")
    if not _LENGTH.fullmatch(length) or int(length) > most:
        raise _body_too_large(f"{length[:20]} bytes", most)


def _most_bytes(rules: FormRules, max_image_bytes: int) -> int:
    return rules.most_images * max_image_bytes + rules.most_parts * _MOST_TEXT_BYTES


def _body_too_large(size: str, most: int) -> DermisError:
    return DermisError(
        Kind.TOO_LARGE, "BODY_TOO_LARGE", f"the body holds {size}; at most {most:,} are taken: {_SMALLER}"
    )


class _FormReader:
    def __init__(self, rules: FormRules, max_image_bytes: int) -> None:
        self._rules = rules
        self.form = Form()
        self.ended = False
        self._max_image_bytes = max_image_bytes
        self._parts = 0
        self._header_bytes = 0
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._file = ""
        self._unnamed_file = False
        self._content = bytearray()

    @property
    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._in_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._in_header(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._rules.most_parts:
            raise DermisError(
                Kind.INVALID,
                "FORM_BROKEN",
                f"the form has more than {self._rules.most_parts} parts; send each field once",
            )
        self._disposition = b""
        self._header_bytes = 0
        self._content = bytearray()

    def _in_header(self, half: int, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise DermisError(
                Kind.INVALID,
                "FORM_BROKEN",
                f"a part's header holds more than {_MOST_HEADER_BYTES:,} bytes; send the usual one",
            )
        self._header[half].extend(data)

    def _header_end(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        self._file = options.get(b"filename", b"").decode(errors="replace")
        self._unnamed_file = options.get(b"filename") == b""
        if self._name != self._rules.images and self._name not in self._rules.texts:
            raise fault(
                "FORM_FIELD",
                f"field {self._name[:64]!r} is not known; use {', '.join((self._rules.images, *self._rules.texts))}",
            )

    def _data(self, data: bytes, start: int, end: int) -> None:
        most = self._max_image_bytes if self._name == self._rules.images else _MOST_TEXT_BYTES
        if len(self._content) + end - start > most:
            raise self._too_large(most)
        self._content += memoryview(data)[start:end]

    def _too_large(self, most: int) -> DermisError:
        if self._name != self._rules.images:
            return DermisError(
                Kind.TOO_LARGE,
                "FIELD_TOO_LARGE",
                f"{self._name} holds more than {most:,} bytes",
                pointer=f"/{self._name}",
            )
        index = len(self.form.images)
        named = f" ({self._file[:_MOST_NAME]!r})" if self._file else ""
        return image_too_large(f"{self._rules.name(index)}{named}", most, pointer=self._rules.pointer(index))

    def _end(self) -> None:
        if self._name != self._rules.images:
            self.form.texts.setdefault(self._name, []).append(self._content)
        elif self._content or not self._unnamed_file:  # a browser sends a nameless, empty file where none was chosen
            self.form.images.append(self._content)
            if len(self.form.images) > self._rules.most_images:
                raise image_count(f"there are more than {self._rules.most_images} images", self._rules)

    def _finish(self) -> None:
        self.ended = True


def image_too_large(name: str, most: int, *, pointer: str) -> DermisError:
    """Return the refusal of an image of more than `most` bytes."""
    detail = f"{name} holds more than {most:,} bytes: {_SMALLER}"
    return DermisError(Kind.TOO_LARGE, "IMAGE_TOO_LARGE", detail, pointer=pointer)


def image_count(what: str, rules: FormRules) -> DermisError:
    """Return the refusal of a form with too few or too many images."""
    due = f"1 to {rules.most_images} images" if rules.most_images > 1 else "one image"
    uploads = ", or their ids as 'uploads'" if "uploads" in rules.texts else ""
    return fault("IMAGE_COUNT", f"{what}; send {due} as '{rules.images}'{uploads}", pointer=f"/{rules.images}")
