"""The fold: gate, ledger, snapshots, recovery, audit."""
