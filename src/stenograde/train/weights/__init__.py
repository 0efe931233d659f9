"""Trained networks as files of a bundle: ONNX, safetensors, TOML."""
