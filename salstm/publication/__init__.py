"""Results that travel: published as one archive, merged with those of others, judged again from scores alone."""
