"""``stenograde env``: the versions that a bug report needs."""

from __future__ import annotations

_PACKAGES = (
    "stenograde", "numpy", "scipy", "scikit-image", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pyjpegls",
    "python-gdcm", "imagecodecs", "onnxruntime", "nibabel", "pillow", "rich", "typer", "jinja2", "torch",
    "safetensors", "onnx", "onnxscript",
)  # fmt: skip


def env() -> None:
    """Print versions of Python, the system and the packages, and the shipped bundle, for a bug report."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from stenograde.errors import StenogradeError

    rows = [
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("cores", str(os.cpu_count())),
    ]
    for package in _PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            rows.append((package, "not installed"))
    try:
        from stenograde.predict.bundle import default_bundle

        stamp = default_bundle().stamp
        rows.append(("bundle", f"{stamp.name} {stamp.version} {stamp.hash}"))
    except (StenogradeError, ImportError) as exc:
        rows.append(("bundle", f"cannot be loaded: {exc}"))
    for name, value in rows:
        print(f"{name:20}{value}")
