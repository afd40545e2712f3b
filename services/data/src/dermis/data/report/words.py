"""Values of the data as words."""

import re

_PEOPLES = re.compile(
    r"\b(african|alaska|american|asian|black|eastern|hawaiian|hispanic|indian|islander|latino|native|pacific|spanish|white)\b"
)


def words(value: object) -> str:
    """Return a value of the data as words: MST_1_3 as "MST 1-3", AGE_18_TO_29 as "Age 18 to 29"."""
    text = str(value)
    if tone := re.fullmatch(r"MST_(\d)_(\d+)", text):
        return f"MST {tone[1]}\N{EN DASH}{tone[2]}"
    if types := re.fullmatch(r"FST_([IV]+)_([IV]+)", text):
        return f"FST {types[1]}\N{EN DASH}{types[2]}"
    if re.fullmatch(r"[A-Z]{3}\d+|US", text) or not re.fullmatch(r"[A-Z][A-Z0-9_,]*", text):
        return text
    plain = text.replace("_", " ").replace(",", ", ").replace("MST NONE", "No MST")
    return plain if "MST" in plain else _PEOPLES.sub(lambda name: name[0].title(), plain.capitalize())
