"""All I/O of the data plane: Kafka transactions, registry, probes, logs."""
