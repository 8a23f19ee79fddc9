"""The model as a fold of the log: gate, learning, ledger, lineage, snapshots, replica."""
