"""What HL7's own JSON Schema of FHIR R4 says of a document."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator

_SCHEMA = Path(__file__).parent / "golden/fhir/fhir-r4.schema.json.xz"


@cache
def _definitions() -> dict[str, Any]:
    return json.loads(lzma.decompress(_SCHEMA.read_bytes()))["definitions"]


def fhir_errors(document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a bundle and with each of its resources, which are checked as what they say they are.

    (Against the whole schema, a resource that is wrong is told as one that is none of 146.)
    """
    return list(_errors(document))


def _errors(document: Mapping[str, Any]) -> Iterator[str]:
    alone = {**document, "entry": [{"fullUrl": entry["fullUrl"]} for entry in document["entry"]]}
    for resource in (alone, *(entry["resource"] for entry in document["entry"])):
        kind = resource["resourceType"]
        schema = {"$ref": f"#/definitions/{kind}", "definitions": _definitions()}
        for error in Draft6Validator(schema).iter_errors(resource):
            yield f"{kind}/{'/'.join(map(str, error.path))}: {error.message}"
