"""Parts of the body that a header names, in the languages that scanners speak; only the fact is kept, never the text.

Words are compared without accents, case and punctuation: ``RACHIS_LOMBAIRE`` and ``rachis lombaire`` are one. They
are the usual ones of protocols in English, German, French, Spanish, Italian, Portuguese, Dutch, the Scandinavian
languages, Finnish, Polish, Czech, Hungarian, Romanian, Turkish, Russian, Greek, Chinese, Japanese and Korean, and the
defined terms of BodyPartExamined (PS3.16 annex L).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from stenograde.dicom.read.instances import Instance
from stenograde.terms import BodyPart

_OF_SERIES: Final = ("BodyPartExamined", "SeriesDescription", "ProtocolName")
_OF_STUDY: Final = ("StudyDescription", "RequestedProcedureDescription", "PerformedProcedureStepDescription")

_SPINE: Final = (
    r"(?:spine|wirbels\w*|[ck]olumna|coluna|colonna|colonne|rachis|r[yu]gg\w*|pater\w*|kregosl\w*|gerinc\w*|omurga\w*"
    r"|wervelk\w*|kraljez\w*|hrbten\w*)"
)


def _lettered(letters: str) -> str:
    """Return a pattern of a spine named by letters, before it (``L-spine``) or behind it (``kregoslup L-S``)."""
    return rf"\b(?:{letters}) ?(?:{_SPINE}|spn?|ws|wk)\b|\b{_SPINE} (?:odc\w* )?(?:{letters})\b"


_PATTERNS: Final = {
    BodyPart.LUMBAR_SPINE: _lettered("l|ls|tl|dl|ctl|l s|t l|th l|c t l")
    + (
        r"|\blow(?:er)? back\b|\bkorsryg\w*|\blaendehv\w*|\blumb\w*|\w+lumb(?:al|ar)\w*|\blomb(?:a[il]|ar|er|o)\w*"
        r"|\w+lomb(?:a[il]|ar|er)\w*|\blen?denw\w*|\blendew\w*|\blw[kz]\b|\blss\b|\blandrygg\w*|\blanderygg\w*"
        r"|\blanneranka\w*|\blannerangan\w*|\bledzwi\w*|\bbedern\w*|\bdriekov\w*|\bagyeki\w*|\bledven\w*|\bslabinsk\w*"
        r"|\bjostas\b|\bjuosmen\w*|\bnimme\w*|\bl1 ?(?:to)? ?(?:l5|s1)\b|поясн|οσφυ|腰|요추"
    ),
    BodyPart.CERVICAL_SPINE: _lettered("c|ct|c t|ctl|c t l")
    + (
        r"|\w*cervi[ck]al\w*|\bcervi[ck](?:o|ale|aux|ais|aal)\w*|\bserv[iı]kal\w*"
        r"|\bhw[sk]\b|\bcwz\b|\bhalsw\w*|\bhalsrygg\w*|\bhalskot\w*|\bnakke\w*|\bnekw\w*|\bkaularan\w*"
        r"|\bszyjn\w*|\bkrcn\w*|\bnyaki\w*|\bvratn\w*|\bc2 ?(?:to)? ?(?:c7|t1)\b|шеин|αυχεν|頸|頚|颈|경추"
    ),
    BodyPart.THORACIC_SPINE: _lettered("t|th|d|ct|tl|dl|ctl|t l|th l|c t|c t l")
    + (
        r"|\w*thora[ck](?:al|ic|ique|o)\w*"
        r"|\w*tora[ck](?:al|ic|o)\w*|\bdorsa\w*|\bdorso ?l[uo]mb\w*|\bbw[sk]\b|\bbrustw\w*"
        r"|\bbr[oy]strygg\w*|\brintaran\w*|\bpiersiow\w*|\bhrudn\w*|\bhati\b|\bprsn\w*|грудн|θωρακ|胸椎|흉추"
    ),
    BodyPart.WHOLE_SPINE: (
        r"\b(?:whole|total|full|entire|complete|pan|holo) ?(?:spine|spinal|column)\w*"
        r"|\b(?:spine|rachis|column[ae]?|colonna\w*|coluna|kolumna)\b.{0,22}\b(?:whole|complet\w*|total\w*|full|entier"
        r"|in toto|intera|entera|inteira)\b|\bganz\w* ?(?:ws|wirbels)\w*|\bgesamt\w* ?(?:ws|wirbels)\w*|\bgws\b"
        r"|\bwirbels\w* (?:ganz|gesamt|komplett)\w*|\bhel\w*rygg\w*|\btotal ?(?:rygg|kolumn|column)\w*"
        r"|\bcaly kregosl\w*"
        r"|\bneur(?:o|al)? ?ax\w*|\bspine survey\b|\bmyelon\b|全脊"
    ),
    BodyPart.SACRUM: (
        r"\bs ?spine\b(?<!l s spine)|\bsacr(?:um|ale|o)\b|\bkreuzbein\w*|\bcoccy\w*|\bsteissb\w*|\bcoccix\b"
        r"|仙骨|骶"
    ),
    BodyPart.HEAD: (
        r"\b(?:head|caput|crane|brain\w*|skull|kopf|hirn\w*|gehirn\w*|tete|cerveau|testa|cabe[cz]a\w*|glow[aey]|hoofd"
        r"|huvud|hov?ed\w*|koponya|beyin|kranium|sella|orbit\w*|pituitar\w*|hypophys\w*|ipofisi|iac|tmj|kiefergelenk\w*"
        r"|pontocereb\w*)\b|\b(?:crani|craneo|schadel|schaedel|neurocran|cerebr|encephal|encefal|mozg|mozek|hjern|hjarn"
        r"|hersen|aivo)\w*|головн|εγκεφαλ|頭|头|頭部|脳|脑|뇌|두부"
    ),
    BodyPart.NECK: r"\b(?:neck|hals|cou|cuello|collo|pescoco|szyja|szyi|larynx|larynge\w*|nasopharyn\w*|carotid\w*)\b",
    BodyPart.TRUNK: (
        r"\b(?:abdom|liver|leber|foie|higado|fegato|mrcp|kidney|niere|renal|pancrea|pankrea|enterogra|thorax"
        r"|torax|chest|heart|cardiac|herz|coeur|cuore|breast|mamm[ao]|brust\b|seno\b|brzuch|bauch|aorta|watroba)\w*"
        r"|腹部|胸部"
    ),
    BodyPart.PELVIS: (
        r"\b(?:pelvi|becken|bassin|bacino|bekken|backen|baekken|miednic|panev|panve|medence|prostat|uterus|rectum"
        r"|rektum|retto|cervix|iliosa[ck]r|sacroili|sakroili|huft|hueft|hanche|cadera|quadril|biodr|kycel)\w*"
        r"|\b(?:hips?|anca|isg|si joints?|hofte|hoft)\b|骨盆|骨盤|таза|股関節"
    ),
    BodyPart.KNEE: (
        r"\b(?:knee|knie|genou|rodilla|ginocchi|joelho|kolan|kolen|knaled)\w*|\b(?:kna|polvi|diz)\b|колен|膝|무릎"
    ),
    BodyPart.LIMB: (
        r"\b(?:shoulder|schulter|epaule|hombro|spalla|ombro|schouder|skulder|elbow|ellenb|coude|codo|gomito|wrist"
        r"|handgel|poignet|muneca|polso|ankle|sprunggel|cheville|tobillo|caviglia|enkel|foot|fuss\b|pied\b|piede|voet"
        r"|thigh|obersch|untersch|cuisse|muslo|coscia|femur|tibia|calf|forearm|humer|extremit)\w*"
        r"|\b(?:hand|mano)\b|肩|足関節"
    ),
}
_WORDS: Final = {part: re.compile(pattern) for part, pattern in _PATTERNS.items()}

_NO_DECOMPOSITION: Final = str.maketrans(
    {"ł": "l", "ø": "o", "æ": "ae", "ß": "ss", "đ": "d", "ı": "i", "œ": "oe"}
)


def body_parts(texts: Iterable[str]) -> tuple[BodyPart, ...]:
    """Return the parts of the body that any of some texts names, in the order of :class:`BodyPart`.

    Examples
    --------
    >>> [str(part) for part in body_parts(["LWS sagittal"])]
    ['lumbar spine']
    >>> [str(part) for part in body_parts(["Rachis cervical et dorsal"])]
    ['cervical spine', 'thoracic spine']
    >>> body_parts(["T2 TSE SAG", "SPINE"])
    ()
    """
    plain = [_plain(text) for text in texts]
    return tuple(part for part, word in _WORDS.items() if any(word.search(text) for text in plain))


def parts_of_series(instance: Instance) -> tuple[BodyPart, ...]:
    """Return the parts that the header of a series itself names."""
    return body_parts(map(instance.text, _OF_SERIES))


def parts_of_study(instances: Iterable[Instance]) -> tuple[BodyPart, ...]:
    """Return the parts that the descriptions of a study and its procedures name."""
    return body_parts({text for one in instances for text in map(one.text, _OF_STUDY) if text})


def _plain(text: str) -> str:
    """Lower case, accents removed, anything but letters and digits a space."""
    bare = unicodedata.normalize("NFKD", text.lower().translate(_NO_DECOMPOSITION))
    bare = "".join(sign for sign in bare if not unicodedata.combining(sign))
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", bare)).strip()
