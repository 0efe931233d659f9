"""Tables hold the scores beside the document's and the trivial answers, and nothing that cannot be told."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from dataclasses import replace

from tests.made_results import made_arm, made_result

from stenograde.experiments.pictures.table import (
    arms_table,
    as_markdown,
    leak_table,
    metrics_of,
    protocols_table,
    repeats_table,
    scores_table,
)
from stenograde.report.markdown import markdown_table


def _rows(table: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_scores_stand_beside_the_document_and_the_baseline() -> None:
    rows = _rows(scores_table(made_result()))
    assert rows["score"] == ["document", "here", "majority"]
    assert rows["accuracy"] == ["0.890", "0.750 (0.650 to 0.850)", "0.330"]
    assert rows["balanced accuracy"][0] == "–"


def test_the_documents_figure_does_not_stand_beside_an_ablation() -> None:
    result = made_result()
    assert _rows(scores_table(result, result.arms[1]))["accuracy"][0] == "–"


def test_arms_show_their_difference_to_the_first() -> None:
    rows = _rows(arms_table(made_result()))
    assert rows["The network"][-1] == "–"
    assert rows["Another <network>"][-1] == "0.250 (0.100 to 0.400)"


def test_protocols_side_by_side_name_their_arm_where_there_are_several() -> None:
    one = made_result(arms=(made_arm(),), comparisons=())
    two = replace(one, protocol="published", arms=(made_arm(title="twins"), made_arm("b", title="no twins")))
    table = protocols_table([one, two])
    assert "| S1 | patient | accuracy | 0.890 | 0.750 (0.650 to 0.850) | 0.330 |" in table
    assert "| S1 | published: no twins | accuracy |" in table


def test_changed_settings_stand_beside_the_name_of_the_system() -> None:
    plain = made_result(arms=(made_arm(),), comparisons=())
    changed = replace(plain, recipe={**plain.recipe, "changed": ["fit.epochs=2"]})
    table = protocols_table([plain, changed])
    assert "| S1 | patient | accuracy |" in table
    assert "| S1 (quick, changed: fit.epochs=2) | patient | accuracy |" in table
    assert as_markdown(changed).startswith("# S1 (quick, changed: fit.epochs=2), patient\n")
    assert as_markdown(plain).startswith("# S1, patient\n")


def test_leaks_and_repeats_are_shown_in_figures() -> None:
    assert _rows(leak_table(made_result()))["The network"][:5] == ["12", "3", "1", "0", "0"]
    assert _rows(repeats_table(made_result()))["accuracy"][-4:] == ["t-test", "0.0100", "0.2000", "-0.80"]


def test_with_two_classes_what_repeats_itself_is_left_out() -> None:
    arm = made_arm()
    assert "auc_worst" in metrics_of(arm)
    assert "auc_worst" not in metrics_of(replace(arm, classes=arm.classes[:2]))


def test_the_whole_says_what_the_network_started_from() -> None:
    text = as_markdown(made_result())
    assert "**pre-trained: no**" in text
    for heading in ("## Scores", "## Arms", "## Over the repeats", "## Leaks", "## At the prevalence"):
        assert heading in text


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert markdown_table(("a", "b"), [("x|y", "1")]).splitlines()[-1] == "| x\\|y | 1 |"
