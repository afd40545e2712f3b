"""Tests that need TensorFlow are collected only where it is installed."""

from importlib.util import find_spec

collect_ignore = []
if not find_spec("tensorflow"):
    collect_ignore += [
        "model/test_backbones.py",
        "test_configs.py",
        "training/test_devices.py",
        "training/test_loop.py",
        "registry/test_gate_trained.py",
        "model/test_head.py",
        "training/test_train.py",
    ]
if not find_spec("pandas"):  # the runtime environment
    collect_ignore += [
        "benchmarks/test_scin.py",
        "calibration/test_calibrate.py",
        "model/test_inputs.py",
        "test_metrics.py",
        "benchmarks/test_cross_validation.py",
        "calibration/test_outliers.py",
    ]
    collect_ignore += [
        "evaluation/test_report.py",
        "evaluation/test_run.py",
        "evaluation/test_report_real.py",
        "evaluation/test_seen_in_training.py",
        "evaluation/test_robustness.py",
    ]
