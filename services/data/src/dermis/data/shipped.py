"""What comes with dermis as a JSON file, label policies and mappings, or stands in a file of the user's own."""

from importlib.resources import files
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dermis.data.objects import read_object
from dermis.shared.errors import DermisError, Kind

Form = TypeVar("Form", bound=BaseModel)


def names(folder: str) -> list[str]:
    """Return the names of what comes with dermis in `folder` beside this module."""
    files_in = (entry.name for entry in files(__package__).joinpath(folder).iterdir())
    return sorted(name.removesuffix(".json") for name in files_in if name.endswith(".json"))


def load(name: str, form: type[Form], *, folder: str, word: str) -> Form:
    """Return the `form` that comes with dermis under `name`, or the one in the file of that name or URL.

    Errors call it `word`, as in "label policy".
    """
    available = names(folder)
    reason = word.upper().replace(" ", "_")
    try:
        if name in available:
            return form.model_validate_json(files(__package__).joinpath(folder, f"{name}.json").read_bytes())
        return form.model_validate_json(read_object(name))
    except DermisError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        raise DermisError(
            Kind.NOT_FOUND, reason, f"no {word} {name!r}: use {', '.join(available)} or a file, by its path or URL"
        ) from error
    except ValidationError as error:
        raise DermisError(Kind.INVALID, reason, f"{word} {name}: {error}") from error
