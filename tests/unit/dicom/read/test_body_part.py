"""Parts of the body are read from headers in the languages that scanners speak; the words themselves are not kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dicom_files import T2, write_series

from stenograde.dicom.read.body_part import body_parts
from stenograde.dicom.read.studies import read_study
from stenograde.terms import BodyPart, Role

WORDS = {
    BodyPart.LUMBAR_SPINE: """LWS|LSPINE|L SPINE|L-Spine|LSSPINE|LUMBAR SPINE|Lumbosacral spine|RACHIS LOMBAIRE|
        rachis lombo-sacré|Columna lumbar|COLONNA LOMBARE|coluna lombar|coloana lombara|Kręgosłup lędźwiowy|
        kręgosłup L-S|
        Kręgosłup odc. L/S|Lumbalrygg|LÄNDRYGG|lændehvirvelsøjle|korsrygg|LENDEWERVEL|lumbale wervelkolom|
        Lendenwirbelsäule|l-wirbelsaeule|MRT LWS nativ|LWK|bederní páteř|L páteř|ágyéki gerinc|lanneranka|Lomber MR|
        Поясничный отдел|οσφυϊκή μοίρα|腰椎|요추|sag_lspine_t2|SPINE^LUMBAR|L1-S1|low back pain|MRI Lsp""",
    BodyPart.CERVICAL_SPINE: """HWS|CSPINE|C SPINE|C-Spine|CERVICAL SPINE|rachis cervical|Columna cervical|
        colonna cervicale|
        coluna cervical|kręgosłup szyjny|kręgosłup C|Halsrygg|Halswirbelsäule|nekwervel|halswervelkolom|HWK|CWK|
        krční páteř|
        C páteř|nyaki gerinc|kaularanka|Servikal MR|шейный отдел|頚椎|颈椎|경추|Nakke|SPINE^CERVICAL|c-wirbelsaeule""",
    BodyPart.THORACIC_SPINE: """BWS|TSPINE|T-Spine|D-Spine|Th-Spine|THORACIC SPINE|rachis dorsal|columna dorsal|
        colonna dorsale|coluna torácica|Brustwirbelsäule|bröstrygg|kręgosłup piersiowy|hrudní páteř|Th páteř|
        грудной отдел|
        胸椎|Torakal MR|thorakale wervelkolom|BWK|háti gerinc|rintaranka""",
    BodyPart.WHOLE_SPINE: """whole spine|WHOLESPINE|TOTAL SPINE|full spine|Ganzwirbelsäule|gesamte Wirbelsäule|GWS|
        rachis entier|colonna in toto|columna completa|Helrygg|Neuroaxis|全脊柱""",
    BodyPart.HEAD: """HEAD|BRAIN|Kopf|Schädel|crâne|cerveau|encéphale|cabeza|encefalo|głowa|Hjärna|hjerne|Hersenen|
        головной мозг|頭部|IRM CEREBRALE|Cranio|Caput""",
    BodyPart.NECK: "NECK|Hals|cou|cuello|collo|szyja|Larynx",
    BodyPart.TRUNK: "ABDOMEN|Leber|foie|thorax|chest|mamma|brzuch|MRCP",
    BodyPart.PELVIS: "PELVIS|Becken|bassin|pelvis femenina|HIP|Hüfte|hanche|cadera|Prostata|miednica|ISG",
    BodyPart.KNEE: "KNEE|Knie links|genou|rodilla|ginocchio|joelho|kolano|koleno|KNÄ|колено|膝関節",
    BodyPart.LIMB: "SHOULDER|Schulter|épaule|hombro|spalla|ankle|Sprunggelenk|foot|wrist|Handgelenk",
}


@pytest.mark.parametrize(
    ("part", "word"), [(part, word.strip()) for part, words in WORDS.items() for word in words.split("|")]
)
def test_a_part_is_known_in_many_languages(part: BodyPart, word: str) -> None:
    assert body_parts([word]) == (part,)
    assert body_parts([f"MR {word.upper()}"]) == (part,)
    assert body_parts([word.lower().replace(" ", "_")]) == (part,)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "t2_tse_sag",
            "SAG T1 FS",
            "STIR SAG",
            "SPINE",
            "Wirbelsäule",
            "AX T2 BLOCK",
            "T2 SAG FRFSE",
            "Standard",
        ),
        *(
            "t2 tse sag l",
            "spine sag T1",
            "SPINE T2",
            "C+ T1 sag",
            "t1_tse_sag_c",
            "ws sag t2",
            "localizer",
            "pd_tse_fs",
        ),
        *("*tse2d1_17", "T2W_TSE", "", "routine", "COR STIR", "sag t2_tse_dixon_W"),
    ],
)
def test_words_of_contrast_and_plane_name_no_part(text: str) -> None:
    assert body_parts([text]) == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("BWS/LWS", (BodyPart.LUMBAR_SPINE, BodyPart.THORACIC_SPINE)),
        ("TLSPINE", (BodyPart.LUMBAR_SPINE, BodyPart.THORACIC_SPINE)),
        ("dorsolombaire", (BodyPart.LUMBAR_SPINE, BodyPart.THORACIC_SPINE)),
        ("CTSPINE", (BodyPart.CERVICAL_SPINE, BodyPart.THORACIC_SPINE)),
        ("rachis cervico-dorsal", (BodyPart.CERVICAL_SPINE, BodyPart.THORACIC_SPINE)),
    ],
)
def test_a_text_may_name_several(text: str, parts: tuple[BodyPart, ...]) -> None:
    assert body_parts([text]) == parts


@pytest.mark.parametrize(
    ("keyword", "on_series"),
    [
        *((keyword, True) for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName")),
        *((keyword, False) for keyword in ("StudyDescription", "RequestedProcedureDescription")),
        ("PerformedProcedureStepDescription", False),
    ],
)
def test_a_study_keeps_the_part_and_not_the_words(tmp_path: Path, keyword: str, on_series: bool) -> None:
    write_series(tmp_path, n=5, **T2, **{keyword: "HWS ZQDOE"})

    study = read_study(tmp_path)
    series = study.by_role(Role.SAGITTAL_T2_STIR)

    assert series is not None
    assert series.body_parts == ((BodyPart.CERVICAL_SPINE,) if on_series else ())
    assert study.body_parts == (() if on_series else (BodyPart.CERVICAL_SPINE,))
    assert "ZQDOE" not in repr(study.body_parts) + repr(series.body_parts) + series.why


@pytest.mark.parametrize(
    ("character_set", "encoding", "word"),
    [
        ("ISO_IR 101", "iso8859_2", "kręgosłup lędźwiowy"),
        ("ISO_IR 144", "iso8859_5", "поясничный отдел"),
        ("ISO_IR 126", "iso8859_7", "οσφυϊκή"),
        ("ISO_IR 192", "utf-8", "腰椎"),
        ("GB18030", "gb18030", "腰椎"),
        ("\\ISO 2022 IR 87", "iso2022_jp", "腰椎"),
        ("\\ISO 2022 IR 149", "euc_kr", "요추"),
    ],
)
def test_words_are_read_in_the_character_set_of_the_file(
    tmp_path: Path, character_set: str, encoding: str, word: str
) -> None:
    write_series(tmp_path, n=5, SpecificCharacterSet="ISO_IR 6", StudyDescription="x" * 60, **T2)
    value = word.encode(encoding).ljust(60)
    assert len(value) == 60
    for path in tmp_path.iterdir():
        text = path.read_bytes().replace(b"x" * 60, value)
        path.write_bytes(_with_character_set(text, character_set.encode()))

    assert read_study(tmp_path).body_parts == (BodyPart.LUMBAR_SPINE,)


def _with_character_set(data: bytes, character_set: bytes) -> bytes:
    """Replace the character set in explicit little endian."""
    padded = character_set + b" " * (len(character_set) % 2)
    start = data.index(b"\x08\x00\x05\x00CS")
    length = int.from_bytes(data[start + 6 : start + 8], "little")
    return data[: start + 6] + len(padded).to_bytes(2, "little") + padded + data[start + 8 + length :]


def test_a_series_of_the_lumbar_spine_comes_before_a_wider_one_of_the_neck(tmp_path: Path) -> None:
    write_series(tmp_path / "a", series=1, n=5, ProtocolName="LWS sag", **T2)
    write_series(tmp_path / "b", series=2, n=9, ProtocolName="HWS sag", **T2)

    chosen = read_study(tmp_path).by_role(Role.SAGITTAL_T2_STIR)

    assert chosen is not None
    assert chosen.uid.endswith(".1")
