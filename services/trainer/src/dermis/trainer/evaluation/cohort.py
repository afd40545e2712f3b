"""The last steps of a cohort's flow: what is evaluated, of which photos, and what is answered."""

from collections import Counter

from dermis.data.cohort import STAYS, narrowed
from dermis.shared.evaluation import CohortDrop, CohortStep
from dermis.trainer.evaluation.predictions import Predictions
from dermis.trainer.metrics import Hits, Judged


def evaluated_steps(every: Predictions, labelled: Hits, judged: Judged) -> tuple[CohortStep, ...]:
    """Return two steps: the cases of `every` that are evaluated, `labelled` bool[N], and those that got an answer.

    A photo that was not shown to the model goes alone; its case stays.
    """
    listed = [len(fates) for fates in every.images or [()] * len(every)]
    visible = [fates.count("SHOWN") for fates in every.images or [()] * len(every)]
    unknown = [STAYS if here else "UNKNOWN_FIRST_CONDITION" for here in labelled]
    (evaluated,) = narrowed(listed, {"evaluated": unknown})
    reasons = iter(judged.reasons or [STAYS] * len(judged))
    (answered,) = narrowed([n for n, here in zip(visible, labelled, strict=True) if here], {"answered": list(reasons)})
    if every.images is None:
        return evaluated.model_copy(update={"images": None}), answered.model_copy(update={"images": None})
    fates = Counter(fate for case, here in zip(every.images, labelled, strict=True) if here for fate in case)
    lost = [CohortDrop(reason=fate, cases=0, images=n) for fate, n in fates.most_common() if fate != "SHOWN"]
    update = {"images": fates["SHOWN"], "dropped": (*evaluated.dropped, *lost)}
    return evaluated.model_copy(update=update), answered
