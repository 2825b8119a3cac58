"""Dockerfiles and seccomp profiles: data only, read by `muxi_sandbox.docker`."""
