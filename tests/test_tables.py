"""The embedded tables are what their docstrings say, and the census keeps its law."""

import numpy as np
import pytest

from utils.embedded import tables


SIZES = [("diamonds", 53_940, "regression"), ("fair", 6_366, "classification"), ("census", 6_000, "classification")]


@pytest.mark.parametrize("name, rows, task", SIZES)
def test_a_table_has_the_rows_and_columns_it_says(name, rows, task):
    table = tables.load(f"embedded/{name}")
    assert (len(table), table.task) == (rows, task) and len(table.features) == rows
    assert list(table.features) == table.numbers + table.categories
    assert table.features[table.numbers].dtypes.eq(float).all() and not table.features.isna().any().any()
    assert all(isinstance(v, str) for c in table.categories for v in table.features[c].unique())
    assert table.origin and getattr(tables, name).__doc__


def test_a_near_name_is_suggested():
    with pytest.raises(tables.TableError, match="Did you mean 'embedded/diamonds'"):
        tables.load("embedded/diamond")


def test_a_part_has_the_rows_that_were_asked_for_and_says_so():
    table = tables.fair()
    first, rest = table.part(0, 5_000), table.part(5_000)
    assert (len(first), len(rest)) == (5_000, 1_366) and len(first.features) == 5_000
    assert first.target.tolist() + rest.target.tolist() == table.target.tolist()
    assert first.notes == ["5,000 of its 6,366 rows are used."] and table.notes == []
    assert table.part(0, 10_000) is table


def test_what_the_law_ignores_has_no_importance_and_all_else_has():
    importance = tables.census_importance()
    nothing = {"years_in_job", "commute_minutes", "birth_month", "blood_type"}
    assert {c for c, share in importance.items() if share == 0} == nothing
    assert importance.drop(list(nothing)).min() > 0.03


def test_the_shares_of_the_law_are_those_of_a_formula_known_by_hand(monkeypatch):
    monkeypatch.setattr(tables, "census_law", lambda people: (people["weekly_hours"] + 2 * people["education_years"]).to_numpy())
    importance = tables.census_importance()
    education, hours = 4 * (13**2 - 1) / 12, 50**2 / 12  # variances of 2 · U{8 … 20} and of U(10, 60)
    assert importance["education_years"] == pytest.approx(education / (education + hours), rel=0.03)
    assert importance["weekly_hours"] == pytest.approx(hours / (education + hours), rel=0.03)


def test_the_labels_follow_the_odds_of_the_law():
    table = tables.census(40_000, seed=3)
    chance = 1 / (1 + np.exp(-tables.census_law(table.features)))
    high = (table.target == "high").to_numpy()
    for low in np.arange(0, 1, 0.1):
        there = (chance >= low) & (chance < low + 0.1)
        assert high[there].mean() == pytest.approx(chance[there].mean(), abs=0.03)


def test_night_shifts_pay_for_those_without_a_partner_and_for_nobody_else():
    people = tables.census_people(2_000)
    gain = tables.census_law(people.assign(shift="night")) - tables.census_law(people.assign(shift="day"))
    alone = (people["partner"] == "no").to_numpy()
    assert np.allclose(gain[~alone], 0) and np.ptp(gain[alone]) < 1e-9 and gain[alone].min() > 1


def test_years_in_job_goes_with_age():
    people = tables.census_people(5_000)
    assert people["age"].corr(people["years_in_job"]) > 0.8
    assert abs(people["age"].corr(people["commute_minutes"])) < 0.05
