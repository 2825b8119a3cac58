"""Proof that sandboxes hold on this machine: a probe tries to get out of one. Start at `proof.py`."""
