"""What the built-in servers share: MCP over standard input and output, and running programs.

Above it: the servers, each a list of `tools.Tool`. Below it: the standard library alone,
so that an idle server stays near the size of a bare interpreter (docs/decisions/0005-stdlib-guest-servers.md).

Two halves that meet only in `launch`:

- the protocol: `codec` and `frames` (bytes to messages), `protocol` (JSON-RPC and the two eras), `schema`, `tools`,
  `content`, `call` (progress and cancellation), `server` (the loop and its worker threads);
- the programs: `zygote` (a small process that forks), `keeper` (one for each program; ends everything that descends
  from it), `program` (the child's side), `process` and `capture` (the server's side), `linux` (system calls),
  `apart` (a function of a server's in such a process).
"""
