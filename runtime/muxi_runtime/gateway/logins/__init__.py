"""OAuth towards servers elsewhere: the runtime as a client of theirs, for each user.

`flow` logs a person in (`discovery`, `clients`, `token_endpoint` are its steps), `book` keeps what came of it and
renews it, `bearer` shows it to the server that it is for, `routes` is what the command line speaks with. Whatever a
server or its metadata names is fetched by `outside` alone.
"""
