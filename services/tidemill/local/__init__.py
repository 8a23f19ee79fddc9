"""Real Kafka on this machine, without Docker, Java or root."""
