"""Says in words what pydantic found wrong with a field."""

import re
from collections.abc import Mapping
from typing import Any

_SUBJECT = re.compile(r"^(Input|String|Value|List) should")

_SENTENCES: Mapping[str, str] = {
    "missing": "This field is required.",
    "string_type": "Should be text.",
    "string_unicode": "Should be text in Unicode.",
    "bool_type": "Should be true or false.",
    "list_type": "Should be a list.",
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"), "Should be an object with fields."
    ),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"),
        "Should be a whole number.",
    ),
    **dict.fromkeys(
        (
            "datetime_type",
            "datetime_parsing",
            "datetime_from_date_parsing",
            "datetime_object_invalid",
            "timezone_aware",
        ),
        "Should be a date and time that exist, with an offset, such as 2027-06-01T19:00:00Z.",
    ),
}
"""The sentence for a type of error where pydantic's speaks of its own types or of Python's."""


def validation_sentence(item: Mapping[str, Any]) -> str:
    """Return the sentence for one of pydantic's errors."""
    kind = item["type"]
    if kind == "value_error":  # our validators' texts are sentences
        return str(item["ctx"]["error"])
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind.endswith(("too_long", "too_short")):
        return _length(item)
    return f"{_SUBJECT.sub('Should', str(item['msg']))}."


def _length(item: Mapping[str, Any]) -> str:
    """Name the bound of a text or a list; pydantic calls the characters of some texts items."""
    most = item["ctx"].get("max_length")
    bound = item["ctx"]["min_length"] if most is None else most
    is_text = isinstance(item["input"], str)
    one, many = ("character", "characters") if is_text else ("entry", "entries")
    word = "least" if most is None else "most"
    return f"Should have at {word} {bound} {one if bound == 1 else many}."
