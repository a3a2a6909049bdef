"""A matplotlib figure as a picture inside a page: small, in the page's colours, with tooltips.

Its ids are made unique among all pictures of the page, and style that would apply to the whole
page is dropped.
"""

import re
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from harness.report.plots.draw import draw
from harness.report.plots.look import INK, in_style
from harness.report.plots.shapes import Chart

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
_FRACTION = re.compile(r"(\d+\.\d)\d+")  # a tenth of a point is finer than any screen
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_DROPPED = re.compile(r"font-family:[^;]*;|stroke-dasharray: ;|stroke-dashoffset: 0;")


def picture(chart: Chart, number: int) -> str:
    """Return the chart as an `<svg>` element, with its number on the page."""
    with in_style():
        figure, tips = draw(chart.drawing)
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(text.getvalue())
    prefix = f"p{number}-"
    for parent in list(root.iter()):
        _drop_foreign(parent)
        _tidy(parent, prefix, tips)
    _name(root, chart, prefix)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _drop_foreign(parent: "Element") -> None:
    """Drop metadata, and style sheets, which would hold for the whole page."""
    for child in list(parent):
        if not child.tag.startswith(SVG) or child.tag in (f"{SVG}metadata", f"{SVG}style"):
            parent.remove(child)


def _tidy(element: "Element", prefix: str, tips: Mapping[str, str]) -> None:
    """Make an element of the page: no name space, own ids, its tip, the page's ink."""
    element.tag = element.tag.removeprefix(SVG)
    element.tail = None
    if element.text is not None and not element.text.strip():
        element.text = None
    if element.attrib.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    name = element.attrib.pop("id", "")
    if name in tips:
        title = ElementTree.Element("title")
        title.text = tips[name]
        element.insert(0, title)
    elif name and element.tag != "g":
        element.set("id", prefix + name)  # what others refer to; groups are not
    if LINK in element.attrib:
        element.set("href", "#" + prefix + element.attrib.pop(LINK).removeprefix("#"))
    for attribute, value in element.attrib.items():
        if attribute in ("d", "transform", "style", "clip-path", "x", "y", "width", "height"):
            element.set(attribute, _shortened(value, prefix))


def _shortened(value: str, prefix: str) -> str:
    value = _REFERENCE.sub(rf"url(#{prefix}\1)", value).replace(INK, "currentColor")
    return " ".join(_FRACTION.sub(r"\1", _DROPPED.sub("", value)).split())


def _name(root: "Element", chart: Chart, prefix: str) -> None:
    """Give the picture its name and description, for those who do not see it."""
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    for place, (kind, text) in enumerate((("title", chart.title), ("desc", chart.description))):
        element = ElementTree.Element(kind, {"id": f"{prefix}{kind}"})
        element.text = text
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}title {prefix}desc")
