"""XML of strangers: no entities, no DTD, nothing fetched, depth and size of libxml2's own limits."""

from __future__ import annotations

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lxml.etree import _Element

    from muxi_servers.documents.package import Package

__all__ = ["local_name", "parse", "parse_entry", "texts"]


def parse(data: bytes, what: str, *, may_have_dtd: bool = False) -> _Element:
    """The root element. Entities are never expanded; a document type is refused where its format forbids one.

    Raises:
        ToolError: it is not well-formed, or has a document type.
    """
    from lxml import etree  # noqa: PLC0415 - heavy

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        if error.code == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from None
        raise ToolError(f"The document is damaged: {what[:200]} is not well-formed XML ({error}).") from None
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and (not may_have_dtd or any(True for _ in dtd.iterentities())):
        raise ToolError(f"{what[:200]} declares a document type with entities, as XML bombs do; it is not opened.")
    return root


def parse_entry(package: Package, name: str) -> _Element:
    """The root of an entry of a package."""
    return parse(package.read(name), name)


def local_name(element: _Element) -> str:
    """The tag without its namespace; empty for what is no element, such as an entity."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def texts(element: _Element, name: str) -> str:
    """All text of the elements below with that local name, joined."""
    return "".join(part.text or "" for part in element.iter() if local_name(part) == name)
