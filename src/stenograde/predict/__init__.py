"""From a study and a bundle to grades: NumPy and ONNX Runtime, no torch."""
