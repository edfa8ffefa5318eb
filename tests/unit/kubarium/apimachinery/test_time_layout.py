import pytest

from kubarium.apimachinery.time_layout import RFC3339, RFC3339_MICRO, TimeWrong, read_time


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'cannot parse "" as "2006"'),
        ("2026-1-02T03:04:05Z", 'cannot parse "1-02T03:04:05Z" as "01"'),
        ("2026-01-02", 'cannot parse "" as "T"'),
        ("2026-01-02 03:04:05Z", 'cannot parse " 03:04:05Z" as "T"'),
        ("2026-01-02T03:04:5Z", 'cannot parse "5Z" as "05"'),
        ("2026-01-02T03:04:05.Z", 'cannot parse ".Z" as "Z07:00"'),
        ("2026-01-02T03:04:05+0100", 'cannot parse "+0100" as "Z07:00"'),
        ('"', r'cannot parse "\"" as "2006"'),
        ("ä", r'cannot parse "\xc3\xa4" as "2006"'),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place(text, words):
    with pytest.raises(TimeWrong) as refused:
        read_time(text, RFC3339)
    assert str(refused.value).endswith(f' as "2006-01-02T15:04:05Z07:00": {words}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-13-02T03:04:05Z", "month out of range"),
        ("2026-01-32T03:04:05Z", "day out of range"),
        ("2026-01-02T24:04:05Z", "hour out of range"),
        ("2026-01-02T03:60:05Z", "minute out of range"),
        ("2026-01-02T03:04:60Z", "second out of range"),
        ("2026-01-02T03:04:05+25:00", "time zone offset hour out of range"),
        ("2026-01-02T03:04:05Zx", 'extra text: "x"'),
    ],
)
def test_what_is_no_moment_is_told_without_the_layout(text, words):
    with pytest.raises(TimeWrong) as refused:
        read_time(text, RFC3339)
    assert str(refused.value) == f'parsing time "{text}": {words}'


def test_times_are_read_to_the_nanosecond():
    read = read_time("2026-01-02T03:04:05,123456789-07:30", RFC3339)
    assert (read.text(), read.nanoseconds) == ("2026-01-02T10:34:05Z", 123456789)
    assert read_time("2026-01-02T03:04:05.123456Z", RFC3339_MICRO).text(micro=True).endswith(":05.123456Z")
