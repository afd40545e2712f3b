"""Tests that need TensorFlow are collected only where it is installed."""

from importlib.util import find_spec

collect_ignore = []
if not find_spec("tensorflow"):
    collect_ignore += [
        "test_backbones.py",
        "test_configs.py",
        "test_devices.py",
        "test_fit.py",
        "test_gate_trained.py",
        "test_model.py",
        "test_train.py",
    ]
if not find_spec("pandas"):  # the runtime environment
    collect_ignore += ["test_benchmark.py", "test_calibrate.py", "test_inputs.py", "test_measures.py", "test_nested.py", "test_outliers.py"]
    collect_ignore += ["test_evaluate.py", "test_evaluate_command.py", "test_evaluate_real.py", "test_learned.py", "test_studies.py"]
