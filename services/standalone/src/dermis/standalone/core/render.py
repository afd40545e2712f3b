"""A case as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BAR_COLUMNS = 30
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MOST_CONDITIONS = 8


def bar(share: float, columns: int = _BAR_COLUMNS) -> str:
    """Return a bar of `columns` characters, filled by `share` in 0 to 1 to an eighth of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * columns * 8)
    part = _EIGHTHS[eighths % 8] if eighths % 8 else ""
    return ("█" * (eighths // 8) + part).ljust(columns)


def render(case: Mapping[str, Any]) -> str:
    """Return the lines that show a case as GET /v1/cases/{id} gives it."""
    return "\n".join(_lines(case))


def exit_code(case: Mapping[str, Any]) -> int:
    """Return 0 for a differential, 3 for an abstention, 4 for a rejection, 5 for anything that has no outcome."""
    return {"DIFFERENTIAL": 0, "ABSTENTION": 3, "REJECTION": 4}.get((case.get("outcome") or {}).get("kind", ""), 5)


def stages(case: Mapping[str, Any]) -> str:
    """Return the wall time of each stage of the work, in milliseconds."""
    return "  ".join(f"{stage['name']} {stage['ms']:.0f} ms" for stage in (case.get("outcome") or {}).get("stages", ()))


def _lines(case: Mapping[str, Any]) -> Iterator[str]:
    yield f"case {case['id']}: {case['status']}"
    for image in case["images"]:
        yield from _image(image)
    if failure := case.get("failure"):
        yield f"failed (attempt {failure['attempt']}): {failure['reason']}: {failure['detail']}"
    if outcome := case.get("outcome"):
        yield from _outcome(outcome)
    if guidance := case.get("guidance"):
        yield from _guidance(guidance)
    yield ""
    yield str(case.get("notice") or (case.get("outcome") or {}).get("notice", ""))


def _image(image: Mapping[str, Any]) -> Iterator[str]:
    quality = image.get("quality") or {}
    verdict = quality.get("verdict", "not assessed")
    reasons = f" ({', '.join(quality['reasons'])})" if quality.get("reasons") else ""
    yield f"photo {image['n']}  {image['width']} x {image['height']}  {verdict}{reasons}"
    for advice in quality.get("advice", ()):
        yield f"         {advice}"


def _outcome(outcome: Mapping[str, Any]) -> Iterator[str]:
    for flag in outcome["red_flags"]:
        yield f"! {flag['text']}"
    for notice in outcome.get("notices", ()):
        yield f"i {notice['text']}"
    yield ""
    yield outcome["kind"] + (f": {outcome['reason']}" if outcome.get("reason") else "")
    if answer := outcome.get("grouped_answer"):
        yield from _grouped(answer)
    ranked, answered = outcome["differential"], outcome["kind"] == "DIFFERENTIAL"
    if ranked and not answered:
        yield "what the model thought of, not to be relied on:"
    width = max((len(entry["name"]) for entry in ranked[:_MOST_CONDITIONS]), default=0)
    for entry in ranked[:_MOST_CONDITIONS]:
        mark = "*" if answered and entry["in_prediction_set"] else " "
        yield f"  {mark} {entry['name']:<{width}}  {entry['probability']:.3f}  {bar(entry['probability'])}".rstrip()
    if len(ranked) > _MOST_CONDITIONS:
        yield f"    and {len(ranked) - _MOST_CONDITIONS} more"
    if answered and outcome.get("coverage"):
        yield f"  * prediction set, made to hold the condition in {outcome['coverage']:.0%} of cases"
    if model := outcome.get("model"):
        meaning = "; its answers have no clinical meaning" if model["purpose"] == "demo" else ""
        yield f"model {model['name']} version {model['version']}, purpose: {model['purpose']}{meaning}"
    if answered and (measured := outcome.get("measured")):
        yield from _measured(measured)
    if shares := outcome.get("answer_shares"):
        yield from _shares(shares)


def _grouped(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"sure enough, made to hold the condition in {answer['coverage']:.0%} of cases:"
    for entry in answer["entries"]:
        several = f", {len(entry['conditions'])} conditions" if entry["level"] != "CONDITION" else ""
        yield f"  > {entry['name']}{several}  {entry['probability']:.3f}"
    yield ""


def _measured(measured: Mapping[str, Any]) -> Iterator[str]:
    n, group = measured["n"], measured["group"]
    whom = f"all {n} cases of its test" if group == "ALL" else f"{n} cases of the same Fitzpatrick group ({group})"
    yield f"measured on {whom}: " + ", ".join(
        f"the reference condition is {what} in {measured[name]:.0%}{_interval(measured[f'{name}_interval'])}; "
        f"the best constant list {measured[floor]:.0%}"
        for what, name, floor in (
            ("the first", "top_1", "floor_top_1"),
            ("among the first three", "top_3", "floor_top_3"),
        )
    )


def _interval(pair: Sequence[float] | None) -> str:
    return f" ({pair[0]:.0%} to {pair[1]:.0%})" if pair else " (too few for an interval)"


def _shares(shares: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    first = next(iter(shares[0]["shares"]))
    yield f"what the answers counted for {first}, in logits:"
    for share in sorted(shares, key=lambda share: -abs(share["shares"][first])):
        yield f"    {share['shares'][first]:+.2f}  {share['field']}: {', '.join(share['values'])}"


def _guidance(guidance: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    urgency = guidance["urgency"] or "no urgency"
    yield f"what to do ({urgency}): {guidance['next_step']}"
    for reason in guidance.get("because", ()):
        if reason["text"] != guidance["next_step"]:
            yield f"  because {reason['text']}"
    for condition in guidance["conditions"]:
        advice = condition["guidance"]
        yield f"  {condition['name']}: {advice['text']}"
        yield f"    on lighter skin: {advice['on_lighter_skin']}"
        yield f"    on darker skin: {advice['on_darker_skin']}"
    yield f"  clinical review of these texts: {guidance['clinical_review']}"
