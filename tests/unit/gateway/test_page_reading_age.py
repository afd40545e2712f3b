"""How easy the texts are to read: at the sixth grade at most, by a library, medical names aside.

English by Flesch and Kincaid (1975): grade = .39 words a sentence + 11.8 syllables a word - 15.59. Spanish by Fernandez
Huerta (1959), whose 70 to 80 is the sixth grade. Both are made for running text: of fewer than four words they say
nothing, as a single long word decides, so labels are not judged.
"""

import importlib
import json
import re
import sys
import types
from importlib.resources import files
from typing import Any

import pytest

from dermis.gateway.guidance import guidance
from dermis.gateway.web.languages import texts
from dermis.shared.case import Notice
from dermis.worker.core import notices
from dermis.worker.core.red_flags import RULES

# It asks setuptools, which has no such module any more, for the word lists of formulas that are not used here.
with pytest.MonkeyPatch.context() as patch:
    patch.setitem(sys.modules, "pkg_resources", types.ModuleType("pkg_resources"))
    textstat = importlib.import_module("textstat").textstat

HIGHEST_GRADE = 6.0
LEAST_EASE = 70.0
FEWEST_WORDS = 4
MEDICAL_NAMES = re.compile(
    r"\b(bacteria|cl[ií]nic\w*|conditions?|condici[oó]n\w*|dermat[oó]log\w+|dermatitis|diagnos\w+|ec[cz]ema|erupci[oó]n\w*|"
    r"Fitzpatrick|JavaScript|m[eé]dic\w+|molluscum|pharmacist|psoriasis|ros[aá]cea|vit[ií]ligo)\b",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Return a text as a formula is to read it: a short word for each value and each medical name."""
    return MEDICAL_NAMES.sub("skin", re.sub(r"\{\w+\}", "ten", text)).replace("...", ".")


def judged(read: dict[str, str]) -> dict[str, str]:
    sentences = {key: text for key, text in read.items() if not key.startswith("name.")}  # of conditions: medical
    return {key: plain(text) for key, text in sentences.items() if len(text.split()) >= FEWEST_WORDS}


def english() -> dict[str, str]:
    """Return everything in English that a page says, the parts of a result that come in English among it."""
    read = dict(texts("en"))
    for entry in (guidance().general, *guidance().entries):
        for part in ("text", "next_step", "on_lighter_skin", "on_darker_skin"):
            read[f"{entry.id}.{part}"] = getattr(entry, part)
    for care in guidance().self_care:
        read |= {f"{care.id}.{part}": " ".join(getattr(care, part)) for part in ("do", "avoid", "routine")}
    read |= {f"skin_care.{n}": text for n, text in enumerate(guidance().skin_care)}
    read |= {f"flag.{rule.flag}": rule.text for rule in RULES}
    read |= {f"notice.{each.notice}": each.text for each in vars(notices).values() if isinstance(each, Notice)}
    policy = json.loads((files("dermis.worker") / "quality_policy.json").read_text(encoding="utf-8"))
    return read | {f"advice.{reason}": advice for reason, advice in policy["advice"].items()}


def spanish() -> dict[str, str]:
    read = dict(texts("es"))
    other = json.loads((files("dermis.gateway") / "web/assets/guidance.es.json").read_text(encoding="utf-8"))
    for key, entry in other["entries"].items():
        read |= {f"{key}.{part}": text for part, text in entry.items()}
    for key, care in other["self_care"].items():
        read |= {f"{key}.{part}": " ".join(care[part]) for part in ("do", "avoid", "routine")}
    return read | {f"skin_care.{n}": text for n, text in enumerate(other["skin_care"])}


@pytest.fixture
def reader() -> Any:
    yield textstat
    textstat.set_lang("en_US")


def test_english_is_of_the_sixth_grade_at_most(reader: Any) -> None:
    reader.set_lang("en_US")
    grades = {key: reader.flesch_kincaid_grade(text) for key, text in judged(english()).items()}
    assert len(grades) > 400
    assert {key: grade for key, grade in grades.items() if grade > HIGHEST_GRADE} == {}


def test_spanish_is_of_the_sixth_grade_at_most(reader: Any) -> None:
    reader.set_lang("es")
    eases = {key: reader.fernandez_huerta(text) for key, text in judged(spanish()).items()}
    assert len(eases) > 400
    assert {key: ease for key, ease in eases.items() if ease < LEAST_EASE} == {}


def test_a_text_for_experts_is_seen_as_one(reader: Any) -> None:
    hard = "Multidisciplinary evaluation of immunosuppressed individuals necessitates comprehensive documentation."
    reader.set_lang("en_US")
    assert reader.flesch_kincaid_grade(plain(hard)) > HIGHEST_GRADE
    reader.set_lang("es")
    assert reader.fernandez_huerta("La evaluación multidisciplinaria necesita documentación exhaustiva.") < LEAST_EASE
