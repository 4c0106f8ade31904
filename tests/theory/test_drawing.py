"""Figures for papers: legends that cover nothing and say each thing once, ticks that fit, nothing over another."""

import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from rankwise.theory import Chart, Curve, Panel
from rankwise.theory.drawing import WIDTH, draw
from rankwise.vocabulary import COLORS

STEPS = np.linspace(0.1, 5, 50)
BESIDE = Panel("Beside", "time", "value", (
    Curve("a", STEPS, STEPS, "points"), Curve("a (predicted)", STEPS, STEPS, "dashed"),
    Curve("b", STEPS, STEPS**2), Curve("b (predicted)", STEPS, STEPS**2, "dashed"),
))  # fmt: skip
DEPTHS = Panel("Depths", "depth", "loss", (Curve("depth", [2, 3, 4], [0.3, 0.2, 0.1]),))
MAP = Chart("Map", "weight", "rate", (1, 2), (1, 2, 3), np.geomspace(1e-3, 1e3, 6).reshape(3, 2), "error", True)


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def laid_out(panels):
    """The figure after its layout, and what measures its parts in pixels."""
    figure = draw(panels)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, canvas.get_renderer()


def test_all_predictions_share_one_entry_and_each_has_the_color_of_its_measurement():
    (axes,) = draw([BESIDE]).get_axes()
    assert legend_of(axes) == ["a", "b", "predicted"]
    assert [line.get_color() for line in axes.get_lines()] == [COLORS[0], COLORS[0], COLORS[1], COLORS[1]]


def test_a_prediction_without_measurement_keeps_its_own_entry():
    alone = Panel("Law", "x", "y", (Curve("measured", STEPS, STEPS), Curve("law (predicted)", STEPS, STEPS, "dashed")))
    (axes,) = draw([alone]).get_axes()
    assert legend_of(axes) == ["measured", "law (predicted)"]


def test_a_bound_has_the_color_of_its_curve_and_its_own_entry_and_dots():
    bound = Curve("b (bound)", STEPS, STEPS**3, "dotted")
    (axes,) = draw([Panel("Bound", "x", "y", (*BESIDE.curves, bound))]).get_axes()
    assert legend_of(axes) == ["a", "b", "predicted", "bound"]
    last = axes.get_lines()[-1]
    assert (last.get_color(), last.get_linestyle()) == (COLORS[1], ":")


def test_panels_that_say_the_same_share_one_legend():
    figure = draw([BESIDE, BESIDE])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "predicted"]
    assert all(axes.get_legend() is None for axes in figure.get_axes())


@pytest.mark.parametrize("panels", [[BESIDE], [BESIDE, DEPTHS, BESIDE], [DEPTHS, BESIDE, DEPTHS, BESIDE]])
def test_legends_cover_no_curve_and_nothing_leaves_the_figure(panels):
    figure, renderer = laid_out(panels)
    whole = figure.bbox
    for axes in figure.get_axes():
        parts = axes.get_legend(), axes.title, axes.xaxis.label
        legend, title, label = (part.get_window_extent(renderer) for part in parts if part is not None)
        assert legend.y1 <= label.y0
        assert not any(legend.overlaps(other.get_window_extent(renderer)) for other in figure.get_axes())
        for box in (legend, title):
            assert whole.x0 <= box.x0
            assert box.x1 <= whole.x1
            assert whole.y0 <= box.y0
            assert box.y1 <= whole.y1


def test_depths_have_ticks_at_whole_numbers_and_every_measured_point_is_seen():
    (axes,) = draw([DEPTHS]).get_axes()
    assert all(tick == round(tick) for tick in axes.get_xticks())
    assert not all(tick == round(tick) for tick in axes.get_yticks())
    assert axes.get_lines()[0].get_marker() == "o"


def test_four_panels_leave_no_place_empty():
    assert draw([DEPTHS] * 4).get_size_inches()[0] == pytest.approx(2 * WIDTH)


@pytest.mark.parametrize(
    ("limits", "extend"),
    [(None, "neither"), ((1e-3, 1e3), "neither"), ((1e-2, 1e4), "min"), ((1e-4, 1), "max"), ((1e-1, 1), "both")],
)
def test_a_map_says_where_values_leave_its_colors(limits, extend):
    chart = Chart(MAP.title, MAP.x, MAP.y, MAP.x_values, MAP.y_values, MAP.z, MAP.z_label, True, limits)
    (image,) = draw([chart]).get_axes()[0].get_images()
    assert image.colorbar is not None
    assert image.colorbar.extend == extend


def along(low, high):
    """A panel whose logarithmic x axis reaches from one number to another."""
    curve = Curve("a", np.geomspace(low, high, 5), np.arange(5.0))
    return Panel("Along", "x", "y", (curve,), "x", x_range=(low, high))


def labels_of(axis):
    """The ticks that are seen, as they read."""
    low, high = axis.get_view_interval()
    ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    seen = [text for place, text in ticks if 0.999 * low <= place <= 1.001 * high]
    texts = [text.get_text().replace("\N{MINUS SIGN}", "-") for text in seen]
    return [re.sub(r"\$|\\mathdefault|[{}]", "", text) for text in texts]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.15, 1, ["0.2", "0.5", "1"]),
        (0.2, 0.6, ["0.2", "0.3", "0.4", "0.5", "0.6"]),
        (2, 70, ["3", "10", "30"]),
        (3e-5, 2e-4, ["5e-5", "1e-4", "2e-4"]),
        (0.1, 10, ["10^-1", "10^0", "10^1"]),
        (1e-12, 1, [f"10^{k}" for k in range(-12, 1, 2)]),
    ],
)
def test_numbers_along_a_logarithmic_axis_are_few_and_of_one_style(low, high, labels):
    figure, _ = laid_out([along(low, high)])
    (axes,) = figure.get_axes()
    assert labels_of(axes.xaxis) == labels
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))


def test_a_logarithmic_axis_without_a_curve_has_its_ticks():
    (axes,) = draw([Panel("", "x", "y", (), "xy")]).get_axes()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    with pytest.warns(UserWarning, match="non-positive"):
        draw([Panel("", "x", "y", (Curve("a", [], []),), "xy")])


def test_the_colors_of_a_map_have_numbers_of_one_style():
    chart = Chart("Map", "x", "y", (1, 2), (1, 2), np.array([[0.2, 0.3], [0.4, 0.6]]), "$z$", True)
    figure, _ = laid_out([chart])
    bar = figure.get_axes()[1]
    assert labels_of(bar.yaxis) == ["0.2", "0.3", "0.4", "0.5", "0.6"]
    assert not any(label.get_text() for label in bar.get_yticklabels(minor=True))


def test_a_dollar_sign_is_a_dollar_sign():
    named = Panel("$5 to $6", "US$ $", "$y$", (Curve("$a$", [0, 1], [1, 2]),), ticks=("$5", "$6 or $7"))
    chart = Chart("$m$", "$x$", "$y$", ("$1 $2", "b"), ("$3$", "d"), np.eye(2), "$z$")
    figure, _ = laid_out([named, chart])
    shown = [text.get_text() for text in figure.findobj(Text) if "$" in text.get_text()]
    read = [Text()._preprocess_math(text) for text in shown]
    assert not any(formula for _, formula in read)
    given = {"$5 to $6", "US$ $", "$a$", "$x$", "$y$", "$5", "$6 or $7", "$m$", "$1 $2", "$3$", "$z$"}
    assert {words for words, _ in read} == given


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        draw([])
