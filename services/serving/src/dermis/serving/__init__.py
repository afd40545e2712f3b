"""The serving twin: TensorFlow Serving's gRPC face over the same SavedModel, run by OpenVINO."""
