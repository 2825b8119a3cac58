"""What the formats of Office have in common: relations between parts, properties of the document."""

from __future__ import annotations

from muxi_servers.documents.xml import local_name, parse_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lxml.etree import _Element

    from muxi_servers.documents.model import Document
    from muxi_servers.documents.package import Package

__all__ = ["attribute", "relations_of", "take_properties"]

_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "subject": "subject",
    "language": "language",
    "created": "created",
    "modified": "modified",
}


def attribute(element: _Element | None, name: str) -> str:
    """An attribute by its local name; empty if there is none."""
    if element is None:
        return ""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return ""


def relations_of(package: Package, entry: str) -> dict[str, tuple[str, str]]:
    """(kind, target) by id of what an entry refers to; a target outside of the document is a URL."""
    folder, _, name = entry.rpartition("/")
    path = f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"
    if path not in package:
        return {}
    found = {}
    for relation in parse_entry(package, path):
        target = attribute(relation, "Target")
        if attribute(relation, "TargetMode") != "External":
            target = package.resolve(entry, target)
        found[attribute(relation, "Id")] = (attribute(relation, "Type").rpartition("/")[2], target)
    return found


def take_properties(document: Document, package: Package) -> None:
    """Title, author, dates and the like, and a note if there are macros."""
    if "docProps/core.xml" in package:
        for element in parse_entry(package, "docProps/core.xml"):
            name = _PROPERTIES.get(local_name(element))
            if name and element.text and element.text.strip():
                document.metadata[name] = element.text.strip()
    if "docProps/app.xml" in package:
        for element in parse_entry(package, "docProps/app.xml"):
            name = local_name(element)
            if name in {"Application", "Pages", "Words", "Company"} and element.text:
                document.details[name.lower()] = element.text.strip()
    if any(name.endswith("vbaProject.bin") for name in package.names):
        document.notes.append("It has macros. They were not run.")
