"""What the page of an evaluation calls each figure and kind of slice."""

MEASURES = {
    "top_1": "Top-1",
    "top_3": "Top-3",
    "top_5": "Top-5",
    "top_1_soft": "Top-1, soft",
    "top_3_soft": "Top-3, soft",
    "top_5_soft": "Top-5, soft",
    "balanced_accuracy": "Mean sensitivity (balanced accuracy)",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "macro_auroc": "Macro AUROC",
    "mean_average_precision": "Mean average precision",
    "brier": "Brier score",
    "brier_soft": "Brier score, soft",
    "expected_calibration_error": "Calibration error",
    "expected_calibration_error_soft": "Calibration error, soft",
    "set_coverage": "Coverage of the prediction sets",
    "set_coverage_soft": "Coverage of the prediction sets, soft",
    "set_size": "Size of the prediction sets",
    "aurc": "Area under risk and coverage",
    "risk_at_50_percent": "Risk, half answered",
    "risk_at_80_percent": "Risk, 80 % answered",
    "abstained": "Abstained",
    "answered": "Answered",
    "out_of_distribution": "Out of distribution",
    "top_1_answered": "Top-1 of those answered",
    "top_3_answered": "Top-3 of those answered",
}
IN_SLICES = (
    *(
        "top_3",
        "top_1_soft",
        "top_3_soft",
        "balanced_accuracy",
        "macro_auroc",
        "brier_soft",
        "expected_calibration_error",
    ),
    *("set_coverage_soft", "set_size", "aurc", "abstained", "out_of_distribution"),
)
SLICES = {
    "monk_bin": "Monk skin tone",
    "monk_skin_tone": "Monk skin tone, each",
    "fitzpatrick_group": "Fitzpatrick skin type, self-reported, grouped",
    "fitzpatrick_self": "Fitzpatrick skin type, self-reported",
    "fitzpatrick_estimated_group": "Fitzpatrick skin type, estimated, grouped",
    "fitzpatrick_estimated": "Fitzpatrick skin type, estimated",
    "age_group": "Age",
    "sex_at_birth": "Sex at birth",
    "race_ethnicity": "Race and ethnicity (audit only: no model reads it)",
    "source": "Data set",
    "images": "Images per case",
    "answers": "Answers",
    "quality_verdict": "Image quality, best verdict",
    "condition": "Condition",
}
MALIGNANT = (
    "Estimate: of a hundred such cases those that are answered by a set without any malignant condition; in the set "
    "and benign first: shares of the cases."
)
