"""The text of a web page."""

import re
from collections.abc import Iterator

from lxml import etree, html

from .encodings import decode
from .errors import InvalidDocumentError

_DECLARED = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE
)
_BLANKS = re.compile(r"\s+")
_UNSEEN = ("script", "style", "template", "noscript")
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt"}
    | {"figcaption", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header"}
    | {"hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th"}
    | {"title", "tr", "ul"}
)


def read_html(data: bytes, name: str) -> tuple[str, str]:
    """Return what a reader of the page sees, and the encoding it was in.

    Raises `InvalidDocumentError` for a page without any element or text.
    """
    found = _DECLARED.search(data[:4096])
    text, encoding = decode(
        data, name, declared=found[1].decode("ascii") if found else ""
    )
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        page = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.LxmlError, ValueError) as error:
        raise InvalidDocumentError(
            name, f"is no HTML that can be read ({error}): save the page again"
        ) from error
    etree.strip_elements(page, *_UNSEEN, with_tail=False)
    lines = (" ".join(line.split()) for line in "".join(_pieces(page)).splitlines())
    return "\n".join(line for line in lines if line), encoding


def _pieces(page: html.HtmlElement) -> Iterator[str]:
    """Yield the text in its order, with line ends where blocks and lines begin."""
    depth = 0
    for event, element in etree.iterwalk(page, events=("start", "end")):
        starts = event == "start"
        if element.tag in _BLOCKS:
            yield "\n"
        if element.tag == "pre":
            depth += 1 if starts else -1
        text = (element.text if starts else element.tail) or ""
        yield text if depth else _BLANKS.sub(" ", text)
