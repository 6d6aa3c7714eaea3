"""From scores to what they say: comparisons, statistics, claims, ranks."""
