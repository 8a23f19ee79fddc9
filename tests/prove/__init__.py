"""The promises at full size: run by hand, measured, written to `docs/proofs`."""
