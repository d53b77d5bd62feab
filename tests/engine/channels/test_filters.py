"""filters.py: what a filter is, what it means, and that nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.channels.filters import (
    MAX_DEPTH,
    AllOf,
    Among,
    AnyOf,
    Compared,
    Expression,
    FilterError,
    Not,
    Present,
    Value,
    parse_filter,
)

TAGS = {"kind": "news", "score": "2.50", "zero": "-0", "empty": "", "in": "reserved", "ä ö": "umlaut"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        # FLT-1, FLT-2: words, precedence, spaces.
        ("kind", True),
        ("other", False),
        ('"ä ö"', True),
        ('"in"', True),
        ("not other", True),
        ("not not kind", True),
        ("other or kind", True),
        ("other or other", False),
        ("kind and other", False),
        ("kind and score", True),
        ("kind or kind and other", True),
        ("(kind or kind) and other", False),
        ("not other and other", False),
        ("not (other and other)", True),
        (' \t\n kind==\n"news" ', True),
        # FLT-3: a tag that is not there stands in no relation, so != holds.
        ('kind == "news"', True),
        ('kind == "New"', False),
        ('kind != "news"', False),
        ('kind != "sports"', True),
        ('other == ""', False),
        ('other != "x"', True),
        ('other < "x"', False),
        ('not other < "x"', True),
        ('empty == ""', True),
        ('kind < "newt"', True),
        ('kind <= "news"', True),
        ('kind > "news"', False),
        ('kind >= "news"', True),
        ('kind in ("sports", "news")', True),
        ('kind in ("sports")', False),
        ('other in ("sports")', False),
        ('not other in ("sports")', True),
        (r'kind == "a \"quoted\" \\ word"', False),
        # FLT-4: numbers are compared as numbers, texts as texts.
        ("score == 2.5", True),
        ('score == "2.5"', False),
        ("score != 2.5", False),
        ("score != 3", True),
        ("score < 10", True),
        ('score < "10"', False),
        ("score <= 2.5", True),
        ("score > -1", True),
        ("score >= 2.51", False),
        ("zero == 0", True),
        ("kind == 0", False),
        ("kind != 0", True),
        ("kind < 0 or kind >= 0", False),
        ("empty == 0", False),
        ("score in (1, 2.5)", True),
        ('score in ("2.5", 3)', False),
        ('score in ("2.50", 3)', True),
        ("kind in (1, 2)", False),
    ],
)
def test_a_filter_means_what_it_says(text: str, holds: bool) -> None:
    """SPEC FLT-1 to FLT-4."""
    assert parse_filter(text).matches(TAGS) is holds
    assert parse_filter(text).text == text


@pytest.mark.parametrize(
    ("text", "holds"), [("1", True), ("-1.5", True), ("01", True), *((wrong, False) for wrong in ("", "-", "1.", ".5"))]
)
def test_a_tag_is_a_number_if_it_is_written_like_one(text: str, holds: bool) -> None:
    """SPEC FLT-4."""
    assert parse_filter("n < 2").matches({"n": text}) is holds
    for wrong in (f"{text} ", f"+{text}", f"{text}e0", f"{text}.", f"{text}x", "٣", "nan", "1_0"):
        assert not parse_filter("n < 99").matches({"n": wrong})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1 to 1024 bytes, this one has 0"),
        ("x" * 1_025, "this one has 1025"),
        ("é" * 513, "this one has 1026"),
        ("   ", "saw the end, expected a tag"),
        ("kind ==", "saw the end, expected a text or a number"),
        ("kind == news", "saw 'news' at 8, expected a text or a number"),
        ("== 1", "saw '==' at 0, expected a tag"),
        ("1 == kind", "saw '1' at 0, expected a tag"),
        ("kind kind", "saw 'kind' at 5, expected and, or, or the end"),
        ('"kind" "kind"', "saw 'kind' at 7, expected and, or, or the end"),
        ('"and" and and', "saw 'and' at 10, expected a tag"),
        ("(kind", "saw the end, expected ')'"),
        ("kind)", "saw ')' at 4, expected and, or, or the end"),
        ('"(" == (1)', "saw '(' at 7, expected a text or a number"),
        ("kind in ()", "saw ')' at 9, expected a text or a number"),
        ("kind in 1", "saw '1' at 8, expected '('"),
        ("kind in (1,)", "saw ')' at 11, expected a text or a number"),
        ("kind in (1 2)", "saw '2' at 11, expected ')'"),
        ("kind = 1", "saw '=' at 5, which has no meaning in a filter"),
        ("kind =~ 1", "saw '=' at 5, which has no meaning in a filter"),
        ("kind == 1.", "saw no number at 8"),
        ("kind == -", "saw no number at 8"),
        ('kind == "news', 'the text that begins at 8 has no " at its end'),
        (r'kind == "\n"', "saw 'n' at 10, expected \" or \\ behind a \\"),
        ('kind == "\\', "saw '' at 10"),
        ("\ud800", "has no meaning in a filter"),
    ],
)
def test_what_is_no_filter_is_refused_and_told_why(text: str, complaint: str) -> None:
    """SPEC FLT-1, FLT-2."""
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(("before", "behind"), [("not ", ""), ("(", ")")])
def test_depth_is_bounded(before: str, behind: str) -> None:
    """SPEC FLT-2."""
    most = before * MAX_DEPTH + "x" + behind * MAX_DEPTH
    assert parse_filter(most).matches({"x": ""})
    assert parse_filter(f"{most} and {most}").matches({"x": ""})
    with pytest.raises(FilterError, match="at most 8 deep"):
        parse_filter(before + most + behind)


def test_filters_that_say_the_same_are_equal() -> None:
    """SPEC FLT-5: those who share one share bytes."""
    one, other = parse_filter("a == 1 or b"), parse_filter('"a"==1.0\nor(b)')
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse_filter('a == "1" or b')
    assert one != parse_filter("b or a == 1")


def test_a_publication_without_tags_has_none() -> None:
    assert not parse_filter("a").matches(None)
    assert parse_filter('a != "x"').matches(None)


def quoted(tag: str) -> str:
    return '"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_text(expression: Expression) -> str:
    """Write an expression with every parenthesis that may stand there."""
    match expression:
        case Present():
            return quoted(expression.tag)
        case Compared():
            value = expression.value
            return f"{quoted(expression.tag)} {expression.sign} {quoted(value) if isinstance(value, str) else value}"
        case Among():
            values = [quoted(value) if isinstance(value, str) else str(value) for value in expression.values]
            return f"{quoted(expression.tag)} in ({', '.join(values)})"
        case Not():
            return f"not ({as_text(expression.of)})"
        case AllOf() | AnyOf():
            word = " and " if isinstance(expression, AllOf) else " or "
            return word.join(f"({as_text(each)})" for each in expression.of)


NAMES = st.sampled_from(["a", "b", 'c"\\', "é"])
VALUES: st.SearchStrategy[Value] = st.sampled_from(["", "x", "2", '"\\', -1.5, 0.0, 2.0])
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Present, NAMES),
    st.builds(Compared, NAMES, st.sampled_from(["==", "<", "<=", ">", ">="]), VALUES),
    st.builds(Among, NAMES, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
)


def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, inner) | st.builds(AllOf, several) | st.builds(AnyOf, several)


@given(st.recursive(LEAVES, grown, max_leaves=6), st.dictionaries(NAMES, VALUES.map(str), max_size=4))
def test_what_is_written_is_read_again_and_holds_alike(expression: Expression, tags: dict[str, str]) -> None:
    """SPEC FLT-1."""
    text = as_text(expression)
    try:
        found = parse_filter(text)
    except FilterError as error:
        assert "deep" in str(error) or "bytes" in str(error)
        return
    assert found.expression == expression
    assert found.matches(tags) is expression.holds(tags)


PIECES = st.sampled_from(["a", '"', "(", ")", "not ", " and ", "==", "1", "-", ",", " in ", "\\"])


@given(st.text(max_size=40) | st.lists(PIECES, max_size=20).map("".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    """SPEC FLT-1: and a filter always has an answer."""
    try:
        found = parse_filter(text)
    except FilterError:
        return
    assert found.matches({"a": "1"}) in {True, False}
    assert parse_filter(text) == found
