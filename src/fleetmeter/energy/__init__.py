"""Energy accounting: `answers` asks the database for sums; the rest is pure arithmetic."""
