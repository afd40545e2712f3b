"""A case as text."""

from typing import Any

import pytest

from dermis.standalone.core.render import bar, exit_code, render, stages

CASE: dict[str, Any] = {
    "id": "case_1",
    "status": "FINISHED",
    "images": [
        {"n": 1, "width": 640, "height": 480, "quality": {"verdict": "USABLE", "reasons": [], "advice": []}},
        {
            "n": 2,
            "width": 64,
            "height": 48,
            "quality": {"verdict": "UNUSABLE", "reasons": ["TOO_DARK"], "advice": ["Use more light."]},
        },
    ],
    "outcome": {
        "kind": "DIFFERENTIAL",
        "reason": None,
        "differential": [
            {"condition": f"c{n}", "name": f"Condition {n}", "probability": p, "in_prediction_set": n < 2}
            for n, p in enumerate((0.5, 0.25, 0.1, 0.05, 0.04, 0.03, 0.02, 0.006, 0.004))
        ],
        "coverage": 0.9,
        "red_flags": [{"flag": "F", "text": "See a doctor today."}],
        "model": {"name": "dermis", "version": 3, "purpose": "demo"},
        "notices": [{"notice": "FACE", "text": "An image may show a face."}],
        "answer_shares": [
            {"field": "textures", "values": ["FLAT"], "shares": {"c0": -0.25, "c1": 1}},
            {"field": "body_parts", "values": ["ARM", "LEG"], "shares": {"c0": 0.5, "c1": 0}},
        ],
        "measured": {
            "group": "FST_V_VI",
            "n": 40,
            "top_1": 0.5,
            "top_1_interval": [0.25, 0.75],
            "top_3": 0.75,
            "top_3_interval": None,
            "floor_top_1": 0.1,
            "floor_top_3": 0.3,
        },
        "stages": [{"name": "decode", "ms": 12.3}, {"name": "predict", "ms": 45.6}],
    },
    "guidance": {
        "urgency": "TODAY",
        "because": [{"text": "it may be Condition 0 (about 5 in 10)"}, {"text": "Ask a doctor today."}],
        "next_step": "Ask a doctor today.",
        "conditions": [
            {
                "name": "Condition 0",
                "guidance": {"text": "It itches.", "on_lighter_skin": "Red.", "on_darker_skin": "Purplish."},
            }
        ],
        "clinical_review": "none",
    },
    "failure": None,
    "notice": "dermis is not a medical device.",
}


def test_a_finished_case_shows_all_that_matters() -> None:
    lines = render(CASE).splitlines()
    assert lines[0] == "case case_1: FINISHED"
    assert lines[2:4] == ["photo 2  64 x 48  UNUSABLE (TOO_DARK)", "         Use more light."]
    assert "! See a doctor today." in lines
    assert "  * Condition 0  0.500  " + "█" * 15 in lines
    assert "    Condition 2  0.100  " + "█" * 3 in lines
    assert "    and 1 more" in lines
    assert "  * prediction set, made to hold the condition in 90% of cases" in lines
    assert "model dermis version 3, purpose: demo; its answers have no clinical meaning" in lines
    assert "i An image may show a face." in lines
    assert (
        "measured on 40 cases of the same Fitzpatrick group (FST_V_VI): the reference condition is the first in 50% "
        "(25% to 75%); the best constant list 10%, the reference condition is among the first three in 75% (too few "
        "for an interval); the best constant list 30%"
    ) in lines
    shares = lines.index("what the answers counted for c0, in logits:")
    assert lines[shares + 1 : shares + 3] == ["    +0.50  body_parts: ARM, LEG", "    -0.25  textures: FLAT"]
    step = lines.index("what to do (TODAY): Ask a doctor today.")
    assert lines[step + 1] == "  because it may be Condition 0 (about 5 in 10)"
    assert lines.count("  because Ask a doctor today.") == 0
    assert "    on darker skin: Purplish." in lines
    assert "  clinical review of these texts: none" in lines
    assert lines[-1] == "dermis is not a medical device."


def test_what_an_abstention_thought_of_claims_nothing() -> None:
    outcome = CASE["outcome"] | {"kind": "ABSTENTION", "reason": "OUT_OF_DISTRIBUTION"}
    lines = render(CASE | {"outcome": outcome}).splitlines()
    place = lines.index("what the model thought of, not to be relied on:")
    assert lines[place + 1] == "    Condition 0  0.500  " + "█" * 15
    assert [line for line in lines if "prediction set" in line or "measured on" in line] == []


def test_no_urgency_is_called_none() -> None:
    guidance = CASE["guidance"] | {"urgency": None, "because": [], "next_step": "We could not tell."}
    assert "what to do (no urgency): We could not tell." in render(CASE | {"guidance": guidance}).splitlines()


def test_a_release_model_is_not_called_meaningless() -> None:
    outcome = CASE["outcome"] | {"model": {"name": "dermis", "version": 4, "purpose": "release"}}
    assert "model dermis version 4, purpose: release\n" in render(CASE | {"outcome": outcome})


def test_the_stages_are_named_with_their_times() -> None:
    assert stages(CASE) == "decode 12 ms  predict 46 ms"


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ({"outcome": {"kind": "DIFFERENTIAL"}}, 0),
        ({"outcome": {"kind": "ABSTENTION"}}, 3),
        ({"outcome": {"kind": "REJECTION"}}, 4),
        ({"outcome": None, "failure": {"reason": "R"}}, 5),
        ({}, 5),
    ],
)
def test_the_exit_code_says_the_outcome(case: dict[str, Any], code: int) -> None:
    assert exit_code(case) == code


def test_a_failed_case_says_why() -> None:
    case = CASE | {
        "status": "FAILED",
        "outcome": None,
        "failure": {"attempt": 2, "reason": "WORKER_LOST", "detail": "lost"},
    }
    assert "failed (attempt 2): WORKER_LOST: lost" in render(case)


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, "    "), (0.5, "██  "), (1, "████"), (0.28125, "█▏  "), (-1, "    "), (2, "████")]
)
def test_a_bar_is_filled_to_an_eighth_of_a_character(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn
