"""The built-in server `openapi`: an API that a document of OpenAPI describes, as tools. `servers add openapi:...` adds one."""
