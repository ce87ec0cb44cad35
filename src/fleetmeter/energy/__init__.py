"""Energy accounting: `answers` asks the database for sums, all else is pure arithmetic."""
