"""Names that others program against: records, topics, metrics, the plant definition."""
