"""An API that a document of OpenAPI describes, as tools. `muxi-runtime servers add openapi:...` makes such a server."""
