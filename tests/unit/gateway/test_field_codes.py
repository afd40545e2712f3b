"""Problems name each wrong field with a stable code."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dermis.gateway.core.field_codes import FieldCode, code_of
from dermis.gateway.problems import FieldProblem, FieldsError, RequestFaults, fault
from dermis.shared.case import Consent


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int = Field(1, ge=1)
    name: str = Field("", max_length=2)
    consent: Consent = Consent.ASSESS_ONLY


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"count": "x"}, FieldCode.WRONG_TYPE),
        ({"count": []}, FieldCode.WRONG_TYPE),
        ({"count": 0}, FieldCode.OUT_OF_RANGE),
        ({"name": "long"}, FieldCode.OUT_OF_RANGE),
        ({"consent": "MAYBE"}, FieldCode.UNKNOWN_VALUE),
        ({"other": 1}, FieldCode.UNKNOWN_FIELD),
    ],
)
def test_a_fault_of_validation_has_its_code(row: Any, code: FieldCode) -> None:
    with pytest.raises(ValidationError) as caught:
        Row.model_validate(row)
    assert [code_of(each["type"]) for each in caught.value.errors()] == [code]


def test_what_no_table_names_is_an_invalid_value() -> None:
    assert code_of("value_error") is FieldCode.INVALID_VALUE


@pytest.mark.parametrize(
    ("pointer", "parameter"),
    [
        ("/query/limit", "limit"),
        ("/header/Idempotency-Key", "Idempotency-Key"),
        ("/query/status/0", "status"),
        ("/consent", None),
    ],
)
def test_a_pointer_to_a_parameter_names_it(pointer: str, parameter: str | None) -> None:
    assert FieldProblem.at(pointer, "CODE", "wrong").parameter == parameter


def test_faults_are_raised_together_and_the_first_gives_kind_and_reason() -> None:
    faults = RequestFaults()
    assert faults.of(lambda: 1) == 1
    for reason in ("FIRST", "SECOND"):
        faults.of(lambda reason=reason: raises(reason))  # type: ignore[misc]
    with pytest.raises(FieldsError) as caught:
        faults.check()
    assert (caught.value.reason, [each.code for each in caught.value.errors]) == ("FIRST", ["FIRST", "SECOND"])


def raises(reason: str) -> None:
    raise fault(reason, f"{reason} is wrong", pointer=f"/{reason.lower()}")


def test_a_case_says_all_that_is_wrong_at_once(gateway: Any, jpeg: bytes) -> None:
    response = gateway.submit(
        jpeg,
        b"GIF89a",
        jpeg[:20],
        consent="MAYBE",
        shot_types=["CLOSE", "", "FAR"],
        self_report='{"textures": ["SLIMY"], "age": 1}',
    )
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (422, "SELF_REPORT")
    assert {(each["pointer"], each["code"]) for each in problem["errors"]} == {
        ("/self_report/textures/0", "UNKNOWN_VALUE"),
        ("/self_report/age", "UNKNOWN_FIELD"),
        ("/consent", "CONSENT"),
        ("/shot_types/0", "SHOT_TYPES"),
        ("/shot_types/2", "SHOT_TYPES"),
        ("/images/1", "IMAGE_FORMAT"),
        ("/images/2", "IMAGE_DAMAGED"),
    }
    assert gateway.keys == []


def test_parameters_are_named_with_their_codes(gateway: Any) -> None:
    gateway.settings |= {"list_public": True}
    unknown = gateway.get("/v1/cases?ordr=newest").json()["errors"]
    assert [(each["code"], each["parameter"]) for each in unknown] == [("UNKNOWN_PARAMETER", "ordr")]
    wrong = gateway.get("/v1/cases?limit=0&status=GONE").json()["errors"]
    assert {(each["code"], each["parameter"]) for each in wrong} == {
        ("OUT_OF_RANGE", "limit"),
        ("UNKNOWN_VALUE", "status"),
    }


def test_a_fault_of_a_body_has_a_code_and_no_parameter(gateway: Any, jpeg: bytes) -> None:
    (error,) = gateway.submit(jpeg, consent="MAYBE").json()["errors"]
    assert (error["code"], "parameter" in error) == ("CONSENT", False)
