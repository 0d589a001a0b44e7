"""From a trained network to the ONNX files that ship."""
