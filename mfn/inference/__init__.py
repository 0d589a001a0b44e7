"""From an image to `Faces`: letterbox, ONNX session, decoding, NMS and drawing."""
