"""Two folders beside one another: the same bits, or what differs and by how much; settings only in one."""

import pytest

from rankwise.studies.compare import compare


def names(found):
    return {one["name"]: (one["cases"], one["most"]) for one in found["differences"]}


def test_the_same_study_run_twice_differs_in_nothing_but_circumstances(make):
    def slower(one):
        one["seconds"] *= 2

    found = compare(make("first"), make("second", change=slower))
    assert (found["same_cases"], found["differing"], found["differences"]) == (18, 0, [])
    assert found["only_first"] == {"cases": 0, "examples": [], "unfinished_there": 0}


def test_a_single_bit_in_a_final_number_and_in_a_curve_is_found(make):
    def change(one):
        if one["address"] == min(address, one["address"]):
            one["numbers"]["effective_rank"] *= 1 + 2**-52
            one["vectors"]["singular_values"][2][0] = 22.0
            one["curves"]["mean_square_error"][1] = None

    first = make("first")
    address = min(first.rows)
    found = compare(first, make("second", change=change))
    assert found["differing"] == 1
    assert names(found) == {
        "effective_rank": (1, pytest.approx(2**-52)),
        "singular_values (vector)": (1, pytest.approx(11 / 101)),
        "mean_square_error (curve)": (1, None),
    }


def test_other_results_have_no_distance_in_numbers(make):
    found = compare(make("first", kept=18), make("second", kept=17, failed=1))
    assert found["differing"] == 1
    assert names(found)["result"] == (1, None)


def test_cases_and_settings_of_one_alone(make):
    axes = {"depth": {"key": "solver.factorization.depth", "values": [2, 3]}}
    case = {"problem": {"count": 12, "truth": {"shape": [4, 4], "rank": 1}}, "solver": {"name": "gradient_descent"}}
    first = make("first", axes=axes, grid={"main": {}}, case=case)
    second = make("second", axes=axes, grid={"main": {}}, case={**case, "max_steps": 7})
    found = compare(first, second)
    assert found["same_cases"] == 0
    assert found["only_first"]["cases"] == found["only_second"]["cases"] == 6
    assert found["settings"] == {"max_steps": [None, 7]}


def test_what_is_on_record_in_one_alone_is_told(make):
    found = compare(make("first"), make("second", kept=10))
    assert (found["same_cases"], found["only_first"]["unfinished_there"]) == (10, 8)
