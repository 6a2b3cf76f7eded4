"""What a run tells a person: words and figures from its records."""
