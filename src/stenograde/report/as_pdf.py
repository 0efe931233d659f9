"""StudyGrades as a PDF, for archives and paper: what the page says, in its words, on sheets of A4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from importlib import metadata

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer, Table

from stenograde.grades import CellGrade, Measurement, Status, StudyGrades
from stenograde.report import disc_words, notes, words
from stenograde.report.level_cards import LevelCard, level_cards
from stenograde.report.pdf_parts import (
    ALARM,
    NOTICE,
    SOFT,
    TONES,
    WIDTH,
    boxed,
    document,
    heading,
    note,
    plain,
    shown,
    style,
    table,
    text,
    widths_for,
)
from stenograde.report.pictures import Picture
from stenograde.report.ranges import SOURCES, is_outside, normal_range
from stenograde.report.rasters import raster_of
from stenograde.report.spine import spine_of
from stenograde.report.tables import SidedRow, by_reason, condition_rows, measured_rows
from stenograde.study import Examination, Study
from stenograde.terms import Condition, Severity

_PIXELS_PER_MM = 9.0
_SPINE_PIXELS_PER_MM = 5.0
_SPINE_HEIGHT_MM = 125.0
_CARD_PICTURE_MM, _FORAMEN_PICTURE_MM, _GAP_MM = 50.0, 35.0, 2.5
"""Two of each fit side by side."""
_MOST_LISTED = 12
"""So many items that were left out for one reason are listed; of more, their number is told."""


def as_pdf(grades: StudyGrades, study: Study, *, made_on: date | None = None) -> bytes:
    """Return the report of one study as a PDF; the same grades and day give the same bytes.

    Parameters
    ----------
    grades : StudyGrades
    study : Study
        The one that was graded, for its pictures; date, age and sex are told where its examination has them.
    made_on : date, optional
        The day of grading.

    Returns
    -------
    pdf : bytes
        A4, with fonts and pictures embedded; neither name nor number of the patient is in it.
    """
    title = title_of(grades)
    story = [
        *_head(title, grades, study.examination, made_on),
        *_overview(grades),
        *_spine(grades, study),
        *_discs(grades),
        *_measured(grades),
        *_cards(grades, study),
        *_drafts(grades),
        *_worth_knowing(grades),
        *_evidence(grades),
        *_series(grades),
        *_made(grades),
    ]
    foot = f"{notes.RESEARCH} Study {grades.study_uid}. stenograde {metadata.version('stenograde')}, {_bundle(grades)}."
    return document(story, title=title, foot=foot)


def title_of(grades: StudyGrades) -> str:
    """Return what the report is, as a phrase; nothing of the patient."""
    return f"{grades.scheme.region.value.capitalize()} spine: stenosis grades"


def _bundle(grades: StudyGrades) -> str:
    return f"bundle {grades.bundle.name} {grades.bundle.version} ({grades.bundle.hash[:12]})"


def _head(
    title: str, grades: StudyGrades, examination: Examination, made_on: date | None
) -> Iterator[Flowable]:
    """Give what a reader must see first: what was found, what is in doubt, and of which examination it is."""
    yield text(title, 15, bold=True, spaceAfter=4)
    yield boxed(notes.RESEARCH, notes.TO_BE_CHECKED, NOTICE)
    yield text(words.findings(grades) or notes.NOTHING_GRADED, 11, spaceBefore=4, spaceAfter=3)
    if doubt := words.level_doubt(grades):
        yield boxed(notes.UNCERTAIN_LEVELS, doubt, ALARM)
    if grades.caution:
        yield boxed(notes.DO_NOT_RELY, words.sentence(grades.caution), ALARM)
    if told := " ".join(filter(None, (words.level_count(grades), words.gaps(grades)))):
        yield text(told, 8.5, colour=SOFT, spaceAfter=3)
    day = examination.day.isoformat() if examination.day else ""
    field = f"{examination.field_t:.3g} T" if examination.field_t else ""
    on = f"{made_on.isoformat()} by " if made_on else ""
    for name, value in (
        ("Examination", ", ".join(filter(None, (day, examination.age, examination.sex)))),
        ("Scanner", ", ".join(filter(None, (examination.scanner, field)))),
        ("Graded", f"{on}{_bundle(grades)}"),
        ("Study", grades.study_uid),
    ):
        if value:
            yield _named(name, value)


def _named(name: str, value: str, size: float = 8) -> Paragraph:
    return Paragraph(f'<font color="#4c5957">{plain(name)}:</font> {plain(value)}', style(size))


def _overview(grades: StudyGrades) -> Iterator[Flowable]:
    """Each cell of the conditions that are no drafts."""
    drafted = words.drafted_conditions(grades)
    cells = [grade for grade in grades.cells if grade.cell.condition not in drafted]
    if cells:
        yield heading("Grades")
        yield from _grid(grades, cells, drafts=False)
        yield note(f"{_SHARES} {notes.PROBABILITIES} {notes.SIDES}")
    for grade in cells:
        if grade.severity and grade.second_opinion and grade.second_opinion.disagrees:
            place = words.place_of(grade.cell).lower()
            yield note(f"{grade.cell.level.shown}, {place}: {words.second_opinion(grade)}")


_SHARES = f"In small print: {', '.join(one.shown for one in Severity)}."


def _grid(grades: StudyGrades, cells: Sequence[CellGrade], *, drafts: bool) -> Iterator[Flowable]:
    """Conditions by sides and levels, and the reasons why cells have no grade."""
    rows, footnotes = condition_rows(cells, {})
    levels = grades.scheme.levels
    first = 42 * mm
    widths = [first, *[(WIDTH - first) / len(levels)] * len(levels)]
    body: list[list[str | Flowable]] = []
    spans: list[tuple[int, int, int]] = []
    for condition, sides in rows.items():
        for row in sides:
            spans += _spans_of(row, len(body))
            body.append([_row_name(condition, row), *_row_cells(row, drafts=drafts)])
    doubtful = {position.level for position in grades.levels if not position.certain}
    names = [f"{level.shown} ?" if level in doubtful else level.shown for level in levels]
    yield table(["", *names], body, widths, spans)
    for number, reason in enumerate(footnotes, start=1):
        yield note(f"{number} {words.sentence(reason)}")


def _row_name(condition: Condition, row: SidedRow) -> str:
    return f"{condition.shown}, {row.side.value}" if row.side else condition.shown


def _spans_of(row: SidedRow, number: int) -> Iterator[tuple[int, int, int]]:
    column = 1
    for span in row.spans:
        if span.n_cells > 1:
            yield number, column, column + span.n_cells - 1
        column += span.n_cells


def _row_cells(row: SidedRow, *, drafts: bool) -> Iterator[str | Flowable]:
    for span in row.spans:
        yield _said(span.grade, str(span.note or ""), drafts=drafts)
        yield from [""] * (span.n_cells - 1)


def _said(grade: CellGrade, mark: str = "", *, drafts: bool) -> Paragraph:
    """Return what is said of a cell: wording, probability, and the three probabilities below."""
    told = grade.severity or (drafts and grade.status is Status.DRAFT)
    raised = f'<super size="5.5">{mark}</super>' if mark else ""
    if not told or grade.probabilities is None:
        name = grade.status.value.replace("_", " ")
        return Paragraph(f'<font color="#4c5957">{name}</font>{raised}', style(8))
    said = grade.probabilities.said
    tone = TONES[said[-1].value] if len(said) < len(Severity) else "#4c5957"
    share = words.said_share(grade.probabilities)
    shares = " / ".join(words.percent(one) for one in grade.probabilities)
    return Paragraph(
        f'<font color="{tone}"><b>{words.said_as(grade.probabilities)}</b></font> {plain(share)}{raised}'
        f'<br/><font size="6.5" color="#4c5957">{plain(shares)}</font>',
        style(8),
    )


def _spine(grades: StudyGrades, study: Study) -> Iterator[Flowable]:
    spine = spine_of(grades, study)
    told = [note(spine.note)] if spine.note else []
    if spine.picture is None:
        yield from ([heading("The spine at a glance"), *told] if told else [])
        return
    picture = spine.picture
    raster = raster_of(picture, _SPINE_PIXELS_PER_MM, 0.034 * picture.height_mm)
    width = min(WIDTH, _SPINE_HEIGHT_MM * mm * picture.width_mm / picture.height_mm)
    yield KeepTogether(
        [heading("The spine at a glance"), shown(raster, width), note(f"{picture.caption}."), *told]
    )


def _discs(grades: StudyGrades) -> Iterator[Flowable]:
    if not grades.discs:
        return
    asked = list(dict.fromkeys(finding for disc in grades.discs for finding in disc.probabilities))
    has_grade = any(disc.pfirrmann for disc in grades.discs)
    head = ["Level", *(finding.shown for finding in asked), *(["Pfirrmann grade"] if has_grade else [])]
    rows: list[list[str | Flowable]] = []
    spans = []
    for disc in grades.discs:
        if disc.status is Status.GRADED:
            found = [disc.probabilities.get(one) for one in asked]
            said = ["" if p is None else f"{disc_words.said_of(p)} {disc_words.said_share(p)}" for p in found]
            rows.append([disc.level.shown, *said, *([disc_words.pfirrmann_said(disc)] if has_grade else [])])
        else:
            spans.append((len(rows), 1, len(head) - 1))
            rows.append([disc.level.shown, disc.status.value.replace("_", " "), *[""] * (len(head) - 2)])
    table_ = table(head, rows, widths_for(head, 14 * mm), spans)
    yield KeepTogether([heading("Findings of the discs"), table_])
    yield note(f"Learnt from patients: {grades.disc_source}. {notes.DISCS}")
    yield from map(note, disc_words.unanswered(grades))
    if grades.disc_scores:
        yield note(f"{_disc_scores(grades)} On {grades.disc_scores[0].patients} {notes.DISC_SCORES}")


def _disc_scores(grades: StudyGrades) -> str:
    told = [
        f"{disc_words.finding_named(one.finding)} {one.measure} {one.score:.3f} ({one.low:.3f} to {one.high:.3f}; "
        f"level alone {one.level_share:.3f})"
        for one in grades.disc_scores
    ]
    return words.sentence(
        f"how well these findings were answered on patients, with 95 % intervals: {'; '.join(told)}"
    )


def _measured(grades: StudyGrades) -> Iterator[Flowable]:
    rows = measured_rows(grades)
    if not rows:
        return
    levels = grades.scheme.levels
    body: list[list[str | Flowable]] = []
    for row in rows:
        values: list[str | Flowable] = []
        for value, normal, is_out in zip(row.values, row.normal, row.outside, strict=True):
            own = (
                ""
                if row.one_normal or not normal
                else f'<br/><font size="6.5" color="#4c5957">{normal}</font>'
            )
            shown_value = f"<b>{plain(f'{value} *')}</b>" if is_out else value or "–"
            values.append(Paragraph(shown_value + own, style(8)))
        unit = f", {row.quantity.unit.shown}" if row.quantity.unit.shown else ""
        normal = row.one_normal or ("by level" if any(row.normal) else "–")
        body.append([f"{row.quantity.shown}{unit}", *values, normal])
    first, last = 48 * mm, 20 * mm
    widths = [first, *[(WIDTH - first - last) / len(levels)] * len(levels), last]
    head = ["Measurement", *(level.shown for level in levels), "Normal"]
    yield KeepTogether([heading("Measurements"), table(head, body, widths)])
    sources = [f"{row.quantity.shown}: {SOURCES[row.quantity]}." for row in rows if row.quantity in SOURCES]
    yield note(f"{notes.RANGES} * {_OUTSIDE} {' '.join(sources)}")


_OUTSIDE = "outside the range."


def _cards(grades: StudyGrades, study: Study) -> Iterator[Flowable]:
    cards = level_cards(grades, study)
    measured = notes.MEASURED_LINES if any(card.measurements for card in cards) else ""
    before: list[Flowable] = [heading("Level by level"), note(f"{notes.LETTERS}{measured}.")]
    for card in cards:
        yield KeepTogether([*before, *_card(card)])
        before = []


def _card(card: LevelCard) -> Iterator[Flowable]:
    yield text(card.level.shown, 10, bold=True, spaceBefore=6, spaceAfter=1)
    if card.position and not card.position.certain:
        yield text(notes.UNCERTAIN_LEVEL, 8.5, bold=True)
    for grade in (card.grade, *card.sided):
        if grade and grade not in card.drafts:
            yield text(f"{words.place_of(grade.cell)}: {_line(grade)}", 8.5)
    if card.measurements:
        yield text("; ".join(map(_measurement, card.measurements)), 7.5, colour=SOFT)
    if card.position and not card.position.imaged:
        yield note(notes.OUTSIDE_FIELD)
    pictures = [(one, f"{one.caption}.", _CARD_PICTURE_MM) for one in card.pictures]
    pictures += [
        (one, f"{words.place_of(grade.cell)}. {one.caption}.", _FORAMEN_PICTURE_MM)
        for grade, one in card.foramina
        if grade in card.sided
    ]
    if pictures:
        yield Spacer(0, 2)
        yield _row_of(pictures)
    yield from map(note, card.missing)


def _line(grade: CellGrade) -> str:
    """Return what is said of a cell on one line, with what should be known of it."""
    said = words.wording(grade) or grade.status.value.replace("_", " ")
    share = words.said_share(grade.probabilities) if grade.severity and grade.probabilities else ""
    reason = words.sentence(grade.reason) if grade.reason else words.second_opinion(grade)
    return " ".join(filter(None, (f"{said}{f' ({share})' if share else ''}.", reason)))


def _measurement(item: Measurement) -> str:
    normal = normal_range(item.quantity, item.level)
    told = f"{item.quantity.shown} {words.value_of(item)} {item.quantity.unit.shown}".rstrip()
    return f"{told}{f' ({normal.shown})' if normal else ''}{' *' if is_outside(item) else ''}"


def _row_of(pictures: Sequence[tuple[Picture, str, float]]) -> Table:
    """Return pictures side by side, each above its caption."""
    cells = []
    for picture, caption, width_mm in pictures:
        raster = raster_of(picture, _PIXELS_PER_MM, 2.7 * picture.width_mm / 60)
        cells.append([shown(raster, width_mm * mm), note(caption)])
    row = Table([cells], colWidths=[(width_mm + _GAP_MM) * mm for *_, width_mm in pictures], hAlign="LEFT")
    row.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
    return row


def _drafts(grades: StudyGrades) -> Iterator[Flowable]:
    drafted = words.drafted_conditions(grades)
    cells = [grade for grade in grades.cells if grade.cell.condition in drafted]
    if cells:
        yield heading("Drafts, not to be relied on")
        yield boxed("", notes.DRAFTS, NOTICE)
        yield from _grid(grades, cells, drafts=True)


def _worth_knowing(grades: StudyGrades) -> Iterator[Flowable]:
    others = [warning for warning in grades.warnings if warning != grades.caution]
    if others:
        yield heading("Worth knowing")
        yield from (text(f"– {words.sentence(warning)}", 8) for warning in others)


def _evidence(grades: StudyGrades) -> Iterator[Flowable]:
    if not grades.evidence:
        return
    head = ["Condition", "Rests on", "Patients", "Cells", "Log loss", "Level alone", "Status"]
    rows = [
        [
            condition.shown,
            ", ".join(filter(None, (notes.RESTS_ON[known.kind], known.note))),
            str(known.patients),
            str(known.cells),
            *("–" if one is None else f"{one:.2f}" for one in (known.score, known.level_share)),
            "draft" if known.is_draft else "graded",
        ]
        for condition, known in grades.evidence.items()
    ]
    widths = [38 * mm, WIDTH - 123 * mm, 17 * mm, 14 * mm, 18 * mm, 20 * mm, 16 * mm]
    yield KeepTogether(
        [heading("What is known on patients"), table(head, rows, widths), note(notes.EVIDENCE)]
    )


def _series(grades: StudyGrades) -> Iterator[Flowable]:
    yield heading("Series, and what they were used for")
    rows = [[use.role.shown if use.role else "not used", use.why, use.uid] for use in grades.series]
    yield table(
        ["Used as", "Why", "Series"], rows or [["No series.", "", ""]], [28 * mm, 76 * mm, WIDTH - 104 * mm]
    )
    yield heading("What was left out")
    for why, items in by_reason(grades.unused).items():
        listed = ", ".join(items) if len(items) <= _MOST_LISTED else f"{len(items)} items"
        yield text(f"{words.sentence(why, '')}: {listed}", 8)
    if not grades.unused:
        yield text(notes.NOTHING_LEFT_OUT, 8)


def _made(grades: StudyGrades) -> Iterator[Flowable]:
    lines = (
        ("Software", f"stenograde {metadata.version('stenograde')}"),
        ("Bundle", f"{grades.bundle.name} {grades.bundle.version}"),
        ("Bundle hash", grades.bundle.hash),
        ("Scheme", f"{grades.scheme.name}, {len(grades.scheme.cells)} cells"),
    )
    yield KeepTogether([heading("How this was made"), *(_named(name, value) for name, value in lines)])
