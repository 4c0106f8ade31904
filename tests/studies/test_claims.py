"""Claims beside our numbers: near enough or by how much not, ratios, and what could not be judged."""

import pytest

from rankwise.report import claims as on_page
from rankwise.studies.claims import judge, read_claim

BEST = {"depth": 3, "scale": 0.01}  # 1e-6, 2e-6, 4e-6


def judged(folder, **given):
    whole = {"text": "t", "value": "mean_square_error", "where": BEST, **given}
    return judge(read_claim(whole, "claims[0]", folder.scope), folder)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"published": 3.9e-6, "factor": 2}, "reproduced"),
        ({"published": 4.1e-6, "factor": 2}, "not reproduced"),
        ({"published": 0.9e-6, "factor": 2}, "not reproduced"),
        ({"published": 2.1e-6, "tolerance": 0.1}, "reproduced"),
        ({"published": 2.3e-6, "tolerance": 0.1}, "not reproduced"),
        ({"within": [1e-6, 3e-6]}, "reproduced"),
        ({"within": [3e-6, 4e-6]}, "not reproduced"),
        ({"published": 2.1e-6, "relation": "<="}, "reproduced"),
        ({"published": 1e-6, "relation": "<="}, "not reproduced"),
        ({"published": 1e-6, "relation": "<=", "factor": 2.5}, "reproduced"),
        ({"published": 3e-6, "relation": ">=", "tolerance": 0.5}, "reproduced"),
        ({"published": 0, "tolerance": 1e-5}, "reproduced"),
        ({"value": "steps", "published": 100}, "reproduced"),
        ({"value": "steps", "published": 101}, "not reproduced"),
    ],
)
def test_near_enough_or_not(make, given, verdict):
    assert judged(make(), **given)["verdict"] == verdict


def test_by_how_much(make):
    found = judged(make(), published=1e-6, factor=1.5)
    assert found["ours"] == pytest.approx(2e-6)
    assert found["difference"]["ratio"] == pytest.approx(2)


def test_a_ratio_takes_what_it_does_not_say_from_the_claim(make):
    found = judged(make(), than={"where": {"depth": 2}}, relation="<=")
    assert found["parts"] == pytest.approx([2e-6, 2e-4])
    assert found["ours"] == pytest.approx(1e-2)
    assert (found["published"], found["verdict"]) == (1.0, "reproduced")
    other = judged(make(), than={"grid": "rival", "where": {"method": "easy_way"}}, relation="<=")
    assert other["parts"][1] == pytest.approx(1.0)


def test_what_has_not_been_run_is_not_judged(make):
    for kept, failed, reason in ((0, 0, "none of its 3 cases"), (10, 0, "only 1 of its 3 cases"), (9, 3, "failed")):
        found = judged(make(f"k{kept}{failed}", kept=kept, failed=failed), published=2e-6, factor=2)
        assert found["verdict"] == "not run"
        assert reason in found["reason"]


def test_what_never_happens_is_not_reproduced(make):
    found = judged(make(), at={"first_above": 7}, published=100, factor=2)
    assert (found["verdict"], found["reason"]) == ("not reproduced", "it never happens in any run")


def test_what_is_finite_in_no_run_is_not_reproduced(make):
    def diverge(one):
        one["numbers"], one["curves"] = {}, {"mean_square_error": [1.0, None, None, None]}

    found = judged(make(change=diverge), published=2e-6, factor=2)
    assert (found["verdict"], found["reason"]) == ("not reproduced", "it is not finite in any run")


def test_a_number_that_no_run_has_is_not_run_and_the_nearest_is_named(make):
    found = judged(make(), value="mean_square_eror", published=2e-6, factor=2)
    assert found["verdict"] == "not run"
    assert found["reason"] == "no run has this number; did you mean 'mean_square_error'?"


def test_a_ratio_to_zero_is_beyond_every_bound_and_zero_to_zero_is_none(make):
    def zero(one):
        one["numbers"]["effective_rank"] = 0.0 if '"depth": 2' in one["settings"] else 1.0

    folder = make(change=zero)
    asked = {"value": "effective_rank", "than": {"where": {"depth": 2}}}
    for relation, verdict in ((">=", "reproduced"), ("<=", "not reproduced")):
        found = judged(folder, relation=relation, **asked)
        assert (found["verdict"], found["ours"]) == (verdict, None)
        assert found["reason"] == "the number it is divided by is 0"
    found = judged(folder, relation=">=", **asked | {"where": {"depth": 2, "scale": 0.01}})
    assert (found["verdict"], found["reason"]) == ("not run", "both numbers of the ratio are 0")


def test_a_bound_that_no_paper_has_is_not_called_published(make):
    assert judged(make(), published=2e-6, factor=2)["origin"] == "paper"
    assert judged(make(), than={"where": {"depth": 2}}, relation="<=")["origin"] == "words"
    with pytest.raises(ValueError, match=r"published is missing: .* words"):
        judged(make(), than={"where": {"depth": 2}}, relation="<=", origin="paper")
    with pytest.raises(ValueError, match=r"claims\[0\].origin must be 'paper', 'words'"):
        judged(make(), published=1, origin="wrods")


def test_a_verdict_gives_the_answer_that_goes_with_it(make):
    asked = {"factor": 2, "yes": "It works", "no": "It does not"}
    assert judged(make(), published=2e-6, **asked)["answer"] == "It works"
    assert judged(make(), published=1, **asked)["answer"] == "It does not"
    assert judged(make("none", kept=0), published=1, **asked)["answer"] == "Not known yet: t"
    with pytest.raises(ValueError, match="only one of yes and no"):
        judged(make(), published=1, yes="It works")


@pytest.mark.parametrize(
    ("ours", "asked", "told"),
    [
        (0.10000001, {"published": 0, "tolerance": 0.1}, "✗ not reproduced: off by 0.10000001"),
        (-0.5004, {"published": 1, "tolerance": 1.5002}, "✗ not reproduced: off by −1.5004"),
        (-0.5, {"published": 1, "tolerance": 0.5}, "✗ not reproduced: off by −1.50"),
    ],
)
def test_a_difference_has_the_digits_that_its_verdict_needs(make, ours, asked, told):
    def put(one):
        one["numbers"]["effective_rank"] = ours

    assert on_page.verdict(judged(make(change=put), value="effective_rank", **asked)) == told


@pytest.mark.parametrize(
    ("numbers", "asked", "told"),
    [
        ((1.0000001,), {"published": 1, "relation": "<="}, "No (1.0000001)."),
        ((1.0000001, 1.0), {"published": 1, "relation": "<="}, "No (1.0000001 against 1.0000000)."),
        # Four digits show that the ratio is above 1; of its parts they show the same.
        ((1.00049, 0.99997), {"published": 1, "relation": "<="}, "No (1.0005 against 0.99997)."),
        ((2.0, 1.0), {"published": 1, "relation": "<="}, "No (2.00 against 1.00)."),
        ((0.5, 1.0), {"published": 1, "relation": "<="}, "Yes (0.500 against 1.00)."),
    ],
)
def test_an_answer_has_the_digits_that_its_verdict_needs(make, numbers, asked, told):
    def put(one):
        one["numbers"]["effective_rank"] = numbers[-1] if '"depth": 2' in one["settings"] else numbers[0]

    claim = {"text": "t", "value": "effective_rank", "where": {"depth": 3, "scale": 0.01}, "yes": "Yes", "no": "No"}
    than = {"than": {"where": {"depth": 2}}} if len(numbers) > 1 else {}
    assert on_page._answer(judged(make(change=put), **{**claim, **than, **asked})) == told


def test_a_share_just_below_its_bound_is_not_shown_as_the_bound():
    claim = {"answer": "No", "verdict": "not reproduced", "statistic": "share_below", "parts": None, "ours": 0.9499999,
             "limits": [0.95, None]}  # fmt: skip
    assert on_page._answer(claim).replace("\u00a0", " ") == "No (94.99999 %)."
    assert on_page._answer(claim | {"ours": 0.95}).replace("\u00a0", " ") == "No (95 %)."


def test_a_step_that_runs_were_cut_off_before_is_not_judged(make):
    def cut_off(one):
        one["result"] = "max_steps" if one["key"] < many else "converged"

    for many, reason in ((3, "no run got to step 30,000"), (1, "only 2 of 3 runs got to step 30,000")):
        found = judged(make(f"cut{many}", change=cut_off), at=30_000, published=2e-6, factor=2)
        assert (found["verdict"], found["reason"]) == ("not run", reason)
        assert judged(make(f"to{many}", change=cut_off), at=100, published=2e-6, factor=2)["verdict"] == "reproduced"
