"""Networks: tensors in, tensors out; no files, and no configuration beyond their own dataclasses."""
