"""A document of OpenAPI 3.0 or 3.1, read as data: from its bytes to requests that a server in a sandbox makes.

    text ─▶ references ─▶ operations (names, addresses, parameters, schemas, credentials, paging) ─▶ describe

Start at `describe.py`, which `apart.py` runs in a process of its own. Nothing of a document is run, fetched,
compiled or evaluated: no pattern, no reference to another document, no example. Whatever it names is either of a form
that is checked here, or it is left out and told.

Source of the format: the OpenAPI Specification 3.0.4 and 3.1.1.
"""
