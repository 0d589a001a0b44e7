"""Sessions of ONNX Runtime: the device that a network runs on, and the checks of its file."""
