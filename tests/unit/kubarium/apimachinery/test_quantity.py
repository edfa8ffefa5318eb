import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubarium.apimachinery import quantity


@pytest.mark.parametrize(
    ("text", "canonical", "value", "milli"),
    [
        ("500m", "500m", 1, 500),
        ("1.5", "1500m", 2, 1500),
        ("1000m", "1", 1, 1000),
        ("1Gi", "1Gi", 2**30, 2**30 * 1000),
        ("1.5Gi", "1536Mi", 1610612736, 1610612736000),
        ("1024Ki", "1Mi", 2**20, 2**20 * 1000),
        ("100000", "100k", 100000, 10**8),
        ("1e3", "1e3", 1000, 10**6),
        ("12e6", "12e6", 12_000_000, 12 * 10**9),
        ("0.1m", "100u", 1, 1),
        ("0.0000000001", "1n", 1, 1),
        ("-1.5", "-1500m", -2, -1500),
        ("0", "0", 0, 0),
        (".5", "500m", 1, 500),
        ("1.250", "1.250", 2, 1250),  # looks canonical, so it stays as it was written
        ("+5", "+5", 5, 5000),
        ("1.500k", "1.500k", 1500, 1_500_000),
        ("13Ki", "13Ki", 13 * 1024, 13 * 1024 * 1000),
        ("+16Ki", "16Ki", 2**14, 2**14 * 1000),
        ("0.500", "500m", 1, 500),
        ("1.25", "1250m", 2, 1250),
        ("1.2500", "1250m", 2, 1250),
        ("1.5k", "1500", 1500, 1_500_000),
        ("1.25e3", "1250", 1250, 1_250_000),
        ("1e21", "1e21", 2**63 - 1, 10**24),
        ("Gi", "0", 0, 0),  # a suffix without a number is nothing of it
        ("e3", "0", 0, 0),
        (".", "0", 0, 0),
        ("1E", "1E", 10**18, 10**21),
    ],
)
def test_known_amounts(text, canonical, value, milli):
    assert quantity.canonical(text) == canonical
    assert quantity.value(text) == value
    assert quantity.milli_value(text) == milli


def test_two_dots_do_not_match_what_a_quantity_looks_like():
    with pytest.raises(quantity.QuantityError, match="must match the regular expression"):
        quantity.parse("10.0.0.1")


def test_json_numbers_are_amounts():
    assert quantity.canonical(1) == "1"
    assert quantity.canonical(0.5) == "500m"


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1Zi", "1ki", " 1", "1 ", "1e", "1..2"])
def test_what_is_no_amount(text):
    with pytest.raises(quantity.QuantityError):
        quantity.parse(text)


@given(st.integers(-(2**62), 2**62), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "e3"]))
def test_the_canonical_text_means_the_same(number, suffix):
    amount = quantity.parse(f"{number}{suffix}")
    again = quantity.parse(str(amount))
    assert again.nano == amount.nano
    assert str(again) == str(amount)


def test_sums_keep_the_family_of_the_first():
    assert quantity.add("1Gi", "1Gi") == "2Gi"
    assert quantity.add("0", "1Gi") == "1Gi"
    assert quantity.subtract("1", "250m") == "750m"
    assert quantity.total(["100m", "400m", "1"]) == "1500m"
    assert quantity.compare("1", "1000m") == 0
