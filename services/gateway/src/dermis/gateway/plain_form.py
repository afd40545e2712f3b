"""The page's form as a browser without scripts sends it: each answer a field of its own."""

import json
from collections.abc import Mapping, Sequence
from typing import get_args, get_origin

from dermis.gateway.form import Form, FormRules
from dermis.gateway.problems import fault
from dermis.shared.case import MAX_IMAGES
from dermis.shared.vocabulary import AgeGroup, SelfReport

UNDER_18 = "UNDER_18"
"""An age group of the form alone: `under_18` of the self-report."""
_SEVERAL = frozenset(
    name
    for name, field in SelfReport.model_fields.items()
    if any(get_origin(arm) is tuple for arm in get_args(field.annotation))
)
PLAIN_FORM = FormRules(
    images="images",
    most_images=MAX_IMAGES,
    texts=(*SelfReport.model_fields, "consent", "second_read", "agree"),
    most_parts=100,
)


def case_form_of(form: Form) -> Form:
    """Return the form as the API takes it; INVALID without the person's consent."""
    if not form.texts.get("agree"):
        raise fault("AGREE", "the consent is missing; tick its box above the button", pointer="/agree")
    texts: dict[str, list[bytearray]] = {
        name: form.texts[name] for name in ("consent", "second_read") if name in form.texts
    }
    report = json.dumps(_self_report(form.texts)).encode()
    return Form(images=form.images, texts={**texts, "self_report": [bytearray(report)]})


def _self_report(texts: Mapping[str, Sequence[bytearray]]) -> dict[str, str | list[str] | bool]:
    report: dict[str, str | list[str] | bool] = {}
    for name in SelfReport.model_fields:
        values = [text for value in texts.get(name, ()) if (text := value.decode(errors="replace").strip())]
        if name == "age_group" and UNDER_18 in values:
            report["under_18"] = True
        elif values:
            report[name] = values if name in _SEVERAL else values[0]
    if report.get("age_group", AgeGroup.AGE_UNKNOWN) != AgeGroup.AGE_UNKNOWN:
        report["under_18"] = False
    return report
