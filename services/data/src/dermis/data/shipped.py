"""What comes with dermis as a JSON file, label policies and mappings, or stands in a file of the user's own."""

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dermis.shared.errors import DermisError, Kind

Form = TypeVar("Form", bound=BaseModel)


def names(folder: str) -> list[str]:
    """Return the names of what comes with dermis in `folder` beside this module."""
    files_in = (entry.name for entry in files(__package__).joinpath(folder).iterdir())
    return sorted(name.removesuffix(".json") for name in files_in if name.endswith(".json"))


def load(name: str, form: type[Form], *, folder: str, word: str) -> Form:
    """Return the `form` that comes with dermis under `name`, or the one in the file of that name.

    Errors call it `word`, as in "label policy".
    """
    available = names(folder)
    path = files(__package__).joinpath(folder, f"{name}.json") if name in available else Path(name)
    reason = word.upper().replace(" ", "_")
    try:
        return form.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DermisError(
            Kind.NOT_FOUND, reason, f"no {word} {name!r}: use {', '.join(available)} or a file"
        ) from error
    except ValidationError as error:
        raise DermisError(Kind.INVALID, reason, f"{word} {name}: {error}") from error
