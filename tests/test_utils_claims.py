"""claim(): it can fail, it says why, and it leaves a trace that a program can read."""

import json
import math

import numpy as np
import pytest
import torch

from utils.claims import MIME, ClaimFailed, as_html, claim, line, show_number, show_numbers

CHANCE = ("chance", 0.1)


def made(capsys, *args, **kwargs) -> str:
    claim(*args, **kwargs)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("bound", "right", "wrong"),
    [
        ({"at_least": 0.9}, 0.9, 0.89),
        ({"at_most": 1e-5}, 1e-6, 1e-4),
        ({"between": (0.2, 0.4)}, 0.3, 0.41),
        ({"greater_than": 0.5}, 0.51, 0.5),
    ],
)
def test_each_bound_accepts_what_keeps_it_and_refuses_what_does_not(capsys, bound, right, wrong):
    assert made(capsys, "1.1-x", right, "It holds", control=("control", wrong), **bound) == "✓ 1.1-x — It holds\n"
    with pytest.raises(ClaimFailed, match="1.1-x") as failure:
        claim("1.1-x", wrong, "It holds", control=("control", wrong), **bound)
    assert show_number(wrong) in str(failure.value) and "It holds" in str(failure.value)


def test_a_claim_fails_when_its_control_passes():
    with pytest.raises(ClaimFailed, match="untrained model.*shows nothing"):
        claim("1.1-x", 0.95, "It learns", at_least=0.9, control=("untrained model", 0.93))


def test_every_seed_has_to_hold_and_no_control_may():
    claim("1.1-x", [0.95, 0.92, 0.97], "It learns", at_least=0.9, control=("chance", [0.1, 0.2]))
    with pytest.raises(ClaimFailed):
        claim("1.1-x", [0.95, 0.89, 0.97], "It learns", at_least=0.9, control=CHANCE)
    with pytest.raises(ClaimFailed, match="shows nothing"):
        claim("1.1-x", [0.95, 0.92], "It learns", at_least=0.9, control=("chance", [0.1, 0.91]))


@pytest.mark.parametrize("bound", [{"at_least": 0}, {"at_most": 9}, {"between": (0, 9)}, {"greater_than": 0}])
def test_not_a_number_never_holds(bound):
    with pytest.raises(ClaimFailed):
        claim("1.1-x", math.nan, "It holds", control=("control", -99 if "at_most" not in bound else 99), **bound)


@pytest.mark.parametrize("value", [torch.tensor(0.95), np.float32(0.95), torch.tensor([0.95, 0.96]), np.array([0.95])])
def test_tensors_and_arrays_are_values_too(capsys, value):
    assert "✓" in made(capsys, "1.1-x", value, "It learns", at_least=0.9, control=CHANCE)


@pytest.mark.parametrize(
    ("id", "extra", "word"),
    [
        ("own-equals", {"at_least": 1}, "begin with chapter"),
        ("1.1-x", {}, "exactly one"),
        ("1.1-x", {"at_least": 0, "at_most": 1}, "exactly one"),
    ],
)
def test_a_malformed_claim_is_refused(id, extra, word):
    with pytest.raises(ValueError, match=word):
        claim(id, 1, "It holds", control=CHANCE, **extra)


def test_a_claim_needs_a_control():
    with pytest.raises(TypeError, match="control"):
        claim("1.1-x", 1, "It holds", at_least=0)


def test_a_notebook_gets_a_stable_line_a_readable_one_and_a_trace():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as seen:
            claim(
                "1.1-x", [0.95, 0.97], "It <learns>", at_least=0.9, control=CHANCE, unit="s", seed_dependent=True,
                published=(0.93, "Vaswani 2017", "WMT 2014"), erratum=("the book, ch. 1", "that it cannot"),
            )  # fmt: skip
    finally:
        shell.clear_instance()
    (output,) = seen.outputs
    assert output.data["text/plain"] == "✓ 1.1-x — It <learns>"
    trace = json.loads(json.dumps(output.data[MIME]))
    assert trace["values"] == [0.95, 0.97] and trace["held"] and trace["chapter"] == 1 and trace["seed_dependent"]
    assert trace["control"] == {"name": "chance", "value": 0.1, "values": [0.1]}
    page = output.data["text/html"]
    for part in ("It &lt;learns&gt;", "0.96 ± 0.0141 s", "≥ 0.9", "chance", "Vaswani 2017", "that it cannot"):
        assert part in page
    assert line({**trace, "held": False}).startswith("✗") and "✗" in as_html({**trace, "held": False})


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.12345, "0.123"), (12345.6, "12,346"), (3.2e-7, "3.2e-07"), (math.inf, "inf")]
)
def test_numbers_are_short(value, text):
    assert show_number(value) == text


def test_several_numbers_are_mean_and_spread():
    assert show_numbers([1.0, 3.0]) == "2 ± 1.41"
